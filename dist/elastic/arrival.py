"""The program of a rank that takes the place of a dead one: ``python -m allgrad.dist.elastic.arrival RANK SIZE SCRIPT ...``.

It starts MPI before anything else, for those that have started it wait for that; then it is what every rank starts with.
"""

from __future__ import annotations

import os
import runpy
import sys

from ..launch import OPEN_MPI, Launch
from ..world import REPLACEMENT, start_mpi


def main(first: int, size: int, argv: list[str]) -> None:
    """Run the script that *argv* names as a rank that will join others: the first of those that are started is *first*."""
    started = start_mpi(Launch(OPEN_MPI, first, size)).COMM_WORLD
    os.environ.update(
        {
            "OMPI_COMM_WORLD_RANK": str(first + started.rank),
            "OMPI_COMM_WORLD_SIZE": str(size),
            REPLACEMENT: "1",
        }
    )
    sys.argv[1:] = argv
    runpy.run_module("allgrad.dist.rank", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
