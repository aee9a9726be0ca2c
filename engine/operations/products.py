"""Products and powers of matrices and vectors: chains, integer powers, exponentials, cross products, Vandermonde matrices."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from ..batching import broadcasting
from ..errors import normal_dim
from ..kernels.matrix_exponential import matrix_exponential
from ..registry import Array, composite, operation
from ..registry.operation import Promotion
from ..registry.samples import each, on, real, unit
from ..tensors.tensor import Tensor
from .matrices import SQUARES, expect_floating, expect_square, mT, well_conditioned
from .shape import cat
from .solving import inv


@operation(lambda g: np.zeros_like(g), public=False, node_name="CopyBackwards", samples=SQUARES)
def identities(A: Array) -> Array:
    """The identity in place of each matrix."""
    return np.broadcast_to(np.eye(A.shape[-1], dtype=A.dtype), A.shape).copy()


@composite(
    out=True,
    namespace="linalg",
    aliases=("matrix_power",),
    samples=each(*(well_conditioned(on(real(2, 3, 3), n)) for n in (0, 1, 2, 3, 5, -1, -2)), on(real(0, 0), 2)),
)
def matrix_power(A: Tensor, n: int) -> Tensor:
    """The *n*-th power of each matrix, (…, m, m): the identity for 0, of the inverse for negative *n*.

    >>> import allgrad as torch
    >>> torch.linalg.matrix_power(torch.tensor([[1., 1.], [0., 1.]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    if A._array.dtype.kind in "fc":
        expect_square("linalg.matrix_power", A)
    elif A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError(f"linalg.matrix_power: A must be batches of square matrices, found shape {list(A.shape)}")
    if n == 0:
        return identities(A)
    base = inv(A) if n < 0 else A
    return _powered(base, abs(n))


def _powered(base: Tensor, n: int) -> Tensor:
    """By squaring: as many products as *n* has binary digits, twice at most."""
    result: Tensor | None = None
    while True:
        if n & 1:
            result = base if result is None else result @ base
        n >>= 1
        if not n:
            assert result is not None
            return result.clone() if result is base else result
        base = base @ base


def _exponential_rule(g: Any, A: Any) -> Any:
    """exp of [[Aᵀ, g], [0, Aᵀ]] has the gradient in its corner (Mathias, SIAM J. Matrix Anal. Appl. 17, 1996)."""
    n = tuple(A.shape)[-1]
    transposed = mT(A)
    above = np.concatenate([transposed, g], axis=-1)
    below = np.concatenate([np.zeros_like(transposed), transposed], axis=-1)
    return matrix_exp(np.concatenate([above, below], axis=-2))[..., :n, n:]


@operation(
    _exponential_rule,
    namespace="linalg",
    aliases=("matrix_exp",),
    node_name="LinalgMatrixExpBackward0",
    samples=SQUARES,
    batching=broadcasting,
)
def matrix_exp(A: Array) -> Array:
    """The exponential of each matrix, (…, n, n), by scaling and squaring (Higham 2005).

    >>> import allgrad as torch
    >>> torch.linalg.matrix_exp(torch.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    expect_square("linalg.matrix_exp", A)
    return matrix_exponential(A)


@composite(out=True,
    namespace="linalg",
    method=False,
    samples=each(
        on([real(2, 3), real(3, 4), real(4, 2)]), on([real(3), real(3, 4), real(4)]), on([real(2, 3), real(3, 1), real(1, 4)]),
        on([real(2, 3), real(3)]),
    ),
)  # fmt: skip
def multi_dot(tensors: Sequence[Tensor]) -> Tensor:
    """The product of matrices in the order that takes the fewest multiplications; the first and last may be vectors."""
    listed = list(tensors)
    if len(listed) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(listed)}")
    for position, tensor in enumerate(listed):
        ends = position in (0, len(listed) - 1)
        if tensor.ndim != 2 and not (ends and tensor.ndim == 1):
            allowed = "1D or 2D" if ends else "2D"
            raise RuntimeError(f"multi_dot(): tensor {position} must be {allowed} but got {tensor.ndim}D")
    row, column = listed[0].ndim == 1, listed[-1].ndim == 1
    listed[0] = listed[0].unsqueeze(0) if row else listed[0]
    listed[-1] = listed[-1].unsqueeze(1) if column else listed[-1]
    for i, (a, b) in enumerate(pairwise(listed)):
        if a.shape[1] != b.shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i} and {i + 1} with shapes {list(tensors[i].shape)} and {list(tensors[i + 1].shape)} "
                "cannot be multiplied"
            )
    product = _multiplied(
        listed, _cheapest_splits([t.shape[0] for t in listed] + [listed[-1].shape[1]]), 0, len(listed) - 1
    )
    shape = (() if row else (product.shape[0],)) + (() if column else (product.shape[1],))
    return product.reshape(shape)


def _cheapest_splits(sizes: list[int]) -> dict[tuple[int, int], int]:
    """For each run of matrices, of *sizes* around them, where to split it (Cormen et al., Introduction to Algorithms, 15.2)."""
    count = len(sizes) - 1
    cost = {(i, i): 0 for i in range(count)}
    splits: dict[tuple[int, int], int] = {}
    for length in range(1, count):
        for i in range(count - length):
            j = i + length
            cost[i, j], splits[i, j] = min(
                (cost[i, k] + cost[k + 1, j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            )
    return splits


def _multiplied(listed: list[Tensor], splits: dict[tuple[int, int], int], i: int, j: int) -> Tensor:
    if i == j:
        return listed[i]
    k = splits[i, j]
    product: Tensor = _multiplied(listed, splits, i, k) @ _multiplied(listed, splits, k + 1, j)
    return product


def _crossed(a: Any, b: Any, dim: int) -> Any:
    """The cross products along *dim*, from rolled copies: a linear map of each operand."""
    return np.roll(a, -1, dim) * np.roll(b, -2, dim) - np.roll(a, -2, dim) * np.roll(b, -1, dim)


@operation(
    lambda g, other, dim: _crossed(other, g, dim),
    lambda g, input, dim: _crossed(g, input, dim),
    promotion=Promotion.ARITHMETIC,
    broadcasts=True,
    public=False,
    node_name="LinalgCrossBackward0",
    samples=each(on(real(2, 3), real(2, 3), -1), on(real(3, 2), real(3, 1), -2), on(real(1, 3), real(2, 3), -1)),
)
def crossed(input: Array, other: Array, dim: int) -> Array:
    """The cross products of vectors along *dim*, counted from the end."""
    return _crossed(input, other, dim)


@composite(
    out=True,
    namespace="linalg",
    method=False,
    samples=each(on(real(2, 3), real(2, 3)), on(real(3, 2), real(3, 2), dim=0)),
)
def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
    """The cross products of the vectors of length 3 along *dim*; other dimensions broadcast.

    >>> import allgrad as torch
    >>> torch.linalg.cross(torch.tensor([1., 0., 0.]), torch.tensor([0., 1., 0.]))
    tensor([0., 0., 1.])
    """
    if input.ndim != other.ndim:
        raise RuntimeError(
            f"linalg.cross: inputs must have the same number of dimensions. Found {input.ndim} and {other.ndim}"
        )
    place = normal_dim(dim, input.ndim)
    if input.shape[place] != 3 or other.shape[place] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[place]} and {other.shape[place]}"
        )
    return crossed(input, other, place - input.ndim)


@composite(
    out=True,
    namespace="linalg",
    method=False,
    samples=each(on(real(2, 3), real(2, 3)), on(real(3), real(2, 3)), on(real(3, 2), real(3, 2), dim=0)),
)
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sum of conj(x) · y over *dim*; other dimensions broadcast."""
    expect_floating("linalg.vecdot", x, low_precision=True)
    if x.ndim and y.ndim and x.shape[dim] != y.shape[dim]:
        raise RuntimeError(
            f"linalg.vecdot: inconsistent tensor size, expected both to have the same length along dim {dim}, but got "
            f"{x.shape[dim]} and {y.shape[dim]} elements respectively"
        )
    return ((x.conj() if x.is_complex() else x) * y).sum(dim)


@composite(namespace="linalg", method=False, samples=each(on(real(3)), on(real(2, 3), N=4), on(unit(2), N=2)))
def vander(x: Tensor, N: int | None = None) -> Tensor:
    """Rows of the powers 0 to *N* - 1 (by default as many as x has numbers) of each number of x: (…, n) gives (…, n, N).

    RuntimeError for an *N* below 2.
    """
    if not x.ndim:
        x = x.reshape(1)
    columns = x.shape[-1] if N is None else N
    if columns <= 1:
        raise RuntimeError(f"N must be greater than 1, found {columns}")
    one = Tensor._wrap(np.ones((*x.shape, 1), x._array.dtype))
    powers = x.unsqueeze(-1).expand((*x.shape, columns - 1)).cumprod(-1)
    return cat([one, powers], -1)
