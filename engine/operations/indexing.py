"""Reading and writing by index: subscripts, gather and scatter, masks."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ..batching import Batched, NotVmapped, as_array, levels_of, zeros
from ..errors import normal_dim
from ..kernels.products import add_rows
from ..registry import Array, Index, composite, operation
from ..registry.inplace import check_may_change, rewrite_history, title, write
from ..registry.nodes import reduce_to
from ..registry.samples import each, on, real, truth
from ..tape.mode import mode
from ..tensors.tensor import Tensor, add_method

ARRAYS = (np.ndarray, Batched)
_PLAIN = (int, slice, type(None), type(Ellipsis))


def _plain(item: Any) -> Any:
    """One part of a subscript as NumPy takes it: tensors and lists become arrays."""
    if isinstance(item, Tensor):
        array = item._array
        if array.dtype == np.uint8:
            warnings.warn(
                "indexing with dtype torch.uint8 is now deprecated, please use a dtype torch.bool instead.",
                UserWarning,
                stacklevel=4,
            )
            return array.astype(bool)
        if array.dtype not in (np.int64, np.int32, np.bool_):
            raise IndexError(f"tensors used as indices must be long, int, byte or bool tensors, found {item.dtype}")
        whole = not array.ndim and array.dtype.kind != "b" and array.__class__ is np.ndarray
        return int(array) if whole else array
    if isinstance(item, (list, range)):
        return np.asarray([_plain(part) for part in item], dtype=None if len(item) else np.int64)
    return item


def _stands_for_a_dimension(item: Any) -> bool:
    """Whether a list that holds *item* is what a tuple would be: PyTorch keeps this of the NumPy of old."""
    return isinstance(item, (slice, type(None), type(Ellipsis), list, tuple, Tensor, np.ndarray)) and not (
        isinstance(item, (Tensor, np.ndarray)) and not item.ndim
    )


def plain_index(index: Any) -> tuple[Any, ...]:
    """The subscript *index* as a tuple of what NumPy takes. TypeError for a string."""
    if isinstance(index, str):
        raise TypeError(
            f"a tensor cannot be indexed by the string {index!r}: only by integers, slices, masks and tensors"
        )
    if isinstance(index, list) and any(_stands_for_a_dimension(item) for item in index):
        index = tuple(index)
    if not isinstance(index, tuple):
        return (index if isinstance(index, _PLAIN) else _plain(index),)
    return tuple(item if isinstance(item, _PLAIN) else _plain(item) for item in index)


def _in_two_steps(index: tuple[Any, ...], ndim: int) -> tuple[tuple[Any, ...], tuple[Any, ...]] | None:
    """*index* as a basic one and a following one of arrays, where it mixes whole numbers with arrays.

    NumPy takes a whole number beside an array as an array, which can move dimensions; PyTorch selects first.
    """
    arrays = [isinstance(i, ARRAYS) for i in index]
    if not any(arrays) or not any(isinstance(i, (int, np.integer)) and not isinstance(i, bool) for i in index):
        return None
    used = sum(
        i.ndim if isinstance(i, ARRAYS) and i.dtype == bool else 1 for i in index if i is not None and i is not Ellipsis
    )
    full: list[Any] = []
    for item in index:
        full += [slice(None)] * (ndim - used) if item is Ellipsis else [item]
    basic: list[Any] = []
    rest: list[Any] = []
    for item in full:
        if isinstance(item, ARRAYS):
            basic += [slice(None)] * (item.ndim if item.dtype == bool else 1)
            rest.append(item)
        else:
            basic.append(item)
            if not isinstance(item, (int, np.integer)):
                rest.append(slice(None))
    return tuple(basic), tuple(rest)


def _add_part(whole: Array, g: Array, shape: tuple[int, ...], index: tuple[Any, ...]) -> None:
    """Add to *whole* what ``index_zeros`` gives."""
    if _is_basic(index):
        whole[index] += g
    else:
        whole += index_zeros(g, shape, index)


@operation(
    lambda g, input_shape, index: index_zeros(g, input_shape, index),
    adding=_add_part,
    view=True,
    node_name=lambda node: _index_name(node._saved_index),
    public=False,
    called="__getitem__",
    samples=each(
        on(real(4, 3), (1,)),
        on(real(4, 3), (slice(1, 3), slice(None, None, 2))),
        on(real(4, 3), (Ellipsis, 0)),
        on(real(4, 3), (None, slice(None))),
        on(real(4, 3), (np.array([0, 2, 2]),)),
        on(real(4, 3), (slice(None), np.array([[0, 1], [2, 0]]))),
        on(real(4, 3), (np.array([True, False, True, True]),)),
    ),
)
def index_by(input: Array, index: tuple[Any, ...]) -> Any:
    """input at the plain *index*: a view for whole numbers and slices, a copy for arrays."""
    found = input[index]
    return found if found.__class__ in ARRAYS else input[(*index, ...)]  # a view, where NumPy gives a scalar


def _index_name(index: tuple[Any, ...]) -> str:
    """What PyTorch, which takes a basic index in steps, calls the node of the last step."""
    if not _is_basic(index):
        return "IndexBackward0"
    for item in reversed(index):
        if item is None:
            return "UnsqueezeBackward0"
        if isinstance(item, (int, np.integer)):
            return "SelectBackward0"
        if isinstance(item, slice) and (item != slice(None) or len(index) == 1):
            return "SliceBackward0"
    return "AliasBackward0"


def _is_basic(index: tuple[Any, ...]) -> bool:
    """Whether NumPy gives a view at *index*: only whole numbers, slices, None and the ellipsis."""
    return not any(isinstance(item, (bool, *ARRAYS)) for item in index)


@operation(
    lambda g, index: index_by(g, index),
    public=False,
    samples=each(on(real(3), (4, 3), (1,)), on(real(2, 3), (4, 3), (np.array([1, 1]),))),
)
def index_zeros(g: Array, shape: tuple[int, ...], index: tuple[Any, ...]) -> Array:
    """Zeros of *shape* with *g* added at *index*: what getting by index sends back."""
    if len(index) == 1 and _picks_rows(index[0]) and len(shape) > 1:
        return add_rows(g.reshape(-1, *shape[1:]), index[0].reshape(-1), shape)
    result = zeros(shape, g)
    if any(isinstance(i, ARRAYS) and i.dtype != bool for i in index):
        np.add.at(result, index, g)
    else:
        result[index] = g
    return result


def _picks_rows(item: Any) -> bool:
    return isinstance(item, ARRAYS) and item.dtype.kind in "iu" and item.size > 0 and not levels_of(item)


def _getitem(self: Tensor, index: Any) -> Tensor:
    if index.__class__ is int or index.__class__ is slice:
        return index_by(self, (index,))
    plain = plain_index(index)
    steps = _in_two_steps(plain, self._array.ndim)
    if steps is None:
        return index_by(self, plain)
    return index_by(index_by(self, steps[0]), steps[1])


@operation(
    lambda g, index: _zeroed_at(g, index),
    lambda g, index, value_shape: reduce_to(index_by(g, index), value_shape),
    node_name="IndexPutBackward0",
    public=False,
    samples=each(on(real(4, 3), real(3), (1,)), on(real(4, 3), real(2, 3), (np.array([3, 1]),))),
)
def index_put_by(input: Array, value: Array, index: tuple[Any, ...]) -> Array:
    """A copy of input with *value* (broadcast) at the plain *index*."""
    result = input.copy()
    result[index] = value
    return result


def _zeroed_at(g: Any, index: tuple[Any, ...]) -> Any:
    return index_put_by(g, np.zeros_like(g[index]), index)


def _setitem(self: Tensor, index: Any, value: Any) -> None:
    check_may_change(self)
    plain = plain_index(index)
    steps = _in_two_steps(plain, self._array.ndim)
    if steps is not None:
        view = index_by(self, steps[0])
        view[steps[1]] = value
        return
    source = _value_to_put(self, value)
    _check_value(self, plain, source._array)
    if isinstance(value, Tensor) and value._array.dtype != self._array.dtype and not _is_basic(plain):
        _check_types_to_put(self, value)
    if not mode.enabled or (source._node is None and self._node is None):
        try:
            extra = source._array.ndim - self._array[plain].ndim if source._array.ndim else 0
            self._array[plain] = source._array if extra <= 0 else source._array.reshape(source._array.shape[extra:])
        except (RuntimeError, TypeError, ValueError, IndexError):
            if levels_of([source._array, plain]):
                raise NotVmapped from None
            raise
        rewrite_history(self, None)
    elif _is_basic(plain):
        place = index_by(self, plain)
        extra = source._array.ndim - place._array.ndim
        place.copy_(source.reshape(source._array.shape[extra:]) if extra > 0 else source)
    else:
        before = Tensor._wrap(self._array, self._node)
        write(self, index_put_by(before, source, plain), "__setitem__")


def shape_at(array: Any, index: tuple[Any, ...]) -> tuple[int, ...]:
    """The shape of *array* at the plain *index*."""
    source = Batched(array, ()) if array.__class__ is np.ndarray and levels_of(index) else array
    return tuple(source[index].shape)


def _check_types_to_put(target: Tensor, value: Tensor) -> None:
    if value._array.ndim:  # a single number is converted, whatever it is
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{title(target.dtype)} for the destination and {title(value.dtype)} for the source."
        )


def _value_to_put(target: Tensor, value: Any) -> Tensor:
    """What is assigned to a subscript of *target*, as a tensor of its type."""
    if isinstance(value, Tensor):
        return value if value._array.dtype == target._array.dtype else value.to(target.dtype)
    array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"can't assign a {type(value).__name__} to a tensor of {target.dtype}")
    if array.dtype.kind == "c" and target._array.dtype.kind != "c":
        raise RuntimeError(f"the complex value {value} cannot be converted to {target.dtype} without overflow")
    return Tensor._wrap(array.astype(target._array.dtype, copy=False))


def _check_value(target: Tensor, index: tuple[Any, ...], value: Array) -> None:
    if not target._array.flags.writeable:
        raise RuntimeError("__setitem__ on a tensor over read-only memory (an expanded view?): .clone() it first")
    place = shape_at(target._array, index)
    extra = max(value.ndim - len(place), 0)
    try:
        fits = np.broadcast_shapes(value.shape[extra:], place) == place and set(value.shape[:extra]) <= {1}
    except ValueError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to {list(place)}"
        )


add_method("__getitem__", _getitem)
add_method("__setitem__", _setitem)


@composite(out=True, samples=on(real(4, 3), 0, np.array([0, 2, 2])))
def index_select(input: Tensor, dim: int, index: Any) -> Tensor:
    """The slices of input along *dim* at the whole numbers in the vector *index*."""
    array = index._array if isinstance(index, Tensor) else np.asarray(index)
    if array.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    d = normal_dim(dim, input._array.ndim)
    length = input._array.shape[d] if input._array.ndim else 1
    if array.size and (array.min() < 0 or array.max() >= length):
        raise IndexError("index out of range in self")
    if not input._array.ndim:
        if array.size != 1:
            raise IndexError(f"index_select(): Index to scalar can have only 1 value, got {array.size} value(s)")
        return input.clone()
    return index_by(input, (slice(None),) * d + (array.reshape(-1),))


@operation(
    lambda g, mask: np.where(mask, 0.0, g),
    node_name="MaskedFillBackward0",
    broadcasts=True,
    public=False,
    samples=each(on(real(3, 4), truth(3, 4), -1.0), on(real(3, 4), truth(4), 2.0)),
)
def masked_fill_number(input: Array, mask: Index, value: Any) -> Array:
    """A copy of input with the number *value* where *mask* holds."""
    if mask.dtype != np.bool_:
        raise RuntimeError(f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype}")
    result = np.broadcast_to(input, np.broadcast_shapes(input.shape, mask.shape)).copy()
    result[np.broadcast_to(mask, result.shape)] = value
    return result


@composite(out=True, inplace=True, samples=on(real(3, 4), truth(3, 4), -1.0))
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A copy of input with *value*, a number or 0-d tensor, where the bool tensor *mask* holds."""
    if isinstance(value, Tensor):
        from .comparison import choose

        if value._array.ndim:
            raise RuntimeError(
                f"masked_fill only supports a 0-dimensional value tensor, but got {value._array.ndim} dimensions"
            )
        if value.is_complex() and not input.is_complex():
            raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow: it is complex")
        return choose(mask, value, input)
    if isinstance(value, complex) and not input.is_complex():
        raise RuntimeError(f"value cannot be converted to type {input.dtype} without overflow: it is complex")
    return masked_fill_number(input, mask, value)


