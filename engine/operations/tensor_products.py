"""Products beyond the plain matrix product: with something added, over several dimensions, of Kronecker."""

from __future__ import annotations

import math
from typing import Any

from ..errors import normal_dims
from ..registry import composite
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .arithmetic import mul
from .conversion import conj
from .linear import added_to, bmm, dot, matmul, mv, outer
from .reduction import sum_over
from .shape import permute, reshape


@composite(
    out=True,
    inplace=True,
    samples=each(on(real(3), real(3, 4), real(4)), on(real(1), real(3, 4), real(4), beta=0.5, alpha=2)),
)
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · input + alpha · (mat @ vec), of a matrix (n, m) and a vector (m).

    >>> import allgrad as torch
    >>> torch.addmv(torch.ones(2), torch.eye(2), torch.tensor([1., 2.]))
    tensor([2., 3.])
    """
    return added_to("addmv", input, mv(mat, vec), beta, alpha)


@composite(
    out=True,
    inplace=True,
    samples=each(on(real(3, 4), real(3), real(4)), on(real(), real(3), real(4), beta=0.5, alpha=2.0)),
)
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · input + alpha · (vec1 ⊗ vec2), the outer product of two vectors."""
    return added_to("addr", input, outer(vec1, vec2), beta, alpha)


@composite(
    out=True,
    inplace=True,
    samples=each(on(real(2, 3, 2), real(2, 3, 4), real(2, 4, 2)), on(real(2), real(1, 3, 4), real(1, 4, 2), beta=0.5)),
)
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · input + alpha · (batch1 @ batch2), matrix by matrix: (b, n, m) and (b, m, p).

    >>> import allgrad as torch
    >>> torch.baddbmm(torch.ones(1, 1, 1), torch.ones(1, 1, 2), torch.ones(1, 2, 1))
    tensor([[[3.]]])
    """
    return added_to("baddbmm", input, bmm(batch1, batch2), beta, alpha)


@composite(out=True, inplace=True, samples=on(real(3, 2), real(2, 3, 4), real(2, 4, 2), beta=0.5, alpha=2.0))
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Tensor:
    """beta · input + alpha · Σ (batch1 @ batch2), the products of all matrices summed: (n, p)."""
    return added_to("addbmm", input, sum_over(bmm(batch1, batch2), 0), beta, alpha)


@composite(out=True, samples=on(real(3), real(3)))
def vdot(input: Tensor, other: Tensor) -> Tensor:
    """The sum of the products of two vectors, the first conjugated."""
    return dot(conj(input) if input.is_complex() else input, other)


@composite(out=True, samples=each(on(real(2, 3), real(4, 3)), on(real(3), real(3)), on(real(), real(3))))
def inner(input: Tensor, other: Tensor) -> Tensor:
    """The sums of products over the last dimension of both: (…, n) and (…, n) give the other dimensions of both.

    >>> import allgrad as torch
    >>> torch.inner(torch.tensor([1, 2]), torch.tensor([3, 4]))
    tensor(11)
    """
    if not input._array.ndim or not other._array.ndim:
        return mul(input, other)
    if input._array.shape[-1] != other._array.shape[-1]:
        raise RuntimeError(
            f"inner() the last dimension must match on both input tensors but got shapes {list(input.shape)} and "
            f"{list(other.shape)}"
        )
    return tensordot(input, other, ([-1], [-1]))


def _contracted(a: Tensor, b: Tensor, dims: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The dimensions of *a* and of *b* that ``tensordot`` sums over."""
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a._array.ndim, b._array.ndim):
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims}")
        dims = (range(a._array.ndim - dims, a._array.ndim), range(dims))
    first, second = (tuple([d] if isinstance(d, int) else d) for d in dims)
    if len(first) != len(second):
        raise RuntimeError("both dimension lists should have the same length")
    return normal_dims(first, a._array.ndim), normal_dims(second, b._array.ndim)


