"""The hosts that ranks run on: as a person names them, and how ssh reaches them."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence

from ..errors import InvalidRequest
from ..jobs.hosts import Host

SSH = "ALLGRAD_SSH"
"""The variable that says what to use in place of ssh, with its options."""
_OPTIONS = ("-o", "BatchMode=yes", "-o", "ConnectTimeout=10")
_NAME = re.compile(r"[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:]+\]")
_SLOTS = re.compile(r"0*[1-9][0-9]{0,5}")
_FORWARDED = (
    *("PATH", "LD_LIBRARY_PATH", "LD_PRELOAD", "VIRTUAL_ENV", "TZ", "LANG"),
    *("LC_", "PYTHON", "ALLGRAD_", "OMP_", "OPENBLAS_", "MKL_", "NUMBA_", "NPY_", "KMP_", "GOMP_"),
    *("OMPI_MCA_", "PMIX_MCA_", "UCX_", "FI_", "MPI4PY_", "MPIR_", "MPICH_", "I_MPI_"),
)


def parse_hosts(text: str) -> tuple[Host, ...]:
    """Return the hosts of a list such as ``a:2,b:2``; a host named without a number has one slot, named twice both.

    >>> parse_hosts("a:2,b")
    (Host(name='a', slots=2), Host(name='b', slots=1))
    """
    return _merged(_host(word.strip(), *_counted(word.strip())) for word in text.split(",") if word.strip())


def read_hostfile(text: str) -> tuple[Host, ...]:
    """Return the hosts of a hostfile's *text*, written for Open MPI (``a slots=2``) or for MPICH (``a:2``).

    >>> read_hostfile("# two nodes\\na slots=2 max_slots=4\\nb:3\\n")
    (Host(name='a', slots=2), Host(name='b', slots=3))
    """
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return _merged(_line(words) for words in lines if words)


def check_hosts(hosts: Sequence[Host]) -> None:
    """Raise InvalidRequest if one of *hosts*, which come from elsewhere, cannot be named to ssh or to an MPI."""
    for host in hosts:
        _host(str(host), host.name, str(host.slots))


def ssh(environ: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the program that reaches other hosts, with its options: ``ssh`` that never asks, or $ALLGRAD_SSH.

    >>> ssh({"ALLGRAD_SSH": "ssh -p 2222"})[-2:]
    ('-p', '2222')
    """
    program, *options = shlex.split((os.environ if environ is None else environ).get(SSH, "")) or ["ssh"]
    return program, *_OPTIONS, *options


def over_ssh(agent: Sequence[str], host: str, argv: Sequence[str], env: Mapping[str, str]) -> list[str]:
    """Return the command that runs *argv*, with *env* besides, on *host*; ssh hands one line to a shell there."""
    settings = [f"{name}={value}" for name, value in env.items()]
    return [*agent, host, shlex.join(["env", *settings, *argv])]


def forwarded(environ: Mapping[str, str], besides: Iterable[str] = ()) -> list[str]:
    """Return which variables of *environ* the ranks on other hosts are to get: what concerns Python, threads, MPI, allgrad.

    *besides*: further names.

    >>> forwarded({"PATH": "/bin", "HOME": "/root", "OMP_NUM_THREADS": "2", "DATA": "/data"}, besides=["DATA"])
    ['DATA', 'OMP_NUM_THREADS', 'PATH']
    """
    wanted = set(besides)
    return sorted(name for name in environ if name in wanted or name.startswith(_FORWARDED))


def _merged(hosts: Iterable[Host]) -> tuple[Host, ...]:
    slots: dict[str, int] = {}
    for host in hosts:
        slots[host.name] = slots.get(host.name, 0) + host.slots
    return tuple(Host(name, count) for name, count in slots.items())


def _counted(word: str) -> tuple[str, str]:
    name, colon, count = word.rpartition(":")
    return (name, count) if colon and not word.endswith("]") else (word, "1")


def _host(word: str, name: str, count: str) -> Host:
    if not _NAME.fullmatch(name) or name.startswith("-") or not _SLOTS.fullmatch(count):
        raise InvalidRequest(
            f"cannot use the host {word!r}",
            "",
            "write NAME or NAME:RANKS (1 to 999999), joined by commas",
            field="spec.hosts",
        )
    return Host(name, int(count))


def _line(words: Sequence[str]) -> Host:
    name, count = _counted(words[0])
    for word in words[1:]:
        key, _, value = word.partition("=")
        if key == "slots":
            count = value
    return _host(" ".join(words), name, count)
