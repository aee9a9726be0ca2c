"""How the ranks of a job are started: one interface, and the launchers behind it."""

from ..jobs.hosts import Host, deal
from .hosts import check_hosts, over_ssh, parse_hosts, read_hostfile, ssh
from .hydra import Hydra
from .interface import Command, Ending, Launcher, command, elsewhere, rank_program
from .local import Alone, any_mpi, find_mpi, local, on_hosts, within
from .open_mpi import OpenMPI
from .surroundings import Surroundings, surroundings

__all__ = [
    "Alone",
    "Command",
    "Ending",
    "Host",
    "Hydra",
    "Launcher",
    "OpenMPI",
    "Surroundings",
    "any_mpi",
    "check_hosts",
    "command",
    "deal",
    "elsewhere",
    "find_mpi",
    "local",
    "on_hosts",
    "over_ssh",
    "parse_hosts",
    "rank_program",
    "read_hostfile",
    "ssh",
    "surroundings",
    "within",
]
