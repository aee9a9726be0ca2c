"""Complex numbers: made of their parts, and taken apart."""

from __future__ import annotations

import numpy as np

from ..registry import Array, composite, operation
from ..registry.samples import binary, each, on, positive, real
from ..tensors.tensor import Tensor, add_method
from .arithmetic import mul
from .conversion import conj
from .elementwise import cos, sin
from .shape import transpose


@operation(
    lambda g: np.real(g),
    lambda g: -np.imag(g),
    broadcasts=True,
    method=False,
    samples=binary(),
)
def complex(real: Array, imag: Array) -> Array:
    """The complex numbers real + i · imag, of two tensors of one floating type.

    >>> import allgrad as torch
    >>> torch.complex(torch.tensor([1.]), torch.tensor([2.]))
    tensor([1.+2.j])
    """
    if real.dtype != imag.dtype or real.dtype.kind != "f":
        raise RuntimeError(
            f"Expected both inputs to be Half, Float or Double tensors of one type, but got {real.dtype} and {imag.dtype}"
        )
    return real + 1j * imag


@composite(out=True, method=False, samples=on(positive(3), real(3)))
def polar(abs: Tensor, angle: Tensor) -> Tensor:
    """The complex numbers of modulus *abs* and the angle *angle* in radians.

    >>> import allgrad as torch
    >>> torch.polar(torch.tensor([2.]), torch.tensor([0.]))
    tensor([2.+0.j])
    """
    return complex(mul(abs, cos(angle)), mul(abs, sin(angle)))


@operation(
    lambda g: g[..., 0] - 1j * g[..., 1],
    view=True,
    samples=None,
)
def view_as_real(input: Array) -> Array:
    """A view of complex numbers as pairs of real ones: with a new last dimension of length 2.

    >>> import allgrad as torch
    >>> torch.view_as_real(torch.tensor([1 + 2j]))
    tensor([[1., 2.]])
    """
    if input.dtype.kind != "c":
        raise RuntimeError(f"view_as_real is only supported for complex tensors, found {input.dtype}")
    return input[..., None].view(input.real.dtype)


@operation(
    lambda g: np.stack([np.real(g), -np.imag(g)], axis=-1),
    view=True,
    node_name="ViewAsComplexBackward0",
    public=False,
    samples=each(on(real(3, 2)), on(real(2))),
)
def pairs_as_complex(input: Array) -> Array:
    """Pairs of real numbers, in the last dimension, as complex ones: a view where they lie side by side."""
    side_by_side = input if input.strides[-1] == input.itemsize else np.ascontiguousarray(input)
    return side_by_side.view(np.result_type(input.dtype, np.complex64))[..., 0]


@composite()
def view_as_complex(input: Tensor) -> Tensor:
    """A view of pairs of real numbers, in the last dimension of length 2, as complex ones.

    >>> import allgrad as torch
    >>> torch.view_as_complex(torch.tensor([[1., 2.]]))
    tensor([1.+2.j])
    """
    array = input._array
    if array.dtype.kind != "f":
        raise RuntimeError(
            f"view_as_complex is only supported for half, float and double tensors, but got a tensor of {input.dtype}"
        )
    if not array.ndim or array.shape[-1] != 2:
        raise RuntimeError(f"Tensor must have a last dimension of size 2, found shape {list(input.shape)}")
    if array.strides[-1] != array.itemsize:
        raise RuntimeError("Tensor must have a last dimension with stride 1: use .contiguous() first")
    return pairs_as_complex(input)


@composite(samples=each(on(real(3, 4)), on(real(2, 3, 4))))
def adjoint(input: Tensor) -> Tensor:
    """A view of matrices, in the last two dimensions, conjugated and with rows and columns exchanged."""
    return _conjugate_transpose("adjoint()", input)


def _conjugate_transpose(name: str, input: Tensor) -> Tensor:
    if input._array.ndim < 2:
        raise RuntimeError(
            f"tensor.{name} is only supported on matrices or batches of matrices. Got {input._array.ndim}-D tensor."
        )
    turned = transpose(input, -2, -1)
    return conj(turned) if input.is_complex() else turned


def _hermitian(self: Tensor) -> Tensor:
    """A matrix conjugated and with rows and columns exchanged."""
    if self._array.ndim == 0:
        return conj(self) if self.is_complex() else self
    if self._array.ndim != 2:
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {self._array.ndim}-D tensor."
            + (" For batches of matrices, consider using tensor.mH" if self._array.ndim > 2 else "")
        )
    return _conjugate_transpose("H", self)


add_method("H", property(_hermitian))
add_method("mH", property(lambda self: _conjugate_transpose("mH", self)))
