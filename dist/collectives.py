"""Collective operations on arrays, Tensors and objects, called by all ranks in the same order.

Every call first makes sure that all ranks make the same one; a difference raises RuntimeError on all of them.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .agreement import agree
from .world import World, current, leave, mpi

if TYPE_CHECKING:
    from mpi4py import MPI

T = TypeVar("T")
Array = NDArray[Any]

# Open MPI and MPICH both take longer for one call of 25 MB than for 25 of one (7.1 against 4.9 ms on a host).
CHUNK_BYTES = 1 << 20


class ReduceOp(StrEnum):
    """How values of all ranks become one; a plain string does as well, and "mean" is "avg"."""

    SUM = "sum"
    AVG = "avg"
    PRODUCT = "product"
    MIN = "min"
    MAX = "max"

    @classmethod
    def _missing_(cls, value: object) -> ReduceOp | None:
        return cls.AVG if value == "mean" else None


_MPI_NAMES = {
    ReduceOp.SUM: "SUM",
    ReduceOp.AVG: "SUM",
    ReduceOp.PRODUCT: "PROD",
    ReduceOp.MIN: "MIN",
    ReduceOp.MAX: "MAX",
}


def barrier() -> None:
    """Wait until every rank has come here."""
    agree(current(), "barrier")


def shutdown() -> None:
    """Leave the world once every rank has come here; `init` may join it again."""
    agree(current(), "shutdown")
    leave()


def all_reduce(tensor: Any, op: ReduceOp | str = ReduceOp.SUM) -> None:
    """Replace the values of *tensor* on every rank by their reduction over all ranks, element by element.

    *tensor* is a Tensor or a NumPy array of any shape and number type, the same on every rank; *op* one of "sum"
    (the default), "avg" or "mean" (floating point only), "min", "max", "product". float16 is added in float32.
    Raises RuntimeError on every rank when they disagree about shape, dtype or operation.

    >>> import numpy as np
    >>> from allgrad import dist
    >>> losses = np.array([0.5, 0.25])
    >>> dist.all_reduce(losses, "mean")
    >>> losses
    array([0.5 , 0.25])
    """
    world, array, chosen = current(), _array(tensor, "all_reduce"), _operation(op)
    _check_numbers(array, chosen)
    agree(world, f"all_reduce({chosen}) of {_shown(array)}")
    if world.comm is None:
        return
    flat = _flat_for_reduction(array)
    reduction = getattr(mpi(), _MPI_NAMES[chosen])
    step = CHUNK_BYTES // flat.itemsize
    for start in range(0, flat.size, step):
        world.comm.Allreduce(mpi().IN_PLACE, flat[start : start + step], op=reduction)
    if chosen is ReduceOp.AVG:
        flat /= world.size
    if not np.may_share_memory(flat, array):
        array[...] = flat.reshape(array.shape)


def broadcast(tensor: Any, src: int = 0) -> None:
    """Replace the values of *tensor*, a Tensor or array, on every rank by those of rank *src*.

    Raises RuntimeError on every rank when they disagree about shape, dtype or source.
    """
    world, array = current(), _array(tensor, "broadcast")
    _check_rank(world, src, "broadcast", "src")
    agree(world, f"broadcast from rank {src} of {_shown(array)}")
    if world.comm is not None:
        send_from(world.comm, array, src)


def send_from(comm: MPI.Intracomm, array: Array, src: int) -> None:
    """Send the values of *array*, of one shape and dtype on all ranks of *comm*, from rank *src* to the others."""
    flat = np.ascontiguousarray(array).reshape(-1)
    comm.Bcast(flat.view(np.uint8), root=src)
    if not np.may_share_memory(flat, array):
        array[...] = flat.reshape(array.shape)


def all_gather(tensor_list: list[Any], tensor: Any) -> None:
    """Fill *tensor_list*, one Tensor or array for each rank, with every rank's *tensor*.

    Raises RuntimeError on every rank when they disagree about the shape or dtype of *tensor*, and ValueError when
    *tensor_list* has another length than the world or holds another shape or dtype.
    """
    world, array = current(), _array(tensor, "all_gather", changes=False)
    places = [_array(place, "all_gather") for place in tensor_list]
    if len(places) != world.size:
        raise ValueError(
            f"all_gather: tensor_list has {len(places)} places, but there are {world.size} ranks: "
            "make it one for each, such as [torch.empty_like(tensor) for _ in range(dist.world_size())]"
        )
    for number, place in enumerate(places):
        if (place.shape, place.dtype) != (array.shape, array.dtype):
            raise ValueError(
                f"all_gather: tensor_list[{number}] is {_shown(place)}, but tensor is {_shown(array)}: "
                "they must be alike"
            )
    for place, found in zip(places, _gathered(world, array, "all_gather"), strict=True):
        place[...] = found


def all_gather_into_tensor(output_tensor: Any, input_tensor: Any) -> None:
    """Write every rank's *input_tensor*, in order of rank, one after the other into *output_tensor*.

    For *input_tensor* of shape (d, ...) *output_tensor* has shape (n·d, ...) or (n, d, ...) with n ranks.
    """
    world, array = current(), _array(input_tensor, "all_gather_into_tensor", changes=False)
    output = _array(output_tensor, "all_gather_into_tensor")
    stacked = (world.size, *array.shape)
    joined = (world.size * array.shape[0], *array.shape[1:]) if array.ndim else (world.size,)
    if output.shape not in (stacked, joined) or output.dtype != array.dtype:
        raise ValueError(
            f"all_gather_into_tensor: {world.size} times {_shown(array)} do not fit {_shown(output)}: "
            f"make the output {array.dtype} of shape {joined}"
        )
    output[...] = _gathered(world, array, "all_gather_into_tensor").reshape(output.shape)


def broadcast_object(value: T, src: int = 0) -> T:
    """Return rank *src*'s *value*, any object that pickles, on every rank; what other ranks pass is not used."""
    world = current()
    _check_rank(world, src, "broadcast_object", "src")
    agree(world, f"broadcast_object from rank {src}")
    if world.comm is None:
        return value
    received: T = world.comm.bcast(value, root=src)
    return received


