"""Transformations of functions: gradients, Jacobians, products with vectors, and batching, as ``torch.func`` has them."""

from .fallback import vmap_fallback_warnings
from .forward import jacfwd, jvp, linearize
from .reverse import grad, grad_and_value, hessian, jacrev, vjp
from .stateless import functional_call, stack_module_state
from .vectorize import vmap

__all__ = [
    "functional_call",
    "grad",
    "grad_and_value",
    "hessian",
    "jacfwd",
    "jacrev",
    "jvp",
    "linearize",
    "stack_module_state",
    "vjp",
    "vmap",
    "vmap_fallback_warnings",
]
