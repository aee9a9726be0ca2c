"""What the launcher (mpirun, mpiexec, srun) wrote into this rank's environment, read without touching MPI."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Launch:
    """One rank as its launcher described it: who started it, which rank it is, and of how many."""

    launcher: str
    rank: int
    size: int


OPEN_MPI = "Open MPI's mpirun"
HYDRA = "mpiexec (MPICH or Intel MPI)"
SRUN = "srun"

# In this order, for one may run inside another: what mpirun or mpiexec starts within an srun step carries the
# step's variables too, and srun --mpi=pmi2 sets PMI_RANK like mpiexec. SLURM_NTASKS is no evidence, as a batch
# script that srun did not start has it as well.
_VARIABLES = (
    (OPEN_MPI, "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_SIZE"),
    (HYDRA, "PMI_RANK", "PMI_SIZE", "MPI_LOCALNRANKS"),
    (SRUN, "SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID"),
    ("the launcher", "PMI_RANK", "PMI_SIZE", "PMI_SIZE"),
)


def launch(environ: Mapping[str, str] | None = None) -> Launch | None:
    """Return how this process was launched, or None when it was started by hand.

    >>> launch({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "4"})
    Launch(launcher="Open MPI's mpirun", rank=1, size=4)
    >>> launch({}) is None
    True
    """
    given = os.environ if environ is None else environ
    for launcher, rank, size, evidence in _VARIABLES:
        if rank in given and size in given and evidence in given:
            return Launch(launcher, int(given[rank]), int(given[size]))
    return None
