"""How the ranks of a job are started: one interface, and the launchers behind it."""

from .interface import Command, Ending, Launcher, command, rank_program
from .local import Alone, Hydra, OpenMPI, find_mpi, local

__all__ = [
    "Alone",
    "Command",
    "Ending",
    "Hydra",
    "Launcher",
    "OpenMPI",
    "command",
    "find_mpi",
    "local",
    "rank_program",
]
