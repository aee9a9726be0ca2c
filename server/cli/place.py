"""Where ``allgrad run`` starts its ranks: here, on hosts over ssh, or where Slurm or Kubernetes have put it."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import click

from .. import launchers
from ..errors import HostUnreachable, InvalidRequest
from ..launchers import Host, Launcher, OpenMPI, Surroundings, reach


@dataclass(frozen=True, slots=True)
class Place:
    """How many ranks there are to be, and on which machines."""

    ranks: int
    hosts: tuple[Host, ...] = ()
    """That may be used; empty: this machine, or the nodes of a Slurm allocation."""
    slurm: bool = False
    world: bool = False
    """This process is one of the ranks: something has started it once for each."""

    @property
    def alone(self) -> bool:
        """Whether one rank on this machine is all."""
        return self.ranks == 1 and not self.hosts and not self.slurm

    def launcher(self, ranks: int, elastic: bool) -> Launcher:
        """Return what starts *ranks* ranks there. Raises InvalidRequest if they do not fit."""
        if ranks == 1 and not self.hosts and not self.slurm:
            return launchers.local(1)
        mpi = launchers.any_mpi(ranks)
        hosts = launchers.deal(self.hosts, ranks) if self.hosts else ()
        if isinstance(mpi, OpenMPI):
            return replace(mpi, hosts=hosts, slurm=self.slurm, elastic=elastic)
        if elastic:
            click.echo(
                f"allgrad: warning: under {mpi.name} the death of a rank ends the others, despite --elastic: "
                "use Open MPI, or --restarts",
                err=True,
            )
        return replace(mpi, hosts=hosts, slurm=self.slurm)

    def without_lost_hosts(self, ranks: int) -> Place:
        """Return the place as it is after a failure: without hosts that cannot be reached, for at most *ranks* ranks."""
        if not self.hosts:
            return replace(self, ranks=ranks)
        left = []
        for found in reach.look(self.hosts, os.getcwd()):
            if found.trouble is None:
                left.append(found.host)
            else:
                click.echo(f"allgrad: going on without {found.host.name}: {found.trouble.found}", err=True)
        return replace(self, ranks=min(ranks, sum(host.slots for host in left)), hosts=tuple(left))


def find_place(ranks: int | None, hosts: str | None, hostfile: Path | None) -> Place:
    """Return where *ranks* ranks are to run: on those named by *hosts* or *hostfile*, else where this process finds itself.

    Without a number it is as many as there is room for, or 1. Raises InvalidRequest for what contradicts itself.
    """
    around = launchers.surroundings()
    if around.world > 1:
        _check_world(around, ranks, hosts or hostfile)
        return Place(around.world, world=True)
    named = named_hosts(hosts, hostfile) or around.hosts
    if named:
        wanted = ranks or sum(host.slots for host in named)
        launchers.deal(named, wanted)
        if around.hosts and not (hosts or hostfile):
            click.echo(f"allgrad: {wanted} ranks on {len(named)} hosts, as {around.hostfile} says", err=True)
        return Place(wanted, () if all(host.local for host in named) else named)
    slurm = around.nodes > 1 or (around.nodes == 1 and "SLURMD_NODENAME" not in os.environ)
    return Place(ranks or around.tasks or 1, slurm=slurm)


def named_hosts(hosts: str | None, hostfile: Path | None) -> tuple[Host, ...]:
    """Return the hosts that --hosts or --hostfile name. Raises InvalidRequest if both are given, or a file names none."""
    if hosts and hostfile:
        raise InvalidRequest("cannot use --hosts and --hostfile together", "", "give one of them")
    if hosts:
        return launchers.parse_hosts(hosts)
    named = launchers.read_hostfile(hostfile.read_text(encoding="utf-8")) if hostfile else ()
    if hostfile and not named:
        raise InvalidRequest(
            f"the hostfile {hostfile} names no host", "", "write a host in each line, as in: node1 slots=4"
        )
    return named


def check(place: Place) -> None:
    """Raise HostUnreachable if ranks cannot start on a host, and warn where they have less than a core each."""
    if not place.hosts:
        if not place.slurm:
            _warn_of_too_many(place.ranks, len(os.sched_getaffinity(0)), "")
        return
    for found in reach.look(launchers.deal(place.hosts, place.ranks), os.getcwd()):
        if found.trouble is not None:
            raise HostUnreachable(found.trouble.what, found.trouble.found, found.trouble.fix)
        _warn_of_too_many(found.host.slots, found.cores, f" of {found.host.name}")


def _check_world(around: Surroundings, ranks: int | None, hosts: object) -> None:
    if hosts or ranks not in (None, around.world):
        asked = f"-n {ranks}" if ranks not in (None, around.world) else "hosts"
        raise InvalidRequest(
            f"cannot start ranks with {asked} here",
            f"{around.starter} has already started {around.world} of this process, each of which is to be one rank",
            f"leave {asked.split()[0] if asked != 'hosts' else '--hosts'} away, or start allgrad run without {around.starter}",
        )


def _warn_of_too_many(ranks: int, cores: int, where: str) -> None:
    if ranks > cores:
        click.echo(f"allgrad: warning: {ranks} ranks share {cores} cores{where}, and will be slow", err=True)
