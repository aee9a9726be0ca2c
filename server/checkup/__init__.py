"""Whether this machine, and what it is told of, can do what allgrad asks of it: one check a function, each with its fix."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import AllgradError, ServerUnreachable
from ..home import Home
from ..jobs.hosts import Host
from ..launchers import reach
from . import kubernetes, machine, slurm
from .finding import Finding, Verdict

__all__ = ["Finding", "Target", "Verdict", "check_up", "hosts", "server"]


@dataclass(frozen=True)
class Target:
    """What is to be looked at beside this machine, as the command line says it."""

    server: str | None = None
    token: str | None = None
    home: Path | None = None
    hosts: tuple[Host, ...] = ()
    """Other machines to be looked at, on which ranks are to run."""
    slurm: bool = False
    """Whether the Slurm that sbatch submits to is to be looked at."""
    kubernetes: Mapping[str, str] = field(default_factory=dict)
    """The cluster to be looked at, as ``allgrad serve`` is told of it."""


def check_up(target: Target) -> Iterator[Finding]:
    """Run every check in turn."""
    yield from machine.check_up(Home.find(target.home))
    yield server(target)
    yield from hosts(target.hosts)
    if target.slurm:
        yield from slurm.check_up(Home.find(target.home))
    if target.kubernetes:
        yield from kubernetes.check_up(target.kubernetes)


def server(target: Target) -> Finding:
    """Look for the server that commands would speak to."""
    from ..client.client import Client

    try:
        with Client(target.server, token=target.token, home=target.home) as client:
            info = client.info()
    except ServerUnreachable as error:
        asked_for = target.server is not None
        return Finding("server", Verdict.PROBLEM if asked_for else Verdict.WARNING, error.found, error.fix)
    except AllgradError as error:
        return Finding("server", Verdict.PROBLEM, f"{error.what}; {error.found}", error.fix)
    there = "".join(f", {host.free_slots} of {host.slots} on {host.name}" for host in info.hosts)
    return Finding("server", Verdict.OK, f"{info.version}, {info.free_slots} of {info.slots} slots free{there}")


def hosts(named: Sequence[Host]) -> Iterator[Finding]:
    """Look whether ranks can start on each host."""
    for seen in reach.look(named, os.getcwd()) if named else ():
        name, trouble = f"host {seen.host.name}", seen.trouble
        if trouble is not None:
            yield Finding(name, Verdict.PROBLEM, f"{trouble.what}; {trouble.found}", trouble.fix)
        elif seen.cores < seen.host.slots:
            found = f"{seen.cores} cores for {seen.host.slots} ranks"
            fix = f"give it as many ranks as it has cores: {seen.host.name}:{seen.cores}"
            yield Finding(name, Verdict.WARNING, found, fix)
        else:
            yield Finding(name, Verdict.OK, f"{seen.cores} cores, the same allgrad, this folder")
