"""Every operation, by family; importing this package registers them all."""

from . import (
    arithmetic,
    comparison,
    conversion,
    convolution,
    creation,
    elementwise,
    gamma,
    indexing,
    linear,
    loss,
    numpy_functions,
    polynomials,
    reduction,
    shape,
    special,
)

__all__ = [
    "arithmetic",
    "comparison",
    "conversion",
    "convolution",
    "creation",
    "elementwise",
    "gamma",
    "indexing",
    "linear",
    "loss",
    "numpy_functions",
    "polynomials",
    "reduction",
    "shape",
    "special",
]
