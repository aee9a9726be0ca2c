"""What PyTorch users look for under ``torch.utils``: data loading."""

from . import data

__all__ = ["data"]