@composite(out=True, samples=on(real(3, 4), truth(3, 4)))
def masked_select(input: Tensor, mask: Any) -> Tensor:
    """The elements of input where *mask* holds, in a vector."""
    array = mask._array if isinstance(mask, Tensor) else as_array(mask)
    if array.dtype != np.bool_:
        raise RuntimeError(f"masked_select: expected BoolTensor for mask, found {array.dtype}")
    shape = np.broadcast_shapes(input._array.shape, array.shape)
    return input.expand(shape)[np.broadcast_to(array, shape)]


@composite(out=True)
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """Where input is not zero: one row of indices per element, or a tuple of vectors if *as_tuple*."""
    places = np.nonzero(np.atleast_1d(input._array))
    if as_tuple:
        return tuple(Tensor._wrap(p) for p in places)
    return Tensor._wrap(np.stack(places, axis=1)[:, : input._array.ndim])


@operation(samples=None, refuses="c")
def bincount(input: Array, weights: Any = None, minlength: int = 0) -> Array:
    """How often each whole number from 0 on occurs in the vector input."""
    if input.ndim != 1 or input.dtype.kind not in "iu" or (input.size and input.min() < 0):
        raise RuntimeError(
            f"bincount only supports 1-d non-negative integral inputs, found {input.dtype} of shape {list(input.shape)}"
        )
    return np.bincount(input, None if weights is None else weights._array, minlength)


