"""How variables vary together."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..registry import composite
from ..registry.samples import each, on, real
from ..tensors.tensor import Tensor
from .arithmetic import minus, mul, quotient
from .comparison import clamp
from .conversion import conj
from .diagonal import diagonal
from .elementwise import sqrt
from .linear import matmul
from .reduction import sum_over
from .shape import reshape, squeeze, t, unsqueeze


def _weights(input: Tensor, fweights: Tensor | None, aweights: Tensor | None) -> Tensor | None:
    """How much each observation counts, the product of *fweights* and *aweights*; None if all count alike."""
    count = input._array.shape[-1]
    for name, weights, kinds, wanted in (
        ("fweights", fweights, "iu", "integral"),
        ("aweights", aweights, "f", "floating point"),
    ):
        if weights is None:
            continue
        if weights._array.ndim > 1 or weights._array.size != count:
            raise RuntimeError(
                f"cov(): expected {name} to have one element for each of the {count} observations, but got shape "
                f"{list(weights.shape)}"
            )
        if weights._array.dtype.kind not in kinds:
            raise RuntimeError(
                f"cov(): expected {name} to have {wanted} dtype but got {name} with {weights.dtype} dtype"
            )
        if weights._array.size and weights._array.min() < 0:
            raise RuntimeError(f"cov(): {name} cannot be negative")
    if fweights is None or aweights is None:
        return aweights if fweights is None else fweights
    return mul(fweights, aweights)


@composite(
    samples=each(
        on(real(3, 5)), on(real(5)), on(real(3, 5), correction=0),
        on(real(2, 4), fweights=np.array([1, 2, 1, 3]), aweights=np.array([0.5, 1.0, 2.0, 0.1])),
    )
)  # fmt: skip
def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None
) -> Tensor:
    """The covariances of the variables in the rows of input, whose columns are observations: (n, n), 0-d for a vector.

    Divided by the number of observations less *correction*. *fweights* says how often each observation was made,
    *aweights* how much it weighs.

    >>> import allgrad as torch
    >>> torch.cov(torch.tensor([[0., 1., 2.], [2., 1., 0.]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    if input._array.ndim > 2:
        raise RuntimeError(f"cov(): expected input to have two or fewer dimensions but got {input._array.ndim}")
    if input._array.dtype == bool:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    rows = input if input._array.ndim == 2 else reshape(input, (1, -1))
    weights = _weights(rows, fweights, aweights)
    total: Any = rows._array.shape[1] if weights is None else sum_over(weights)
    weighted = rows if weights is None else mul(rows, weights)
    centred = minus(rows, quotient(sum_over(weighted, 1, True), total))
    degrees = total - correction
    if weights is not None and aweights is not None and correction:
        degrees = total - quotient(mul(correction, sum_over(mul(weights, aweights))), total)
    if isinstance(degrees, Tensor):
        degrees = clamp(degrees, min=0)
    spread = centred if weights is None else mul(centred, weights)
    products = matmul(spread, conj(t(centred)))
    return squeeze(quotient(products, degrees if isinstance(degrees, Tensor) else max(degrees, 0)))


def _within_one(x: Tensor) -> Tensor:
    return x if x.is_complex() else clamp(x, -1, 1)


@composite(samples=each(on(real(3, 5))))
def corrcoef(input: Tensor) -> Tensor:
    """The correlation coefficients of the variables in the rows of input: (n, n), 0-d for a vector.

    >>> import allgrad as torch
    >>> torch.corrcoef(torch.tensor([[0., 1., 2.], [2., 1., 0.]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    c = cov(input)
    if not c._array.ndim:
        return quotient(c, c)
    deviations = sqrt(diagonal(c))
    return _within_one(quotient(quotient(c, unsqueeze(deviations, 1)), unsqueeze(deviations, 0)))
