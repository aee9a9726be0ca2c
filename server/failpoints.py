"""Named places at which the server can be made to die, to test what survives; unarmed, each costs one comparison.

`ALLGRAD_FAILPOINT=NAME` in the server's environment, read once when it starts, kills it with SIGKILL where it first
comes to that place; `NAME:N` the N-th time. Jobs do not inherit the variable.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping

VARIABLE = "ALLGRAD_FAILPOINT"
PLACES: Mapping[str, str] = {
    "before-commit": "changes are applied, none of them is durable",
    "between-commits": "the jobs' database is durable, that of the metrics is not",
    "after-commit": "changes are durable, and nobody has been told",
    "submit-stored": "a job is durable, and the scheduler does not know it",
    "before-actions": "a step of a job's life is durable, and what it calls for is not done",
    "after-launch": "a supervisor was started, and nothing was heard of it",
    "end-unwritten": "an attempt has ended, and that is not written down",
    "report-stored": "journal lines are durable, and not acknowledged",
    "watch-sent": "events were handed to a watcher",
    "delete-begun": "a job's files are set aside, and the job is not forgotten",
}

_armed = ""
_left = 0


def arm(text: str) -> None:
    """Arm the place that *text*, NAME or NAME:N, names; none if it is empty. Raises ValueError."""
    global _armed, _left
    name, _, count = text.partition(":")
    if name and name not in PLACES:
        raise ValueError(f"{VARIABLE} names no place of the server; found {name!r}; known: {', '.join(PLACES)}")
    _armed, _left = name, int(count or 1)


def reach(name: str) -> None:
    """Die here, if this place is armed and was reached often enough."""
    if name == _armed:
        _count_down()


def _count_down() -> None:
    global _left
    _left -= 1
    if _left <= 0:
        os.kill(os.getpid(), signal.SIGKILL)


arm(os.environ.get(VARIABLE, ""))
