"""Making tensors of a range of numbers, and the identity matrix."""

from __future__ import annotations

import builtins
from typing import Any

import numpy as np

from .. import dtypes
from ..registry import composite
from ..tensors.tensor import Tensor
from .creation import finished, numpy_dtype


@composite(out=True, method=False)
def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: builtins.bool = False,
) -> Tensor:
    """The numbers from *start* (0 if only *end* is given) up to, not including, *end*, by *step*.

    >>> import allgrad as torch
    >>> torch.arange(1, 4)
    tensor([1, 2, 3])
    """
    if end is None:
        start, end = 0, start
    start, end, step = (v.item() if isinstance(v, Tensor) else v for v in (start, end, step))
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    whole = all(isinstance(v, int) for v in (start, end, step))
    kind = (dtypes.int64 if whole else dtypes.get_default_dtype()) if dtype is None else dtypes.as_dtype(dtype)
    count = -((start - end) // step) if whole else int(np.ceil((end - start) / step))
    array = np.arange(count) * step + start if not whole else np.arange(start, end, step)
    return finished(array.astype(kind.numpy), requires_grad, device)


@composite(out=True, method=False)
def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: builtins.bool = False,
) -> Tensor:
    """*steps* numbers from *start* to *end*, both included, evenly spaced."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    return finished(np.linspace(float(start), float(end), steps).astype(numpy_dtype(dtype)), requires_grad, device)


@composite(out=True, method=False)
def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
    requires_grad: builtins.bool = False,
) -> Tensor:  # fmt: skip
    """*steps* powers of *base*, with exponents from *start* to *end* evenly spaced."""
    return finished(
        np.logspace(float(start), float(end), steps, base=base).astype(numpy_dtype(dtype)),
        requires_grad,
        device,
    )


@composite(out=True, method=False)
def eye(
    n: int,
    m: int | None = None,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: builtins.bool = False,
) -> Tensor:
    """The (n, m) matrix with ones on the diagonal and zeros elsewhere; square if *m* is None."""
    return finished(np.eye(n, m, dtype=numpy_dtype(dtype)), requires_grad, device)
