"""Collective operations on objects of any kind, which travel pickled: for settings and results, not for data."""

from __future__ import annotations

from typing import Any, TypeVar

from ..world import Group, current
from .agreement import agree
from .groups import member_number, members

T = TypeVar("T")


def broadcast_object(value: T, src: int = 0, group: Group | None = None) -> T:
    """Return rank *src*'s *value*, any object that pickles, on every rank; what other ranks pass is not used."""
    ranks = members(group, "broadcast_object")
    if ranks is None:
        return value
    root = member_number(ranks, src, "broadcast_object", "src")
    agree(ranks, f"broadcast_object from rank {src}")
    if ranks.comm is None:
        return value
    received: T = ranks.comm.bcast(value, root=root)
    return received


def broadcast_object_list(object_list: list[Any], src: int = 0, group: Group | None = None) -> None:
    """Replace the objects in *object_list* on every rank by those of rank *src*."""
    object_list[:] = broadcast_object(object_list, src, group)


def gather_objects(value: T, group: Group | None = None) -> list[T]:
    """Return every rank's *value*, any object that pickles, in order of rank, on every rank."""
    ranks = members(group, "gather_objects")
    if ranks is None:
        return []
    agree(ranks, "gather_objects")
    return [value] if ranks.comm is None else ranks.comm.allgather(value)


def all_gather_object(object_list: list[Any], obj: object, group: Group | None = None) -> None:
    """Fill *object_list*, one place for each rank, with every rank's *obj*."""
    size = (group or current()).size
    if len(object_list) != size:
        raise ValueError(
            f"all_gather_object: object_list has {len(object_list)} places, but there are {size} "
            "ranks: make it [None] * dist.world_size()"
        )
    object_list[:] = gather_objects(obj, group) or object_list


def gather_object(
    obj: object, object_gather_list: list[Any] | None = None, dst: int = 0, group: Group | None = None
) -> None:
    """Fill *object_gather_list* on rank *dst*, one place for each rank, with every rank's *obj*."""
    ranks = members(group, "gather_object")
    if ranks is None:
        return
    root = member_number(ranks, dst, "gather_object", "dst")
    if ranks.rank == root and len(object_gather_list or ()) != ranks.size:
        raise ValueError(
            f"gather_object: rank {dst} gathers from {ranks.size} ranks, but object_gather_list has "
            f"{len(object_gather_list or ())} places: make it [None] * dist.world_size() there"
        )
    agree(ranks, f"gather_object to rank {dst}")
    found = [obj] if ranks.comm is None else ranks.comm.gather(obj, root=root)
    if found is not None and object_gather_list is not None:
        object_gather_list[:] = found


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: list[Any] | None = None,
    src: int = 0,
    group: Group | None = None,
) -> None:
    """Put into the first place of *scatter_object_output_list* this rank's object of rank *src*'s input list."""
    ranks = members(group, "scatter_object_list")
    if ranks is None:
        return
    root = member_number(ranks, src, "scatter_object_list", "src")
    if not scatter_object_output_list:
        raise ValueError("scatter_object_list: the output list has no place for the object: make it [None]")
    if ranks.rank == root and len(scatter_object_input_list or ()) != ranks.size:
        raise ValueError(
            f"scatter_object_list: rank {src} has {len(scatter_object_input_list or ())} objects for {ranks.size} ranks: "
            "give one for each"
        )
    agree(ranks, f"scatter_object_list from rank {src}")
    if ranks.comm is None:
        assert scatter_object_input_list is not None
        scatter_object_output_list[0] = scatter_object_input_list[0]
    else:
        scatter_object_output_list[0] = ranks.comm.scatter(scatter_object_input_list, root=root)
