"""What is said of jobs in keywords: how one is to be run, which are to be listed."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

from ..jobs.hosts import Host
from ..jobs.job import JobState, Wanted
from ..jobs.spec import CheckpointPolicy, Dependency, EarlyStopping, JobSpec, LauncherKind, RetryRule, SweepSpec
from ..launchers.hosts import parse_hosts
from .kinds import OF_JOBS, OF_LISTS, OF_SWEEPS, check_kinds


class Options(TypedDict, total=False):
    """What may be said of a job beside what it runs; each has a default.

    priority: -100 to 100, the highest starts first (default 0). after: jobs that must have succeeded (ids), or ended
    (Dependency), before it starts. retries: how often a failure is forgiven, or RetryRules by kind of failure.
    max_runtime: seconds after which an attempt is ended and has failed. threads: of each rank. labels: to find it by.
    stall_after: seconds without a report after which an Alert says that it is silent (0: never; default: by its own rhythm).
    resume_from: hash of a checkpoint that was uploaded with Client.files.upload_file, to go on from.
    checkpoint: whether and how it can be interrupted. archive: hash of a folder that was uploaded, with Client.files; the
    job starts in it, or in *workdir* seen from it. hosts: where the ranks are started over ssh, as "a:2,b:2" or as Hosts.
    launcher: "slurm" or "kubernetes" to let those queue and start it. launcher_options: what they are told besides.
    """

    priority: int
    after: Sequence[str | Dependency]
    retries: int | Sequence[RetryRule]
    max_runtime: float | None
    threads: int
    labels: Mapping[str, str]
    stall_after: float | None
    resume_from: str
    checkpoint: CheckpointPolicy
    archive: str
    hosts: str | Sequence[Host]
    launcher: LauncherKind | str
    launcher_options: Mapping[str, str]


def job_spec(
    argv: Sequence[str],
    ranks: int | None,
    name: str,
    env: Mapping[str, str] | None,
    workdir: str | os.PathLike[str] | None,
    as_torch: bool,
    options: Options,
) -> JobSpec:
    """Return the spec of a job to be submitted from this folder.

    Raises TypeError if there is no such option, or it is of another kind.
    """
    if unknown := options.keys() - Options.__annotations__.keys():
        raise TypeError(f"no option {sorted(unknown)[0]!r}; there are {', '.join(Options.__annotations__)}")
    said = {"argv": argv, "ranks": ranks, "name": name, "env": env, "workdir": workdir, "as_torch": as_torch}
    check_kinds(OF_JOBS, {**said, **options})
    options = cast(Options, {name: value for name, value in options.items() if value is not None})
    archive = options.get("archive", "")
    retries = options.get("retries", ())
    named = options.get("hosts", ())
    hosts = parse_hosts(named) if isinstance(named, str) else tuple(named)
    after = [Dependency(need) if isinstance(need, str) else need for need in options.get("after", ())]
    return JobSpec(
        argv=tuple(argv),
        ranks=(sum(host.slots for host in hosts) or 1) if ranks is None else ranks,
        name=name,
        env=dict(env or {}),
        workdir=str(workdir or "") if archive else _from_here(workdir),
        as_torch=as_torch,
        priority=options.get("priority", 0),
        after=tuple(dict.fromkeys(after)),
        retries=(RetryRule(retries),) if isinstance(retries, int) else tuple(retries),
        max_runtime=options.get("max_runtime"),
        threads=options.get("threads", 0),
        labels=dict(options.get("labels", {})),
        resume_from=options.get("resume_from", ""),
        stall_after=options.get("stall_after"),
        checkpoint=options.get("checkpoint", CheckpointPolicy()),
        archive=archive,
        hosts=hosts,
        launcher=_launcher(options.get("launcher", LauncherKind.MPIRUN)),
        launcher_options=dict(options.get("launcher_options", {})),
    )


def _launcher(name: str) -> LauncherKind:
    if name not in list(LauncherKind):
        raise ValueError(f"launcher is one of {', '.join(LauncherKind)}, and got {name!r}")
    return LauncherKind(name)


def _from_here(folder: str | os.PathLike[str] | None) -> str:
    return str(Path(folder).absolute()) if folder else os.getcwd()


def sweep_spec(
    job: JobSpec, grid: Mapping[str, Sequence[object]], max_parallel: int, early_stopping: EarlyStopping | None
) -> SweepSpec:
    """Return the spec of a sweep of *job* over *grid*."""
    check_kinds(OF_SWEEPS, {"grid": grid, "max_parallel": max_parallel, "early_stopping": early_stopping})
    for axis, values in grid.items():
        if isinstance(values, str | bytes) or not isinstance(values, Iterable):
            raise TypeError(f"the grid's {axis!r} is a sequence, and got {values!r}; write [{values!r}]")
    axes = {axis: tuple(map(str, values)) for axis, values in grid.items()}
    return SweepSpec(job, axes, max_parallel, early_stopping)


def wanted(
    state: JobState | Collection[JobState] | None,
    labels: str,
    name: str,
    since: float | None,
    until: float | None,
    sweep: str,
    user: str,
    id_prefix: str,
) -> Wanted:
    """Return which jobs are to be listed. Raises TypeError for a value of another kind."""
    said = {"state": state, "labels": labels, "name": name, "since": since, "until": until}
    check_kinds(OF_LISTS, {**said, "sweep": sweep, "user": user, "id_prefix": id_prefix})
    if state is None:
        states: tuple[JobState, ...] = ()
    else:
        states = (state,) if isinstance(state, JobState) else tuple(state)
    return Wanted(states, labels, name, since, until, sweep, user, id_prefix)
