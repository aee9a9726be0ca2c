"""Between the values of job.py and the messages of allgrad.v1, in both directions."""

from __future__ import annotations

from google.protobuf.timestamp_pb2 import Timestamp

from allgrad.proto import jobs_pb2 as pb

from .job import (
    Alert,
    Checkpoint,
    Event,
    Heartbeat,
    Job,
    JobSpec,
    JobState,
    LogChunk,
    Metrics,
    ServerInfo,
    StateChanged,
)

_STATE_MESSAGES = {
    JobState.QUEUED: pb.JOB_STATE_QUEUED,
    JobState.STARTING: pb.JOB_STATE_STARTING,
    JobState.RUNNING: pb.JOB_STATE_RUNNING,
    JobState.STOPPING: pb.JOB_STATE_STOPPING,
    JobState.SUCCEEDED: pb.JOB_STATE_SUCCEEDED,
    JobState.FAILED: pb.JOB_STATE_FAILED,
    JobState.CANCELLED: pb.JOB_STATE_CANCELLED,
    JobState.UNKNOWN: pb.JOB_STATE_UNKNOWN,
}
_STATES = {message: state for state, message in _STATE_MESSAGES.items()}


def timestamp(seconds: float | None) -> Timestamp | None:
    """Return *seconds* since the epoch as a message, to the microsecond."""
    if seconds is None:
        return None
    micros = round(seconds * 1_000_000)
    return Timestamp(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1_000)


def seconds(message: Timestamp) -> float:
    """Return the seconds since the epoch."""
    return message.seconds + message.nanos / 1e9


def state_message(state: JobState) -> pb.JobState:
    """Return the enum value of *state*."""
    return _STATE_MESSAGES[state]


def state_value(message: pb.JobState) -> JobState:
    """Return the state; one that a newer server knows and this client does not is UNKNOWN."""
    return _STATES.get(message, JobState.UNKNOWN)


def spec_message(spec: JobSpec) -> pb.JobSpec:
    """Return *spec* as a message."""
    return pb.JobSpec(
        argv=spec.argv,
        ranks=spec.ranks,
        name=spec.name,
        env=spec.env,
        working_directory=spec.workdir,
        as_torch=spec.as_torch,
    )


def spec_value(message: pb.JobSpec) -> JobSpec:
    """Return the spec that *message* tells."""
    return JobSpec(
        argv=tuple(message.argv),
        ranks=message.ranks,
        name=message.name,
        env=dict(message.env),
        workdir=message.working_directory,
        as_torch=message.as_torch,
    )


def job_message(job: Job) -> pb.Job:
    """Return *job* as a message."""
    return pb.Job(
        id=job.id,
        spec=spec_message(job.spec),
        state=state_message(job.state),
        reason=job.reason,
        create_time=timestamp(job.created),
        start_time=timestamp(job.started),
        finish_time=timestamp(job.finished),
        exit_code=job.exit_code,
        attempt=job.attempt,
        output_directory=job.output_dir,
        checkpoint=job.checkpoint,
        warning=job.warning,
    )


def job_value(message: pb.Job) -> Job:
    """Return the job that *message* tells."""
    return Job(
        id=message.id,
        spec=spec_value(message.spec),
        state=state_value(message.state),
        reason=message.reason,
        created=seconds(message.create_time),
        started=seconds(message.start_time) if message.HasField("start_time") else None,
        finished=seconds(message.finish_time) if message.HasField("finish_time") else None,
        exit_code=message.exit_code if message.HasField("exit_code") else None,
        attempt=message.attempt,
        output_dir=message.output_directory,
        checkpoint=message.checkpoint,
        warning=message.warning,
    )


def event_message(event: Event) -> pb.JobEvent:
    """Return *event* as a message."""
    message = pb.JobEvent(cursor=event.cursor, time=timestamp(event.time))
    match event:
        case StateChanged():
            change = message.state_change
            change.state, change.reason, change.attempt = (
                state_message(event.state),
                event.reason,
                event.attempt,
            )
            if event.exit_code is not None:
                change.exit_code = event.exit_code
        case Metrics():
            message.metrics.step = event.step
            message.metrics.values.update(event.values)
        case Checkpoint():
            message.checkpoint.step, message.checkpoint.path = event.step, event.path
        case Alert():
            message.alert.message = event.message
        case Heartbeat():
            message.heartbeat.SetInParent()
    return message


def event_value(message: pb.JobEvent) -> Event | None:
    """Return the event that *message* tells, or None if it is of a kind this version does not know."""
    cursor, time = message.cursor, seconds(message.time)
    match message.WhichOneof("event"):
        case "state_change":
            change = message.state_change
            code = change.exit_code if change.HasField("exit_code") else None
            return StateChanged(cursor, time, state_value(change.state), change.reason, code, change.attempt)
        case "metrics":
            return Metrics(cursor, time, message.metrics.step, dict(message.metrics.values))
        case "checkpoint":
            return Checkpoint(cursor, time, message.checkpoint.step, message.checkpoint.path)
        case "alert":
            return Alert(cursor, time, message.alert.message)
        case "heartbeat":
            return Heartbeat(cursor, time)
    return None


def chunk_value(message: pb.StreamLogsResponse) -> LogChunk:
    """Return the log chunk that *message* tells."""
    return LogChunk(message.rank, message.offset, message.data)


def info_value(message: pb.GetServerInfoResponse) -> ServerInfo:
    """Return what the server says of itself."""
    return ServerInfo(
        version=message.version,
        slots=message.slots,
        free_slots=message.free_slots,
        sqlite_version=message.sqlite_version,
        started=seconds(message.start_time),
        mpi=message.mpi,
    )
