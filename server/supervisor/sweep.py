"""Ends what an attempt left on this host: ``python -m allgrad.server.supervisor.sweep JOB ATTEMPT GRACE``."""

from __future__ import annotations

import os
import sys

from . import processes

RANKS = "--ranks"
"""Says that the supervisor, which may be on this host too, is to be spared."""


def main() -> None:
    """End every process that bears the attempt's tag, but this one."""
    job_id, attempt, grace = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
    own = os.getpid()
    find = processes.started_ranks if sys.argv[4:] == [RANKS] else processes.tagged
    processes.end(lambda: [each for each in find(job_id, attempt) if each.pid != own], grace)


if __name__ == "__main__":
    main()
