"""Signal processing, under PyTorch's names: ``allgrad.signal.windows``."""

from . import windows

__all__ = ["windows"]
