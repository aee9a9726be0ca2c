"""Dual tensors: a value and its derivative along a direction, carried through ordinary code.

Inside ``dual_level`` the operations on a dual are recorded as usual, and ``unpack_dual`` works out the tangent by
differentiating that record twice (see ``func.forward``): exact for every operation with a rule.
"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any, NamedTuple

from ..func.forward import pushed_forward
from ..func.reverse import settled
from ..tape.mode import enable_grad
from ..tensors.tensor import Tensor


class UnpackedDualTensor(NamedTuple):
    """What ``unpack_dual`` returns."""

    primal: Tensor
    tangent: Tensor | None


class _Levels(threading.local):
    def __init__(self) -> None:
        self.stack: list[list[tuple[Tensor, Tensor]]] = []


_levels = _Levels()


class dual_level:  # noqa: N801 -- PyTorch's name
    """The context in which duals are made and unpacked.

    >>> import allgrad as torch
    >>> import allgrad.autograd.forward_ad as fwAD
    >>> with fwAD.dual_level():
    ...     x = fwAD.make_dual(torch.tensor(3.0), torch.tensor(1.0))
    ...     fwAD.unpack_dual(x * x).tangent
    tensor(6.)
    """

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        exit_dual_level()


def enter_dual_level() -> int:
    """Open a level for duals, and return its number."""
    _levels.stack.append([])
    return len(_levels.stack) - 1


def exit_dual_level(*, level: int | None = None) -> None:
    """Close the innermost level: its duals lose their tangents."""
    if not _levels.stack:
        raise RuntimeError("exit_dual_level: no level is open")
    _levels.stack.pop()


def _duals(name: str) -> list[tuple[Tensor, Tensor]]:
    if not _levels.stack:
        raise RuntimeError(f"Trying to call {name} outside of a dual_level: wrap it in `with fwAD.dual_level():`")
    return _levels.stack[-1]


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """*tensor* as a dual whose derivative is *tangent*, of the same shape. ValueError for a non-floating tensor."""
    duals = _duals("make_dual")
    if not tensor.is_floating_point() and not tensor.is_complex():
        raise ValueError(f"Expected primal to be floating point or complex, but got: {tensor.dtype}")
    if tensor.shape != tangent.shape:
        raise RuntimeError(
            f"Trying to set a forward gradient that has a different size than that of the original Tensor: expected "
            f"{list(tensor.shape)}, found {list(tangent.shape)}"
        )
    with enable_grad():
        dual = tensor.view_as(tensor) if tensor.requires_grad else tensor.detach().requires_grad_()
    duals.append((dual, tangent))
    return dual


def unpack_dual(tensor: Tensor, *, level: int | None = None) -> UnpackedDualTensor:
    """The pair (primal, tangent) of *tensor*; the tangent is None if it does not depend on a dual of this level."""
    duals: list[Any] = _duals("unpack_dual")
    own = [dual for dual, _ in duals]
    if tensor._node is None or not own:
        return UnpackedDualTensor(tensor, None)
    for dual, tangent in duals:
        if tensor is dual:
            return UnpackedDualTensor(settled(tensor, own), tangent)
    with enable_grad():
        (derivative,) = pushed_forward([tensor], own)([tangent for _, tangent in duals])
        return UnpackedDualTensor(settled(tensor, own), settled(derivative, own))
