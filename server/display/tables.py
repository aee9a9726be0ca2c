"""Jobs as a table and as a page, aligned for people and unadorned for pipes."""

from __future__ import annotations

import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from rich.cells import cell_len, set_cell_size

from ..access.rules import AuditRecord, Quota, Token
from ..files.artifacts import Artifact
from ..jobs.job import ADMIN, Explanation, Job, JobState, Sweep
from ..jobs.spec import After, JobSpec
from .series import duration

COLUMNS = ("JOB", "USER", "STATE", "NAME", "RANKS", "SUBMITTED", "TIME", "CODE", "REASON")
NAME_WIDTH = 24


def job_table(jobs: Sequence[Job]) -> list[str]:
    """A line of headings and one for each job, cut to the terminal if there is one; with users where there are several."""
    rows = [COLUMNS, *map(_row, jobs)]
    if len({job.owner for job in jobs}) < 2:
        rows = [(row[0], *row[2:]) for row in rows]
    return aligned(rows)


def _row(job: Job) -> tuple[str, ...]:
    return (
        job.id,
        job.owner,
        job.state.value.lower(),
        shortened(printable(job.name), NAME_WIDTH) or "-",
        str(job.ranks),
        _ago(job.created),
        running_time(job),
        "-" if job.exit_code is None else str(job.exit_code),
        printable(job.reason),
    )


def running_time(job: Job) -> str:
    """How long *job* has run, or ran; nothing where it does not, as while it is paused."""
    if job.state in (JobState.QUEUED, JobState.PAUSED):
        return "-"
    return duration((job.finished or time.time()) - job.started) if job.started else "-"


def _ago(moment: float) -> str:
    return f"{duration(time.time() - moment)} ago"


def job_page(job: Job) -> list[str]:
    """Everything that is known of *job*, one ``name  value`` a line; what is not known is left out."""
    facts = {
        "job": job.id,
        "name": job.name,
        "state": job.state.value.lower(),
        "reason": job.reason,
        "command": shlex.join(job.argv),
        "ranks": job.ranks,
        "threads": job.spec.threads or None,
        "cores": ", ".join(map(str, job.cores)),
        "hosts": ", ".join(map(str, job.spec.hosts)),
        "launcher": " ".join(
            [job.spec.launcher, *(f"{name}={value}" for name, value in job.spec.launcher_options.items())]
        )
        if job.spec.batch
        else None,
        "priority": job.priority or None,
        "user": job.owner if job.owner != ADMIN else None,
        "sweep": job.sweep,
        **_policies(job.spec),
        "submitted": _clock(job.created),
        "started": _clock(job.started),
        "finished": _clock(job.finished),
        "exit code": job.exit_code,
        "attempt": job.attempt or None,
        "retried": ", ".join(f"{count} × {kind}" for kind, count in job.failures.items()),
        "output": job.output_dir,
        "checkpoint": job.checkpoint,
        "warning": job.warning,
    }
    return [f"{name:<13}{printable(str(fact))}" for name, fact in facts.items() if fact not in (None, "")]


def _policies(spec: JobSpec) -> dict[str, str | None]:
    """What was asked for *spec* beside what it runs and where."""
    policy = spec.checkpoint
    times = {
        "max runtime": spec.max_runtime,
        "stop grace": policy.grace,
        "stall after": spec.stall_after,
        "checkpoints": policy.interval,
    }
    return {
        "after": ", ".join(need.job_id for need in spec.after if need.condition is After.SUCCESS),
        "after any": ", ".join(need.job_id for need in spec.after if need.condition is After.END),
        "retries": ", ".join(f"{rule.kind}={rule.limit}" if rule.kind else str(rule.limit) for rule in spec.retries),
        "preemptible": "yes" if policy.preemptible else None,
        **{name: None if seconds is None else duration(seconds) for name, seconds in times.items()},
        "labels": ", ".join(f"{key}={value}" for key, value in sorted(spec.labels.items())),
        "environment": shlex.join(f"{key}={value}" for key, value in spec.env.items()),
        "folder": spec.workdir or ("an uploaded one" if spec.archive else None),
        "resumes from": spec.resume_from,
    }


def explanation_page(told: Explanation) -> list[str]:
    """Why a job is not running, one cause a line."""
    job = told.job
    head = f"job {job.id} is {job.state.value.lower()}"
    if not told.causes:
        return [f"{head}: {printable(job.reason)}" if job.reason else head]
    start = [f"  starts at the latest: {_clock(told.latest_start)}"] if told.latest_start else []
    return [head, *(f"  {printable(cause)}" for cause in told.causes), *start]


def sweep_table(sweeps: Sequence[Sweep]) -> list[str]:
    """A line of headings and one for each sweep."""
    rows: list[tuple[str, ...]] = [("SWEEP", "SUBMITTED", "JOBS", "GRID")]
    for sweep in sweeps:
        counts = Counter(job.state.value.lower() for job in sweep.jobs)
        states = ", ".join(f"{count} {state}" for state, count in counts.items())
        grid = " ".join(f"{name}={','.join(values)}" for name, values in sweep.spec.grid.items())
        rows.append((sweep.id, _ago(sweep.created), states, printable(grid)))
    return aligned(rows)


def artifact_table(artifacts: Sequence[Artifact]) -> list[str]:
    """A line of headings and one for each file."""
    rows = [(str(each.size), _clock(each.modified), printable(each.path)) for each in artifacts]
    return aligned([("BYTES", "CHANGED", "PATH"), *rows])


def token_table(tokens: Sequence[Token]) -> list[str]:
    """A line of headings and one for each token."""
    rows = [(each.id, each.user, each.scope.value, _clock(each.created), _clock(each.revoked)) for each in tokens]
    return aligned([("TOKEN", "USER", "SCOPE", "MADE", "REVOKED"), *rows])


def quota_table(quotas: Sequence[Quota]) -> list[str]:
    """A line of headings and one for each user."""
    rows = [(each.user, *(str(limit or "-") for limit in (each.queued, each.running, each.slots))) for each in quotas]
    return aligned([("USER", "QUEUED", "RUNNING", "SLOTS"), *rows])


def audit_table(records: Sequence[AuditRecord]) -> list[str]:
    """A line of headings and one for each change."""
    rows = [(_clock(each.time), each.user, each.token, each.peer, each.action, each.target) for each in records]
    return aligned([("TIME", "USER", "TOKEN", "FROM", "ACTION", "TARGET"), *rows])


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """*rows* in columns, cut to the terminal if there is one."""
    widths = [max(cell_len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(map(set_cell_size, row, widths)).rstrip() for row in rows]
    if not sys.stdout.isatty():
        return lines
    room = shutil.get_terminal_size().columns
    return [line if cell_len(line) <= room else set_cell_size(line, room - 1) + "…" for line in lines]


def shortened(text: str, width: int) -> str:
    """*text*, or what of it fits into *width* columns of a terminal, where a letter may take two or none."""
    return text if cell_len(text) <= width else set_cell_size(text, width).rstrip()


def _clock(moment: float | None) -> str:
    return datetime.fromtimestamp(moment).astimezone().isoformat(" ", "seconds") if moment else ""


def printable(text: str) -> str:
    """*text* on one line, with nothing in it that a terminal would obey."""
    return "".join(character if character.isprintable() else " " for character in text)
