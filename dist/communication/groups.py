"""Groups: some ranks of the world that do things together, and how their numbers there and here relate."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import count
from typing import Any

from ..elastic.survival import can_survive
from ..watchdog.progress import new_line
from ..world import Group, current, forget, mpi, remember
from .agreement import agree

# All ranks make all groups, in the same order.
_number_of_group = count(1)


def new_group(ranks: Sequence[int] | None = None) -> Group:
    """Make a group of *ranks* (default: all); every rank of the world must call this, members or not.

    Returns the group to pass as ``group=``; on a rank that is not among *ranks* its ``rank`` is -1, and operations
    on it do nothing but warn. Give it up with ``shutdown(group)``. Raises ValueError for a rank that does not
    exist or stands twice, and RuntimeError on every rank when they disagree about *ranks*.

    >>> from allgrad import dist
    >>> group = dist.new_group([0])
    >>> dist.world_size(group)
    1
    """
    world = current()
    chosen = tuple(world.ranks if ranks is None else sorted(ranks))
    if not chosen or len(set(chosen)) < len(chosen) or not set(chosen) <= set(world.ranks):
        raise ValueError(
            f"new_group({list(chosen)}): expected different ranks among 0 to {world.size - 1}, at least one of them"
        )
    agree(world, f"new_group of ranks {list(chosen)}")
    return remember(_joined(world, chosen))


def _joined(world: Group, ranks: tuple[int, ...]) -> Group:
    made = next(_number_of_group)
    number = ranks.index(world.rank) if world.rank in ranks else -1
    if world.comm is None:
        return Group(number, len(ranks), ranks)
    comm: Any = world.comm.Split(0 if number >= 0 else mpi().UNDEFINED, world.rank)
    if number < 0:
        return Group(-1, len(ranks), ranks)
    if len(ranks) == 1:
        comm.Free()
        return Group(number, len(ranks), ranks)
    line = new_line(f"group {made}", ranks)
    return Group(number, len(ranks), ranks, comm, comm.Dup(), line=line)


def shutdown(group: Group | None = None) -> None:
    """Leave the world, with all groups, once every rank has come here; `init` may join it again.

    With *group* only that one is given up, by all of its members.
    """
    ranks = members(group, "shutdown")
    if ranks is not None:
        agree(ranks, "shutdown")
        forget(group)


def members(group: Group | None, name: str) -> Group | None:
    """Return *group* (default: the world), or None, with a warning, if this rank does not belong to it."""
    ranks = current() if group is None else group
    if ranks.rank >= 0:
        return ranks
    warnings.warn(
        f"{name}: rank {current().rank} does not belong to this group of ranks {list(ranks.ranks)}, and does nothing",
        stacklevel=3,
    )
    return None


def require_lasting_member(group: Group, what: str) -> None:
    """Raise ValueError unless this rank belongs to *group*, for *what*, and the group cannot lose a rank."""
    if group.rank < 0:
        raise ValueError(
            f"{what}(process_group=...): rank {current().rank} does not belong to this group of ranks "
            f"{list(group.ranks)}: give each rank a group that it is in"
        )
    if can_survive():
        raise ValueError(
            f"{what}(process_group=...): where ranks may die (allgrad run --elastic) there are no groups left after it: "
            "use all ranks, or --restarts"
        )


def member_number(group: Group, rank: int, name: str, word: str) -> int:
    """Return the number in *group* of the rank that is *rank* in the world; ValueError if it is not there."""
    if rank not in group.ranks:
        known = f"0 to {group.size - 1}" if group.ranks == tuple(range(group.size)) else f"{list(group.ranks)}"
        raise ValueError(f"{name}({word}={rank}): the ranks are {known}")
    return group.ranks.index(rank)


def get_process_group_ranks(group: Group | None = None) -> list[int]:
    """Return the numbers in the world of the ranks of *group* (default: all of them)."""
    return list((group or current()).ranks)


def get_global_rank(group: Group, group_rank: int) -> int:
    """Return the number in the world of the rank that is *group_rank* in *group*."""
    if not 0 <= group_rank < group.size:
        raise ValueError(f"get_global_rank({group_rank}): the ranks of this group are 0 to {group.size - 1}")
    return group.ranks[group_rank]


def get_group_rank(group: Group, global_rank: int) -> int:
    """Return the number in *group* of the rank that is *global_rank* in the world; ValueError if it is not there."""
    return member_number(group, global_rank, "get_group_rank", "global_rank")