@operation(method=False)
def one_hot(input: Array, num_classes: int = -1) -> Array:
    """Rows of zeros with a one at each whole number of input (int64); as many columns as *num_classes* or needed."""
    if input.dtype != np.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    count = int(input.max()) + 1 if num_classes == -1 and input.size else num_classes
    if input.size and (input.min() < 0 or input.max() >= count):
        raise RuntimeError("Class values must be non-negative and smaller than num_classes.")
    return (input[..., None] == np.arange(count)).astype(np.int64)


@composite()
def argwhere(input: Tensor) -> Tensor:
    """Where input is not zero: one row of indices per element.

    >>> import allgrad as torch
    >>> torch.argwhere(torch.tensor([[1, 0], [0, 2]]))
    tensor([[0, 0],
            [1, 1]])
    """
    return Tensor._wrap(np.argwhere(input._array))


@composite(method=False)
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The subscripts, one tensor per dimension, of the flat *indices* into a tensor of *shape*.

    >>> import allgrad as torch
    >>> torch.unravel_index(torch.tensor(4), (2, 3))
    (tensor(1), tensor(1))
    """
    if indices._array.dtype.kind not in "iu":
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(n < 0 for n in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    rest, found = indices._array, []
    for n in reversed(sizes):
        found.append(np.remainder(rest, n))
        rest = np.floor_divide(rest, n)
    return tuple(Tensor._wrap(as_array(part)) for part in reversed(found))
