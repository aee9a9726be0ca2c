"""``allgrad doctor``: whether this machine can do what allgrad asks of it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .cluster import cluster, cluster_option, namespace_option
from .connection import Connection, connection_options, json_option
from .script import hostfile_option
from .words import Word

if TYPE_CHECKING:
    from ..jobs.hosts import Host

MARKS = {"ok": ("ok", "green"), "warning": ("warning", "yellow"), "problem": ("problem", "red")}


@click.command(short_help="Check whether this machine has what allgrad needs.")
@click.option("--hosts", type=Word(), metavar="LIST", help="Check these hosts, over ssh, as in a:2,b:2.")
@hostfile_option
@click.option("--slurm", is_flag=True, help="Check the Slurm that sbatch submits to.")
@cluster_option
@namespace_option
@json_option
@connection_options
def doctor(
    hosts: str | None,
    hostfile: Path | None,
    slurm: bool,
    kubernetes: str | None,
    kubernetes_namespace: str | None,
    as_json: bool,
    connection: Connection,
) -> int:
    """Check this machine: Python, MPI (by starting two ranks), SQLite, memory, the server.

    With --hosts or --hostfile, check those too: whether ssh gets there, and finds this folder and the same allgrad.
    With --slurm: the controller, partitions, whether a job would be taken, and by starting a process on a free node
    whether it sees the server's folder. With --kubernetes: the MPI Operator, the rights, the volume.

    Exits with 1 if there is a problem; warnings are only told.
    """
    from ..checkup import Target, Verdict, check_up

    named: tuple[Host, ...] = ()
    if hosts or hostfile:
        from .place import named_hosts

        named = named_hosts(hosts, hostfile)
    healthy = True
    place = cluster(kubernetes, kubernetes_namespace) if kubernetes else {}
    target = Target(connection.server, connection.token, connection.home, named, slurm, place)
    for finding in check_up(target):
        healthy = healthy and finding.verdict is not Verdict.PROBLEM
        if as_json:
            import json
            from dataclasses import asdict

            click.echo(json.dumps(asdict(finding)))
            continue
        mark, colour = MARKS[finding.verdict]
        click.echo(f"{click.style(f'{mark:<8}', fg=colour)} {finding.name:<14} {finding.found}")
        if finding.fix:
            click.echo(f"{'':<24}{finding.fix}")
    return 0 if healthy else 1
