"""How many threads each rank may use: its share of the host's cores, set before NumPy reads it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, MutableMapping

from .launch import launch

OPEN_MP = "OMP_NUM_THREADS"
SETTINGS = (OPEN_MP, "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
_RUN = re.compile(r"(\d+)(?:\(x(\d+)\))?")


def share_cores(environ: MutableMapping[str, str]) -> None:
    """Set what says the number of threads, for one of several ranks; what the user has set stays.

    OMP_NUM_THREADS, if it is set, holds for all of them. BLAS and Numba read them when they are loaded, so this has to
    come first: import allgrad.dist before NumPy, or start the script with ``allgrad run``.
    """
    seen = launch(environ)
    if seen is None or seen.size == 1:
        return
    own = len(os.sched_getaffinity(0))
    share = environ.get(OPEN_MP) or str(threads(own, cores_of_launcher(), environ))
    for name in SETTINGS:
        environ.setdefault(name, share)


def cores_of_launcher() -> int:
    """Return how many cores the process that started this one may use."""
    try:
        return len(os.sched_getaffinity(os.getppid()))
    except OSError:
        return len(os.sched_getaffinity(0))


def threads(own: int, launchers: int, environ: Mapping[str, str]) -> int:
    """Return the threads of a rank that may use *own* cores, whose launcher may use *launchers*.

    With fewer than its launcher it has been bound to cores of its own; otherwise all ranks of the host share them.

    >>> threads(2, 8, {"OMPI_COMM_WORLD_LOCAL_SIZE": "4"}), threads(8, 8, {"OMPI_COMM_WORLD_LOCAL_SIZE": "4"})
    (2, 2)
    >>> threads(8, 8, {"SLURM_CPUS_PER_TASK": "3"})
    3
    """
    if environ.get("SLURM_CPUS_PER_TASK", "").isdigit():
        return max(1, min(own, int(environ["SLURM_CPUS_PER_TASK"])))
    return own if own < launchers else max(1, own // local_ranks(environ))


def local_ranks(environ: Mapping[str, str]) -> int:
    """Return how many ranks the launcher has put on this host, or 1 if it does not say.

    >>> local_ranks({"SLURM_STEP_TASKS_PER_NODE": "4(x2),1", "SLURM_NODEID": "1"})
    4
    """
    for name in ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS"):
        if environ.get(name, "").isdigit():
            return max(1, int(environ[name]))
    nodes: list[int] = []
    for tasks, times in _RUN.findall(environ.get("SLURM_STEP_TASKS_PER_NODE", "")):
        nodes += [int(tasks)] * int(times or 1)
    number = int(environ.get("SLURM_NODEID", "0"))
    return max(1, nodes[number]) if number < len(nodes) else 1
