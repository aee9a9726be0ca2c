"""Between jobs and the rows of the jobs table."""

from __future__ import annotations

from typing import Any

from allgrad.proto import jobs_pb2 as pb

from .. import messages
from ..job import Job, JobState

COLUMNS = "id, spec, state, reason, created, started, finished, exit_code, attempt, output_dir, checkpoint, warning"


def job_of(row: tuple[Any, ...]) -> Job:
    """Return the job that a row of COLUMNS tells."""
    identity, spec, state, *rest = row
    return Job(identity, messages.spec_value(pb.JobSpec.FromString(spec)), JobState(state), *rest)


def row_of(job: Job) -> tuple[Any, ...]:
    """Return the row of COLUMNS that tells *job*."""
    return (
        job.id,
        messages.spec_message(job.spec).SerializeToString(deterministic=True),
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
    )