@composite(
    out=True,
    method=False,
    samples=each(on(real(2, 3, 4), real(3, 4, 2)), on(real(2, 3), real(2, 4), ([0], [0])), on(real(2), real(3), 0)),
)
def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sums of products over *dims*: so many last ones of *a* and first ones of *b*, or those in the two lists.

    >>> import allgrad as torch
    >>> torch.tensordot(torch.ones(2, 3), torch.ones(3, 4), 1).shape
    torch.Size([2, 4])
    """
    first, second = _contracted(a, b, dims)
    for d, e in zip(first, second, strict=True):
        # PyTorch lets a dimension of length 1 stand for one of any length.
        if a._array.shape[d] == 1 != b._array.shape[e]:
            b = sum_over(b, e, keepdim=True)
        elif b._array.shape[e] == 1 != a._array.shape[d]:
            a = sum_over(a, d, keepdim=True)
        elif a._array.shape[d] != b._array.shape[e]:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a._array.shape[d]} in dim {d} and second has "
                f"size {b._array.shape[e]} in dim {e}"
            )
    rest_a = [d for d in range(a._array.ndim) if d not in first]
    rest_b = [d for d in range(b._array.ndim) if d not in second]
    summed, rows, columns = ([t._array.shape[d] for d in ds] for t, ds in ((a, first), (a, rest_a), (b, rest_b)))
    left = reshape(permute(a, (*rest_a, *first)), (math.prod(rows), math.prod(summed)))
    right = reshape(permute(b, (*second, *rest_b)), (math.prod(summed), math.prod(columns)))
    return reshape(matmul(left, right), (*rows, *columns))


@composite(out=True, samples=each(on(real(2, 3), real(2, 2)), on(real(2), real(2, 3)), on(real(), real(3))))
def kron(input: Tensor, other: Tensor) -> Tensor:
    """The Kronecker product: every element of input times all of *other*, laid out in blocks.

    >>> import allgrad as torch
    >>> torch.kron(torch.tensor([1, 10]), torch.tensor([1, 2]))
    tensor([ 1,  2, 10, 20])
    """
    ndim = max(input._array.ndim, other._array.ndim)
    first = (1,) * (ndim - input._array.ndim) + input._array.shape
    second = (1,) * (ndim - other._array.ndim) + other._array.shape
    blocks = mul(
        reshape(input, tuple(k for n in first for k in (n, 1))),
        reshape(other, tuple(k for n in second for k in (1, n))),
    )
    return reshape(blocks, tuple(n * m for n, m in zip(first, second, strict=True)))


def _check_bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    shape1, shape2, shape = input1._array.shape, input2._array.shape, weight._array.shape
    if len(shape1) != len(shape2):
        raise RuntimeError(f"bilinear(): input dimensions do not match: got {len(shape1)} and {len(shape2)}")
    if shape1[:-1] != shape2[:-1]:
        raise RuntimeError(f"bilinear(): input batch dimensions do not match: got {list(shape1)} and {list(shape2)}")
    for number, found in ((1, shape1[-1]), (2, shape2[-1])):
        if found != shape[number]:
            raise RuntimeError(
                f"bilinear(): input{number} size does not match weight size: got {found} but expected {shape[number]}"
            )
    if bias is not None and bias._array.shape != shape[:1]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {list(bias.shape)} but expected {shape[0]}"
        )


@composite(
    method=False,
    samples=each(on(real(3, 2), real(3, 4), real(5, 2, 4), real(5)), on(real(2, 1, 2), real(2, 1, 3), real(2, 2, 3))),
)
def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """input1ᵀ · weight · input2 + bias: (…, n) and (…, m) by (out, n, m) and (out) become (…, out).

    RuntimeError for sizes that do not fit.

    >>> import allgrad as torch
    >>> torch.nn.functional.bilinear(torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0]]), torch.ones(1, 2, 1))
    tensor([[9.]])
    """
    _check_bilinear(input1, input2, weight, bias)
    out, n, m = weight._array.shape
    rows = math.prod(input1._array.shape[:-1])
    columns = reshape(permute(weight, (1, 0, 2)), (n, out * m))
    left = reshape(matmul(reshape(input1, (rows, n)), columns), (rows, out, m))
    result = reshape(matmul(left, reshape(input2, (rows, m, 1))), (*input1._array.shape[:-1], out))
    return result if bias is None else result + bias
