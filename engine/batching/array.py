"""The batched array: looks like one example, holds all of them, and computes on all of them at once.

``vmap`` hands the function that it maps tensors over such arrays. Whatever NumPy does with one (``__array_ufunc__``,
``__array_function__``, operators, subscripts) it does for each example, with the batch in front of the dimensions that
are seen. So an operation's forward and its derivative rules, which are written in NumPy, need no second version.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

Array = np.ndarray[Any, Any]
Levels = tuple[int, ...]


class Unbatchable(RuntimeError):
    """Asked of a batch at once, what can only be answered for each of its examples."""


class Batched(NDArrayOperatorsMixin):
    """A batch of arrays of one shape and type, which is the shape and type that it shows.

    *values* has one dimension for each of *levels* in front, then those of an example. A level is the number of one running
    ``vmap``; nested ones have greater numbers, and stand behind in ascending order.
    """

    __slots__ = ("levels", "values")

    values: Any
    levels: Levels

    def __init__(self, values: Any, levels: Levels) -> None:
        self.values, self.levels = values, levels

    # --- what an example is

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.values.shape[len(self.levels) :])

    @property
    def ndim(self) -> int:
        return len(self.values.shape) - len(self.levels)

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def dtype(self) -> Any:
        return self.values.dtype

    @property
    def itemsize(self) -> int:
        return int(self.values.itemsize)

    @property
    def nbytes(self) -> int:
        return self.size * self.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        return tuple(self.values.strides[len(self.levels) :])

    @property
    def flags(self) -> Any:
        return self.values.flags

    @property
    def base(self) -> Any:
        return self.values.base

    @property
    def sizes(self) -> dict[int, int]:
        """How many examples there are at each level."""
        return dict(zip(self.levels, self.values.shape, strict=False))

    def widen(self, sizes: dict[int, int]) -> bool:
        """Make room for the examples of *sizes*, before they are written; False where something else shows this memory."""
        if set(sizes) <= set(self.levels):
            return True
        if sys.getrefcount(self.values) > 2 or self.values.base is not None:  # a view would not follow
            return False
        every = dict(sorted((sizes | self.sizes).items()))
        self.values, self.levels = completed(self, every).copy(), tuple(every)
        return True

    # --- one example's value, where all have the same

    def uniform(self) -> Any:
        """The only element of every example, if it is the same in all; Unbatchable otherwise, or for other sizes."""
        if self.size != 1 or not self.values.size:
            raise Unbatchable(f"a batch of arrays of shape {self.shape} has no single value")
        flat = self.values.reshape(-1)
        if not (flat == flat[0]).all():
            raise Unbatchable("the value is another one for each example")
        return flat[0].item()

    def __bool__(self) -> bool:
        return bool(self.uniform())

    def __int__(self) -> int:
        return int(self.uniform())

    def __float__(self) -> float:
        return float(self.uniform())

    def __complex__(self) -> complex:
        return complex(self.uniform())

    def __index__(self) -> int:
        raise Unbatchable("a batch of whole numbers is no single index")

    def item(self) -> Any:
        return self.uniform()

    def tolist(self) -> NoReturn:
        raise Unbatchable("a batch is not a list of numbers")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Array:
        raise Unbatchable("a batch of arrays was taken for an array")

    # --- NumPy's protocols

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        from .ufuncs import apply

        return apply(ufunc, method, inputs, options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        from .functions import apply

        return apply(function, args, kwargs)

    # --- subscripts

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return self.shape[0]

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, index: Any) -> Any:
        from .indexing import get

        return get(self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        from .indexing import put

        put(self, index, value)

    # --- NumPy's methods

    def __getattr__(self, name: str) -> Any:
        from .functions import METHODS

        function = METHODS.get(name)
        if function is None:
            raise AttributeError(f"a batch of arrays has no attribute {name!r}")
        return lambda *args, **kwargs: function(self, *args, **kwargs)

    @property
    def T(self) -> Any:  # noqa: N802 -- NumPy's name
        return np.transpose(self)

    @property
    def mT(self) -> Any:  # noqa: N802 -- NumPy's name
        return np.swapaxes(self, -1, -2)

    @property
    def real(self) -> Any:
        return Batched(self.values.real, self.levels)

    @property
    def imag(self) -> Any:
        return Batched(self.values.imag, self.levels)

    def astype(self, dtype: Any, *args: Any, **options: Any) -> Any:
        return Batched(self.values.astype(dtype, *args, **options), self.levels)

    def copy(self, order: Any = "C") -> Any:
        return Batched(self.values.copy(order), self.levels)

    def view(self, dtype: Any) -> Any:
        if not self.ndim:
            raise Unbatchable("only arrays with dimensions are seen as another type")
        return Batched(self.values.view(dtype), self.levels)

    def fill(self, value: Any) -> None:
        self[...] = value

    def reshape(self, *shape: Any, order: str = "C", copy: bool | None = None) -> Any:
        sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], (int, np.integer)) else shape
        if order != "C":
            raise Unbatchable("batches are only reshaped in row-major order")
        return Batched(self.values.reshape((*self.values.shape[: len(self.levels)], *sizes), copy=copy), self.levels)

    def transpose(self, *axes: Any) -> Any:
        listed = axes[0] if len(axes) == 1 and not isinstance(axes[0], (int, np.integer)) else axes
        return np.transpose(self, tuple(listed) if axes and listed is not None else None)

    def __repr__(self) -> str:
        return f"Batched(levels={self.levels}, values={self.values!r})"


def wrap(values: Any, levels: Levels) -> Any:
    """*values* as a batch at *levels*."""
    return Batched(np.asarray(values), levels)


def as_array(value: Any, dtype: Any = None, order: Any = None) -> Any:
    """``np.asarray``, which lets a batch be one."""
    if isinstance(value, Batched):
        return value if dtype is None or value.dtype == dtype else value.astype(dtype)
    return np.asarray(value, dtype, order)


def whole(value: Any) -> Array:
    """All that there is of *value*: the examples of a batch, or the array, in one array."""
    return value.values if isinstance(value, Batched) else np.asarray(value)


def anywhere(value: Any) -> bool:
    """Whether anything is true in *value*, an array or a Tensor, in any of the examples."""
    return bool(np.any(whole(getattr(value, "_array", value))))


def first_where(value: Any, condition: Any) -> Any:
    """An element of *value* for which *condition* holds in some example."""
    (values, chosen), _ = aligned((value, condition))
    every, where = np.broadcast_arrays(values, chosen)
    return every[where][0]


def any_batched(value: Any) -> bool:
    """Whether *value*, or a part of that list, tuple or dict, is a batch."""
    if isinstance(value, Batched):
        return True
    if isinstance(value, (list, tuple)):
        return any(map(any_batched, value))
    return isinstance(value, dict) and any(map(any_batched, value.values()))


def parts_of(value: Any) -> Iterator[Batched]:
    """The batches in *value*."""
    if isinstance(value, Batched):
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from parts_of(part)
    elif isinstance(value, dict):
        yield from parts_of(list(value.values()))


def levels_of(values: Any) -> Levels:
    """The levels at which something in *values* is batched."""
    found = {part.levels for part in parts_of(values)}
    return found.pop() if len(found) == 1 else tuple(sorted(set().union(*found)))


def sizes_of(values: Any) -> dict[int, int]:
    """How many examples the batches in *values* have at each level."""
    sizes: dict[int, int] = {}
    for part in parts_of(values):
        sizes |= part.sizes
    return dict(sorted(sizes.items()))


def raised(value: Any, levels: Levels, ndim: int) -> Any:
    """The values of a batch with a dimension for each of *levels*, then *ndim* more: of length 1 where it has none."""
    if not isinstance(value, Batched):
        return value
    own = value.ndim
    if value.levels == levels and own >= ndim:
        return value.values
    sizes = value.sizes
    front = tuple(sizes.get(level, 1) for level in levels)
    return value.values.reshape(front + (1,) * (ndim - own) + value.shape)


def aligned(values: Sequence[Any]) -> tuple[list[Any], Levels]:
    """*values* as arrays that broadcast against each other as the examples do, and the levels in front of the result."""
    levels = levels_of(values)
    rank = max((ndim_of(v) for v in values), default=0)
    return [raised(v, levels, rank) for v in values], levels


def ndim_of(value: Any) -> int:
    """The number of dimensions that *value*, an array or a number, shows."""
    return int(getattr(value, "ndim", 0))


def completed(value: Any, sizes: dict[int, int], ndim: int | None = None) -> Array:
    """The values of *value* with its examples at every level of *sizes*, repeated (without a copy) where it has none."""
    array: Any = value if isinstance(value, Batched) else Batched(np.asarray(value), ())
    wide = raised(array, tuple(sizes), array.ndim if ndim is None else ndim)
    return np.broadcast_to(wide, (*sizes.values(), *wide.shape[len(sizes) :]))


def lifted(value: Any) -> Any:
    """*value* as a batch at no level, if it is an array, or a list of them: so that what is done to it knows of batches."""
    if type(value) is np.ndarray:
        return Batched(value, ())
    return list(map(lifted, value)) if type(value) is list else value


def lowered(value: Any) -> Any:
    """*value* with every batch at no level in it an array again."""
    if isinstance(value, Batched):
        return value if value.levels else value.values
    if isinstance(value, dict):
        return {key: lowered(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        made = [lowered(part) for part in value]
        return type(value)(*made) if hasattr(value, "_fields") else type(value)(made)
    return value
