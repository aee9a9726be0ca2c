"""Between jobs and the rows of the jobs table."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from allgrad.proto import jobs_pb2 as pb

from ..home import Home
from ..jobs.job import Job, JobState, Stopping
from ..messages import jobs as messages

COLUMNS = (
    "id, spec, state, reason, created, started, finished, exit_code, attempt, output_dir, checkpoint, warning, "
    "priority, queued, not_before, cores, sweep, failures, stopping, owner"
)


def job_of(row: tuple[Any, ...]) -> Job:
    """Return the job that a row of COLUMNS tells."""
    identity, spec, state, *plain = row[:-5]
    job = Job(identity, messages.spec_value(pb.JobSpec.FromString(spec)), JobState(state), *plain)
    cores, sweep, failures, stopping, owner = row[-5:]
    return replace(
        job,
        cores=tuple(json.loads(cores)),
        sweep=sweep,
        failures=json.loads(failures),
        stopping=Stopping(stopping) if stopping else None,
        owner=owner,
    )


def located(job: Job, home: Home) -> Job:
    """Return *job* with the paths of its files in *home*, which may have been moved since they were written down."""
    before, now = job.output_dir, str(home.output_dir(job.id))
    if before in ("", now):
        return job
    inside = job.checkpoint.startswith(f"{before}/")
    return replace(job, output_dir=now, checkpoint=now + job.checkpoint[len(before) :] if inside else job.checkpoint)


def row_of(job: Job, packed: bytes | None = None) -> tuple[Any, ...]:
    """Return the row of COLUMNS that tells *job*. *packed*: what messages.packed() makes of its spec, if at hand."""
    return (
        job.id,
        messages.packed(messages.spec_message(job.spec)) if packed is None else packed,
        job.state.value,
        job.reason,
        job.created,
        job.started,
        job.finished,
        job.exit_code,
        job.attempt,
        job.output_dir,
        job.checkpoint,
        job.warning,
        job.priority,
        job.queued,
        job.not_before,
        json.dumps(job.cores) if job.cores else "[]",
        job.sweep,
        json.dumps(job.failures) if job.failures else "{}",
        job.stopping.value if job.stopping else "",
        job.owner,
    )
