"""Who is missing where, told from what every rank last said about itself: no sockets and no clocks here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

_MESSAGES = ("send", "recv", "send_object", "recv_object", "wait")


class HangError(RuntimeError):
    """Ranks waited for others for longer than the timeout, or for one that will never come."""


@dataclass(frozen=True)
class Status:
    """What one rank last said about itself, and *silent*: seconds since then that make it suspect, else 0."""

    rank: int
    host: str
    at: str
    """Its script's line."""
    within: str = ""
    """The function of dist in which it waits for others, or ""."""
    waited: float = 0.0
    begun: Mapping[str, int] = field(default_factory=dict)
    """How many operations it has begun on each line, the line that moved last first."""
    members: Mapping[str, Sequence[int]] = field(default_factory=dict)
    """The ranks of each line, where it waits."""
    recent: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """What the last of these operations were, where it waits."""
    ended: str = ""
    """How it has ended: "has come to the end of its script", say."""
    silent: float = 0.0

    @classmethod
    def read(cls, said: Mapping[str, Any]) -> Status:
        """Return what *said*, a status as a rank sends it, holds."""
        return cls(**said)


@dataclass(frozen=True)
class Verdict:
    """What is wrong: *message* names the *missing* ranks, and says where every rank is."""

    missing: tuple[int, ...]
    message: str


def verdict(statuses: Mapping[int, Status], waiting: int) -> Verdict:
    """Return what the rank *waiting*, which has waited for too long, waits for.

    >>> here = Status(0, "a", "train.py:9 in step", "all_reduce", 5.0, {"all ranks": 1}, {"all ranks": [0, 1]},
    ...               {"all ranks": ["all_reduce(sum) of float32 (3,)"]})
    >>> print(verdict({0: here, 1: Status(1, "b", "data.py:88 in load")}, 0).message)
    rank 1 is missing at all_reduce(sum) of float32 (3,), for which rank 0 has waited 5.0 s: it is at data.py:88 in load
      rank 0 on a: waits in all_reduce at train.py:9 in step
      rank 1 on b: at data.py:88 in load
    """
    here = statuses[waiting]
    for line, begun in here.begun.items():
        members = here.members.get(line, ())
        behind = [rank for rank in members if rank in statuses and statuses[rank].begun.get(line, 0) < begun]
        # One that waits itself is held up by another.
        missing = [rank for rank in behind if not _waits(statuses[rank])] or behind
        if missing:
            return _told(statuses, here, missing, _next(here, line, [statuses[rank] for rank in missing]))
    # All have begun what the last one of them waits for; MPI then gets no further without those that do not call it.
    elsewhere = [rank for rank, status in statuses.items() if not _waits(status)]
    if elsewhere:
        return _told(statuses, here, elsewhere, here.within if here.within in _MESSAGES else _last(here))
    head = f"all ranks wait for each other: rank {waiting} has waited {here.waited:.1f} s in {here.within}"
    return Verdict((), "\n".join([head, *_table(statuses, [waiting, *sorted(statuses.keys() - {waiting})])]))


def abandoned(statuses: Mapping[int, Status], patience: float) -> Verdict | None:
    """Return the verdict on a rank that others wait for although it has ended; None if there is none.

    Only those that have waited for *patience* seconds count: a rank that ends in good order may be faster.
    """
    for status in statuses.values():
        if status.within and status.waited >= patience:
            found = verdict(statuses, status.rank)
            if any(statuses[rank].ended for rank in found.missing):
                return found
    return None


def _next(here: Status, line: str, missing: Sequence[Status]) -> str:
    """Return which operation *missing* did not begin; of one that is not heard any more only that it is the last."""
    recent = here.recent.get(line, ())
    if any(status.silent for status in missing):
        return recent[-1] if recent else here.within
    ahead = here.begun[line] - min(status.begun.get(line, 0) for status in missing)
    return recent[-ahead] if ahead <= len(recent) else "an operation long ago"


def _waits(status: Status) -> bool:
    return bool(status.within) and not status.silent and not status.ended


def _last(status: Status) -> str:
    for line in status.begun:
        if status.recent.get(line):
            return status.recent[line][-1]
    return status.within


def _told(statuses: Mapping[int, Status], here: Status, missing: Sequence[int], what: str) -> Verdict:
    where = "; ".join(_where(statuses[rank]) for rank in missing[:3])
    head = (
        f"{_ranks(missing)} missing at {what}, for which rank {here.rank} has waited {here.waited:.1f} s: it {where}"
        if len(missing) == 1
        else f"{_ranks(missing)} missing at {what}, for which rank {here.rank} has waited {here.waited:.1f} s"
    )
    others = [rank for rank in sorted(statuses) if rank != here.rank and rank not in missing]
    return Verdict(tuple(missing), "\n".join([head, *_table(statuses, [here.rank, *missing, *others])]))


def _ranks(numbers: Sequence[int]) -> str:
    return f"rank {numbers[0]} is" if len(numbers) == 1 else f"ranks {', '.join(map(str, numbers))} are"


def _where(status: Status) -> str:
    if status.ended:
        return status.ended
    if status.silent:
        return f"has given no sign of life for {status.silent:.1f} s (frozen, or cut off), and was at {status.at}"
    return f"waits in {status.within} at {status.at}" if status.within else f"is at {status.at}"


def _table(statuses: Mapping[int, Status], ranks: Sequence[int]) -> list[str]:
    shown = [
        f"  rank {rank} on {statuses[rank].host}: {_where(statuses[rank]).removeprefix('is ')}" for rank in ranks[:16]
    ]
    return shown + ([f"  and {len(ranks) - 16} further ranks"] if len(ranks) > 16 else [])
