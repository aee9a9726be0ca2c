"""Making tensors of a range of numbers, and the identity matrix."""

from __future__ import annotations

import builtins
import warnings
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
    if dtype is not None and not dtypes.as_dtype(dtype).is_floating_point:
        start, end, step = int(start), int(end), int(step)
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    whole = all(isinstance(v, int) for v in (start, end, step))
    kind = (dtypes.int64 if whole else dtypes.get_default_dtype()) if dtype is None else dtypes.as_dtype(dtype)
    count = -((start - end) // step) if whole else int(np.ceil((end - start) / step))
    array = np.arange(count) * step + start if not whole else np.arange(start, end, step)
    return finished(array.astype(kind.numpy), requires_grad, device)


def _ends(name: str, start: Any, end: Any) -> tuple[float, float]:
    for end_ in (start, end):
        if isinstance(end_, Tensor) and end_._array.ndim:
            raise RuntimeError(
                f"{name} only supports 0-dimensional start and end tensors, but got one with {end_._array.ndim} dimensions"
            )
    return float(start), float(end)


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
    first, last = _ends("linspace", start, end)
    return finished(np.linspace(first, last, steps).astype(numpy_dtype(dtype)), requires_grad, device)


@composite(out=True, method=False)
def logspace(
    start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None,
    requires_grad: builtins.bool = False,
) -> Tensor:  # fmt: skip
    """*steps* powers of *base*, with exponents from *start* to *end* evenly spaced."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    first, last = _ends("logspace", start, end)
    return finished(
        np.logspace(first, last, steps, base=base).astype(numpy_dtype(dtype)),
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
    for name, length in (("n", n), ("m", n if m is None else m)):
        if length < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {length}")
    return finished(np.eye(n, m, dtype=numpy_dtype(dtype)), requires_grad, device)


@composite(out=True, method=False)
def range(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, device: Any = None,
    requires_grad: builtins.bool = False,
) -> Tensor:  # fmt: skip
    """The numbers from *start* up to and with *end*, by *step*, floating by default; deprecated, and warns so.

    ``arange`` follows Python's ``range`` and leaves *end* out.
    """
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is inconsistent with "
        "Python's range builtin. Instead, use torch.arange, which produces values in [start, end).",
        UserWarning,
        stacklevel=2,
    )
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    kind = dtypes.get_default_dtype() if dtype is None else dtypes.as_dtype(dtype)
    values = start + np.arange(int((end - start) // step) + 1) * step
    return finished(values.astype(kind.numpy), requires_grad, device)
