"""Every operation, by family; importing this package registers them all."""

from . import (
    activation,
    arithmetic,
    comparison,
    conversion,
    convolution,
    creation,
    elementwise,
    indexing,
    linear,
    loss,
    normalization,
    numpy_functions,
    reduction,
    shape,
)

__all__ = [
    "activation",
    "arithmetic",
    "comparison",
    "conversion",
    "convolution",
    "creation",
    "elementwise",
    "indexing",
    "linear",
    "loss",
    "normalization",
    "numpy_functions",
    "reduction",
    "shape",
]
