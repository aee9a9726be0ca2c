"""Weight normalisation by a hook: the older form of ``parametrizations.weight_norm``."""

from __future__ import annotations

import warnings
from typing import Any, TypeVar

from ...operations.norms import vector_norm
from ...tensors.parameter import Parameter
from ...tensors.tensor import Tensor
from ..lazy import UninitializedParameter
from ..module import Module

M = TypeVar("M", bound=Module)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:
    """Return the norms of the slices of *v* along *dim*, with all its dimensions; one number for *dim* -1."""
    if dim == -1:
        return vector_norm(v, pow)  # type: ignore[no-any-return]
    return vector_norm(v, pow, dim=tuple(d for d in range(v.ndim) if d != dim % v.ndim), keepdim=True)  # type: ignore[no-any-return]


def scaled(direction: Tensor, norms: Tensor, dim: int) -> Tensor:
    """Return the slices of *direction* along *dim* with the given norms."""
    found: Tensor = direction * (norms / norm_except_dim(direction, 2, dim))
    return found


class WeightNorm:
    """The hook that computes the weight anew before each call of a module."""

    def __init__(self, name: str, dim: int) -> None:
        self.name = name
        self.dim = dim

    def compute_weight(self, module: Module) -> Tensor:
        """Return the weight of its norms and its direction."""
        return scaled(getattr(module, f"{self.name}_v"), getattr(module, f"{self.name}_g"), self.dim)

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.compute_weight(module))


def find_hook(module: Module, kind: type[Any], name: str) -> tuple[int, Any] | None:
    """Return the key and the hook of *kind* that computes the weight *name* of *module*, if there is one."""
    for key, hook in module._forward_pre_hooks.items():
        if isinstance(hook.function, kind) and hook.function.name == name:
            return key, hook.function
    return None


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Train the norms of a weight, ``weight_g``, apart from its direction, ``weight_v`` (Salimans and Kingma 2016).

    Warns as PyTorch does: ``nn.utils.parametrizations.weight_norm`` is its successor. *dim* is the dimension whose slices
    have a norm each, None for one norm of all.

    Example:
        >>> import allgrad as torch, warnings
        >>> warnings.simplefilter("ignore", FutureWarning)
        >>> layer = torch.nn.utils.weight_norm(torch.nn.Linear(20, 40))
        >>> layer.weight_g.shape, layer.weight_v.shape
        (torch.Size([40, 1]), torch.Size([40, 20]))
    """
    warnings.warn(
        "`torch.nn.utils.weight_norm` is deprecated in favor of `torch.nn.utils.parametrizations.weight_norm`.",
        FutureWarning,
        stacklevel=2,
    )
    if find_hook(module, WeightNorm, name):
        raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
    hook = WeightNorm(name, -1 if dim is None else dim)
    weight = getattr(module, name)
    if isinstance(weight, UninitializedParameter):
        raise ValueError(
            "The module passed to `WeightNorm` can't have uninitialized parameters. Make sure to run the dummy forward "
            "before applying weight normalization"
        )
    del module._parameters[name]
    module.register_parameter(f"{name}_g", Parameter(norm_except_dim(weight.detach(), 2, hook.dim)))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    hook(module, ())
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make the weight an ordinary parameter again. ValueError if it is not normalised."""
    found = find_hook(module, WeightNorm, name)
    if found is None:
        raise ValueError(f"weight_norm of '{name}' not found in {module}")
    key, hook = found
    weight = hook.compute_weight(module).detach()
    del module._forward_pre_hooks[key]
    for gone in (name, f"{name}_g", f"{name}_v"):
        delattr(module, gone)
    setattr(module, name, Parameter(weight))
    return module
