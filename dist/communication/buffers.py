"""The memory behind the Tensors and arrays that are sent, and the checks that every message begins with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from allgrad.autograd.graph import increment_version

Array = NDArray[Any]

# Types of half the width, which MPI cannot add: they travel and are added in float32.
HALF_TYPES = frozenset({"float16", "bfloat16"})


def memory_of(tensor: Any, name: str, *, changes: bool = True) -> Array:
    """Return the memory behind *tensor*, a Tensor or an array; *changes*: whether *name* writes into it.

    A change counts as one in place: backward refuses a value that it needs and that has been overwritten so. Raises
    TypeError for anything else, and ValueError for an array that is read-only but written into.
    """
    array = tensor if isinstance(tensor, np.ndarray) else None
    if array is None and hasattr(tensor, "detach"):
        array = tensor.detach().numpy()
    if array is None:
        raise TypeError(
            f"{name} wants a Tensor or an array, but got {type(tensor).__name__}: "
            "dist.mean averages a number, dist.gather_objects and dist.broadcast_object take anything"
        )
    if changes and not array.flags.writeable:
        raise ValueError(f"{name} writes into its argument, but this array is read-only: pass a copy")
    if changes and tensor is not array:
        increment_version(tensor)
    return array


def memories_of(tensors: Sequence[Any], like: Array, size: int, name: str, word: str, *, changes: bool) -> list[Array]:
    """Return the memory behind *tensors*, which must be one for each of *size* ranks, all of them like *like*.

    *word* is what *name* calls its argument. Raises ValueError for another number, shape or dtype.
    """
    arrays = [memory_of(tensor, name, changes=changes) for tensor in tensors]
    if len(arrays) != size:
        raise ValueError(
            f"{name}: {word} has {len(arrays)} places, but there are {size} ranks: "
            "make it one for each, such as [torch.empty_like(tensor) for _ in range(dist.world_size())]"
        )
    for number, array in enumerate(arrays):
        if (array.shape, array.dtype) != (like.shape, like.dtype):
            raise ValueError(
                f"{name}: {word}[{number}] is {shown(array)}, but tensor is {shown(like)}: they must be alike"
            )
    return arrays


def require_n_times(whole: Array, part: Array, n: int, name: str) -> None:
    """Raise ValueError unless *whole* has room for *n* times *part*, one behind the other or stacked."""
    stacked = (n, *part.shape)
    joined = (n * part.shape[0], *part.shape[1:]) if part.ndim else (n,)
    if whole.shape not in (stacked, joined) or whole.dtype != part.dtype:
        raise ValueError(
            f"{name}: {n} times {shown(part)} do not fit {shown(whole)}: make that {part.dtype} of shape {joined}"
        )


def contiguous(array: Array) -> Array:
    """Return *array* in one piece, in order of its indices: itself where it is, else a copy."""
    return np.ascontiguousarray(array).reshape(array.shape)


def as_bytes(piece: Array) -> NDArray[np.uint8]:
    """Return the memory of *piece*, which is contiguous, as bytes: what moves values need not know their type."""
    return piece.reshape(-1).view(np.uint8)


def numbers_of(array: Array) -> Array:
    """Return the values in one row of a type that MPI can reduce: the array's own memory where possible."""
    if array.dtype.name in HALF_TYPES:
        return array.astype(np.float32).reshape(-1)
    row = np.ascontiguousarray(array).reshape(-1)
    return row.view(np.uint8) if row.dtype == np.bool_ else row


def put_back(values: Array, array: Array) -> None:
    """Write *values* into *array*, unless they are its own memory."""
    if not np.may_share_memory(values, array):
        array[...] = values.reshape(array.shape)


def shown(array: Array) -> str:
    """Return dtype and shape, as messages show them."""
    return f"{array.dtype} {array.shape}"
