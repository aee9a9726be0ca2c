"""Every operation, by family; importing this package registers them all."""

from . import (
    arithmetic,
    comparison,
    conversion,
    convolution,
    creation,
    elementwise,
    indexing,
    linear,
    loss,
    numpy_functions,
    reduction,
    shape,
)

__all__ = [
    "arithmetic",
    "comparison",
    "conversion",
    "convolution",
    "creation",
    "elementwise",
    "indexing",
    "linear",
    "loss",
    "numpy_functions",
    "reduction",
    "shape",
]
