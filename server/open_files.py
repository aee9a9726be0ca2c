"""How many files the server may have open: one for each connection, and one for each running job.

Its jobs get the limit that they would have without it.
"""

from __future__ import annotations

import resource

ENOUGH = 65536
_FOUND = resource.getrlimit(resource.RLIMIT_NOFILE)


def raise_limit() -> None:
    """Let this process open as many files as it may, up to 65,536: a usual 1,024 are too few for a thousand watchers."""
    soft, hard = _FOUND
    if 0 <= soft < ENOUGH:
        most = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def give_back_limit(pid: int) -> None:
    """Let the process *pid*, a child, have the limit that this one was started with: programs that use select() rely on it."""
    resource.prlimit(pid, resource.RLIMIT_NOFILE, _FOUND)
