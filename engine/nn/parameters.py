"""What modules register of their own: parameters and buffers, also those whose shape is still unknown."""

from ..tensors.buffer import Buffer
from ..tensors.parameter import Parameter
from .lazy import UninitializedBuffer, UninitializedParameter

__all__ = ["Buffer", "Parameter", "UninitializedBuffer", "UninitializedParameter"]
