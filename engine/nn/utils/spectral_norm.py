"""Spectral normalisation by a hook: the older form of ``parametrizations.spectral_norm``."""

from __future__ import annotations

from typing import Any, TypeVar

from ...operations.linear import dot, mv
from ...operations.normalization import normalize
from ...operations.random_tensors import randn
from ...tape.mode import no_grad
from ...tensors.parameter import Parameter
from ...tensors.tensor import Tensor
from ..convolution import _Transposed
from ..lazy import UninitializedParameter
from ..module import Module
from .weight_norm import find_hook

M = TypeVar("M", bound=Module)


def as_matrix(weight: Tensor, dim: int) -> Tensor:
    """Return *weight* as a matrix whose rows are its slices along *dim*."""
    return weight.movedim(dim, 0).flatten(1)  # type: ignore[no-any-return]


def default_dim(module: Module) -> int:
    """Return the dimension of the outputs in the weight of *module*."""
    return 1 if isinstance(module, _Transposed) else 0


class SpectralNorm:
    """The hook that computes the weight anew before each call of a module."""

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        if n_power_iterations <= 0:
            raise ValueError(
                f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}"
            )
        self.name = name
        self.n_power_iterations = n_power_iterations
        self.dim = dim
        self.eps = eps

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """Return the weight over its norm, after another iteration if wanted."""
        weight = getattr(module, f"{self.name}_orig")
        left, right = (getattr(module, f"{self.name}_{side}") for side in "uv")
        matrix = as_matrix(weight, self.dim)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    right.copy_(normalize(mv(matrix.t(), left), dim=0, eps=self.eps))
                    left.copy_(normalize(mv(matrix, right), dim=0, eps=self.eps))
                left, right = left.clone(), right.clone()
        found: Tensor = weight / dot(left, mv(matrix, right))
        return found

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module, do_power_iteration=module.training))


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Divide a weight by its greatest singular value before each call of *module* (Miyato et al. 2018).

    ``nn.utils.parametrizations.spectral_norm`` is its successor, and explains the arguments.

    Example:
        >>> import allgrad as torch
        >>> layer = torch.nn.utils.spectral_norm(torch.nn.Linear(20, 40))
        >>> layer.weight_u.shape, layer.weight_v.shape, layer.weight_orig.shape
        (torch.Size([40]), torch.Size([20]), torch.Size([40, 20]))
    """
    if find_hook(module, SpectralNorm, name):
        raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    hook = SpectralNorm(name, n_power_iterations, default_dim(module) if dim is None else dim, eps)
    weight = module._parameters[name]
    if weight is None:
        raise ValueError(f"`SpectralNorm` cannot be applied as parameter `{name}` is None")
    if isinstance(weight, UninitializedParameter):
        raise ValueError(
            "The module passed to `SpectralNorm` can't have uninitialized parameters. Make sure to run the dummy forward "
            "before applying spectral normalization"
        )
    sizes = as_matrix(weight.detach(), hook.dim).shape
    delattr(module, name)
    module.register_parameter(f"{name}_orig", weight)
    setattr(module, name, weight.detach())
    for side, size in zip("uv", sizes, strict=True):
        module.register_buffer(f"{name}_{side}", normalize(randn(size, dtype=weight.dtype), dim=0, eps=eps))
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make the weight an ordinary parameter again. ValueError if it is not normalised."""
    found = find_hook(module, SpectralNorm, name)
    if found is None:
        raise ValueError(f"spectral_norm of '{name}' not found in {module}")
    key, hook = found
    with no_grad():
        weight = hook.compute_weight(module, do_power_iteration=False)
    del module._forward_pre_hooks[key]
    for gone in (name, f"{name}_u", f"{name}_v", f"{name}_orig"):
        delattr(module, gone)
    module.register_parameter(name, Parameter(weight.detach()))
    return module
