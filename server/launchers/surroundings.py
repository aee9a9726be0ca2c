"""Where this process finds itself: among ranks, in a Slurm allocation, in the launcher of a Kubernetes MPIJob."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import InvalidRequest
from ..jobs.hosts import Host
from .hosts import read_hostfile

HOSTFILES = (
    "OMPI_MCA_orte_default_hostfile",
    "PRTE_MCA_prte_default_hostfile",
    "HYDRA_HOST_FILE",
    "I_MPI_HYDRA_HOST_FILE",
)
"""Variables that name a hostfile; the MPI Operator sets the first for Open MPI, whose version 5 does not read it."""
_SIZES = (
    ("mpirun", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_RANK"),
    ("mpiexec", "PMI_SIZE", "MPI_LOCALNRANKS"),
    ("srun", "SLURM_STEP_NUM_TASKS", "SLURM_STEP_ID"),
)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the environment says of the place where a run begins."""

    starter: str = ""
    """What has already started several of this process, each of which is to be one rank; empty: nothing has."""
    world: int = 1
    """How many of this process there are."""
    hosts: tuple[Host, ...] = ()
    """What a hostfile that is named in the environment holds."""
    hostfile: str = ""
    nodes: int = 0
    """Of the Slurm allocation; 0: there is none."""
    tasks: int = 0
    """That the Slurm allocation is for; 0: it does not say."""


def surroundings(environ: Mapping[str, str] | None = None) -> Surroundings:
    """Return what *environ* (default: this process's) tells. Raises InvalidRequest if a hostfile cannot be read.

    >>> surroundings({"SLURM_JOB_ID": "7", "SLURM_JOB_NUM_NODES": "2", "SLURM_NTASKS": "4"})
    Surroundings(starter='', world=1, hosts=(), hostfile='', nodes=2, tasks=4)
    >>> surroundings({"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "4"}).world
    4
    """
    given = os.environ if environ is None else environ
    for starter, size, evidence in _SIZES:
        if evidence in given and int(given.get(size, "1")) > 1:
            return Surroundings(starter, int(given[size]))
    nodes = int(given.get("SLURM_JOB_NUM_NODES", "1")) if "SLURM_JOB_ID" in given else 0
    hostfile = next((given[name] for name in HOSTFILES if given.get(name)), "")
    return Surroundings(
        hosts=_hosts_of(hostfile) if hostfile else (),
        hostfile=hostfile,
        nodes=nodes,
        tasks=int(given.get("SLURM_NTASKS", "0")) if nodes else 0,
    )


def _hosts_of(path: str) -> tuple[Host, ...]:
    try:
        return read_hostfile(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidRequest(
            f"cannot read the hostfile {path}",
            error.strerror or str(error),
            f"it is named by one of {', '.join(HOSTFILES)}: unset that to run on this machine alone",
        ) from None