def broadcast_object_list(object_list: list[Any], src: int = 0) -> None:
    """Replace the objects in *object_list* on every rank by those of rank *src*."""
    object_list[:] = broadcast_object(object_list, src)


def gather_objects(value: T) -> list[T]:
    """Return every rank's *value*, any object that pickles, in order of rank, on every rank."""
    world = current()
    agree(world, "gather_objects")
    return [value] if world.comm is None else world.comm.allgather(value)


def all_gather_object(object_list: list[Any], obj: object) -> None:
    """Fill *object_list*, one place for each rank, with every rank's *obj*."""
    if len(object_list) != current().size:
        raise ValueError(
            f"all_gather_object: object_list has {len(object_list)} places, but there are {current().size} "
            "ranks: make it [None] * dist.world_size()"
        )
    object_list[:] = gather_objects(obj)


def mean(value: Any, weight: float = 1.0) -> float:
    """Return the mean over all ranks of *value*, a number or a one-element Tensor, such as a loss.

    *weight* is the say this rank has, in any unit: where batches differ in size, the number of samples. The weights
    of all ranks must not add up to zero.

    >>> from allgrad import dist
    >>> dist.mean(0.25, weight=32)
    0.25
    """
    world = current()
    number = float(value.item() if hasattr(value, "item") else value)
    agree(world, "mean")
    if world.comm is None:
        return number
    sums = np.array([number * weight, weight])
    world.comm.Allreduce(mpi().IN_PLACE, sums)
    return float(sums[0] / sums[1])


def _gathered(world: World, array: Array, name: str) -> Array:
    agree(world, f"{name} of {_shown(array)}")
    every = np.empty((world.size, *array.shape), array.dtype)
    every[world.rank] = array
    if world.comm is not None:
        world.comm.Allgather(mpi().IN_PLACE, every.reshape(-1).view(np.uint8))
    return every


def _array(tensor: Any, name: str, *, changes: bool = True) -> Array:
    """Return the memory behind a Tensor or an array."""
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
    return array


def _operation(op: ReduceOp | str) -> ReduceOp:
    try:
        return ReduceOp(op)
    except ValueError:
        raise ValueError(f"all_reduce(op={op!r}): expected one of {', '.join(ReduceOp)} or mean") from None


def _check_numbers(array: Array, op: ReduceOp) -> None:
    if array.dtype.kind not in "biufc":
        raise TypeError(f"all_reduce reduces numbers, not {array.dtype}")
    if op is ReduceOp.AVG and array.dtype.kind not in "fc":
        raise TypeError(f"all_reduce: the mean of {array.dtype} is not {array.dtype}: convert to a float first")
    if array.dtype.kind == "b" and op not in (ReduceOp.MIN, ReduceOp.MAX):
        raise TypeError(f"all_reduce: {op} of bool is not bool: use max (any), min (all), or convert first")
    if array.dtype.kind == "c" and op in (ReduceOp.MIN, ReduceOp.MAX):
        raise TypeError(f"all_reduce: complex numbers have no {op}: reduce the real and imaginary parts apart")


def _flat_for_reduction(array: Array) -> Array:
    """Return the values in one row of a type that MPI can reduce: the array's own memory where possible."""
    if array.dtype == np.float16:
        return array.astype(np.float32).reshape(-1)
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(np.uint8) if flat.dtype == np.bool_ else flat


def _check_rank(world: World, rank: int, name: str, word: str) -> None:
    if not 0 <= rank < world.size:
        raise ValueError(f"{name}({word}={rank}): the ranks are 0 to {world.size - 1}")


def _shown(array: Array) -> str:
    return f"{array.dtype} {array.shape}"
