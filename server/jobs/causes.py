"""What can keep a queued job from starting, as values and in words."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..access.rules import Quota
from .job import JobState
from .slots import HERE
from .spec import After, Dependency, LauncherKind


@dataclass(frozen=True, slots=True)
class AboutToStart:
    """Nothing: it is being started."""

    def __str__(self) -> str:
        return "about to start"


@dataclass(frozen=True, slots=True)
class NeedsSlots:
    """Too few slots are free on *host*; by default the server's machine."""

    needed: int
    free: int
    total: int
    host: str = HERE

    def __str__(self) -> str:
        where = f" of {self.host}" if self.host else ""
        return f"waits for {_count(self.needed, 'slot')}{where}: {self.free} of {self.total} free"


@dataclass(frozen=True, slots=True)
class NeedsTurn:
    """Other jobs come first; *job_id* is the one that waits for slots which this job would take."""

    job_id: str
    ahead: int

    def __str__(self) -> str:
        others = f" and {_count(self.ahead - 1, 'other')}" if self.ahead > 1 else ""
        return f"behind job {self.job_id}{others}"


@dataclass(frozen=True, slots=True)
class NeedsJob:
    """A dependency has not ended as it should, or not yet."""

    need: Dependency
    state: JobState

    def __str__(self) -> str:
        what = "the success" if self.need.condition is After.SUCCESS else "the end"
        return f"waits for {what} of job {self.need.job_id}, which is {self.state.value.lower()}"


@dataclass(frozen=True, slots=True)
class Backoff:
    """It failed, and pauses."""

    until: float

    def __str__(self) -> str:
        return f"pauses until {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(self.until))}"


@dataclass(frozen=True, slots=True)
class Crowded:
    """As many jobs of its sweep run as may run at once."""

    sweep: str
    limit: int

    def __str__(self) -> str:
        verb = "runs" if self.limit == 1 else "run"
        return f"{_count(self.limit, 'job')} of sweep {self.sweep} {verb}, and no more may at once"


@dataclass(frozen=True, slots=True)
class OverQuota:
    """Its user has as much running as allowed."""

    quota: Quota

    def __str__(self) -> str:
        limits = ((self.quota.running, "running job"), (self.quota.slots, "slot"))
        allowed = " and ".join(_count(limit, noun) for limit, noun in limits if limit)
        return f"user {self.quota.user} may have {allowed} at once, and has them"


@dataclass(frozen=True, slots=True)
class OnHold:
    """It is paused."""

    job_id: str

    def __str__(self) -> str:
        return f"paused; go on with: allgrad resume {self.job_id}"


@dataclass(frozen=True, slots=True)
class InBatchQueue:
    """The system that was to start it has not yet; *reason* says why, in its words."""

    launcher: LauncherKind
    reason: str

    def __str__(self) -> str:
        return self.reason


@dataclass(frozen=True, slots=True)
class NeedsServer:
    """The server, restarted since with fewer slots, has too few, on its own machine or on *host*."""

    needed: int
    total: int
    host: str = HERE

    def __str__(self) -> str:
        if self.host:
            return (
                f"needs {_count(self.needed, 'slot')} of {self.host}, of which the server now counts {self.total}: cancel it, "
                f"or restart the server with --hosts {self.host}:{self.needed} among them"
            )
        return (
            f"needs {_count(self.needed, 'slot')}, but the server now has {self.total}: cancel it, "
            f"or restart the server with --slots {self.needed}"
        )


Cause = (
    AboutToStart
    | NeedsSlots
    | NeedsTurn
    | NeedsJob
    | Backoff
    | Crowded
    | OverQuota
    | OnHold
    | InBatchQueue
    | NeedsServer
)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
