"""The variants of views that always copy, and repeating."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import normal_dim
from ..registry import composite
from ..registry.samples import Samples, each, on, real
from ..tensors.tensor import Tensor
from . import diagonal, joining, shape, strides
from .indexing import index_by


def _copying(view: Callable[..., Any], name: str, samples: Samples | None, method: bool = False) -> Callable[..., Any]:
    """The variant of *view* under the name *name* whose results have memory of their own."""

    def copied(*args: Any, **kwargs: Any) -> Any:
        made = view(*args, **kwargs)
        return made.clone() if isinstance(made, Tensor) else tuple(part.clone() for part in made)

    copied.__name__ = copied.__qualname__ = name
    copied.__doc__ = f"Like ``{name.removesuffix('_copy')}``, but always a copy, with memory of its own."
    copied.__wrapped__ = view  # type: ignore[attr-defined] # inspect.signature follows it
    return composite(out=True, samples=samples, method=method)(copied)


def _alias(input: Tensor) -> Tensor:
    """input itself."""
    return input


alias_copy = _copying(_alias, "alias_copy", on(real(3)))
as_strided_copy = _copying(strides.as_strided, "as_strided_copy", None)
detach_copy = _copying(lambda input: input.detach(), "detach_copy", on(real(3)))
diagonal_copy = _copying(diagonal.diagonal, "diagonal_copy", on(real(3, 4), 1))
expand_copy = _copying(shape.expand, "expand_copy", on(real(3, 1), (3, 2)))
narrow_copy = _copying(shape.narrow, "narrow_copy", on(real(4, 3), 0, 1, 2), method=True)
permute_copy = _copying(shape.permute, "permute_copy", on(real(2, 3), (1, 0)))
select_copy = _copying(shape.select, "select_copy", on(real(4, 3), 0, 1))
split_copy = _copying(shape.split, "split_copy", on(real(5, 2), 2))
split_with_sizes_copy = _copying(joining.split_with_sizes, "split_with_sizes_copy", on(real(5, 2), [2, 3]))
squeeze_copy = _copying(shape.squeeze, "squeeze_copy", each(on(real(3, 1)), on(real(3, 1), 1)))
t_copy = _copying(shape.t, "t_copy", on(real(3, 2)))
transpose_copy = _copying(shape.transpose, "transpose_copy", on(real(3, 2), 0, 1))
unbind_copy = _copying(shape.unbind, "unbind_copy", on(real(3, 2)))
unfold_copy = _copying(strides.unfold, "unfold_copy", on(real(5), 0, 2, 1))
unsqueeze_copy = _copying(shape.unsqueeze, "unsqueeze_copy", on(real(3), 0))
view_copy = _copying(shape.view, "view_copy", on(real(3, 4), (2, 6)))


@composite(
    out=True,
    samples=each(on(real(3), 2), on(real(2, 3), 2, 1), on(real(2, 3), np.array([1, 2]), 0), on(real(), 2)),
)
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """input with each slice along *dim* *repeats* times, a number or one for each; flattened without *dim*.

    ``repeat_interleave(repeats)`` alone gives each index as often as *repeats* says.

    >>> import allgrad as torch
    >>> torch.repeat_interleave(torch.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if repeats is None:
        return Tensor._wrap(np.repeat(np.arange(input._array.size), input._array))
    counts = repeats._array if isinstance(repeats, Tensor) else np.asarray(repeats)
    if counts.dtype.kind not in "iu":
        raise NotImplementedError(f"repeats has to be Long or Int tensor, found {counts.dtype}")
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    source = shape.reshape(input, (-1,)) if dim is None or not input._array.ndim else input
    d = 0 if dim is None else normal_dim(dim, input._array.ndim)
    length = source._array.shape[d]
    if counts.size not in (1, length) or counts.ndim > 1:
        raise RuntimeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = {counts.size} and "
            f"input.size({d}) = {length}"
        )
    return index_by(source, (slice(None),) * d + (np.repeat(np.arange(length), counts.reshape(-1)),))
