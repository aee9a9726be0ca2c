"""Between the values of job.py and the messages of allgrad.v1, in both directions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from allgrad.proto import jobs_pb2 as pb

from ..jobs.hosts import Host
from ..jobs.job import (
    Alert,
    Checkpoint,
    Event,
    Explanation,
    Heartbeat,
    HostSlots,
    Job,
    JobState,
    LogChunk,
    Metrics,
    ServerInfo,
    StateChanged,
)
from ..jobs.spec import After, CheckpointPolicy, Dependency, FailureKind, JobSpec, LauncherKind, RetryRule

_STATE_MESSAGES = {
    JobState.QUEUED: pb.JOB_STATE_QUEUED,
    JobState.STARTING: pb.JOB_STATE_STARTING,
    JobState.RUNNING: pb.JOB_STATE_RUNNING,
    JobState.STOPPING: pb.JOB_STATE_STOPPING,
    JobState.SUCCEEDED: pb.JOB_STATE_SUCCEEDED,
    JobState.FAILED: pb.JOB_STATE_FAILED,
    JobState.CANCELLED: pb.JOB_STATE_CANCELLED,
    JobState.UNKNOWN: pb.JOB_STATE_UNKNOWN,
    JobState.PAUSED: pb.JOB_STATE_PAUSED,
}
_STATES = {message: state for state, message in _STATE_MESSAGES.items()}
_KIND_MESSAGES = {
    None: pb.FAILURE_KIND_UNSPECIFIED,
    FailureKind.EXIT_CODE: pb.FAILURE_KIND_EXIT_CODE,
    FailureKind.SIGNAL: pb.FAILURE_KIND_SIGNAL,
    FailureKind.OUT_OF_MEMORY: pb.FAILURE_KIND_OUT_OF_MEMORY,
    FailureKind.LOST: pb.FAILURE_KIND_LOST,
    FailureKind.TIMEOUT: pb.FAILURE_KIND_TIMEOUT,
}
_KINDS = {message: kind for kind, message in _KIND_MESSAGES.items()}
_LAUNCHER_MESSAGES = {
    LauncherKind.MPIRUN: pb.LAUNCHER_UNSPECIFIED,  # so a job is written as it was before there were others
    LauncherKind.SLURM: pb.LAUNCHER_SLURM,
    LauncherKind.KUBERNETES: pb.LAUNCHER_KUBERNETES,
}
_LAUNCHERS = {message: kind for kind, message in _LAUNCHER_MESSAGES.items()}
_LONGEST = 315_576_000_000.0
_ANY_RULE = RetryRule(0)
_ANY_CHECKPOINT = CheckpointPolicy()


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


def duration(seconds: float | None) -> Duration | None:
    """Return *seconds* as a message, to the microsecond."""
    if seconds is None:
        return None
    micros = round(seconds * 1_000_000)
    return Duration(seconds=micros // 1_000_000, nanos=micros % 1_000_000 * 1_000)


def span(message: Duration) -> float:
    """Return the seconds that *message* lasts: 10,000 years at most, as protobuf defines it."""
    return min(max(message.seconds + message.nanos / 1e9, -_LONGEST), _LONGEST)


def launcher_message(kind: LauncherKind) -> pb.Launcher:
    """Return the enum value of *kind*."""
    return _LAUNCHER_MESSAGES[kind]


def condition_message(condition: After) -> pb.DependencyCondition:
    """Return the enum value of *condition*."""
    ended = condition is After.END
    return pb.DEPENDENCY_CONDITION_ENDED if ended else pb.DEPENDENCY_CONDITION_SUCCEEDED


def spec_message(spec: JobSpec) -> pb.JobSpec:
    """Return *spec* as a message."""
    policy = spec.checkpoint
    checkpoint = None
    if policy != _ANY_CHECKPOINT:
        checkpoint = pb.CheckpointPolicy(
            preemptible=policy.preemptible, grace=duration(policy.grace), interval=duration(policy.interval)
        )
    return pb.JobSpec(
        argv=spec.argv,
        ranks=spec.ranks,
        name=spec.name,
        env=spec.env or None,  # an empty mapping takes as long as all the rest
        working_directory=spec.workdir,
        as_torch=spec.as_torch,
        priority=spec.priority,
        after=[pb.Dependency(job_id=need.job_id, condition=condition_message(need.condition)) for need in spec.after],
        retries=[_rule_message(rule) for rule in spec.retries],
        max_runtime=duration(spec.max_runtime),
        threads_per_rank=spec.threads,
        labels=spec.labels or None,
        checkpoint=checkpoint,
        stall_after=duration(spec.stall_after),
        resume_from=spec.resume_from,
        archive=spec.archive,
        hosts=[pb.Host(name=host.name, slots=host.slots) for host in spec.hosts],
        launcher=_LAUNCHER_MESSAGES[spec.launcher],
        launcher_options=spec.launcher_options or None,
    )


def packed(message: pb.JobSpec) -> bytes:
    """Return *message* serialised, in the one way in which it is kept."""
    return message.SerializeToString(deterministic=True)


def spec_value(message: pb.JobSpec) -> JobSpec:
    """Return the spec that *message* tells."""
    return JobSpec(**{"argv": (), "ranks": 0, **_told(message, SPEC_FIELDS)})


def _told(message: Message, fields: Mapping[str, _Field]) -> dict[str, Any]:
    """Return what *message* says, as keywords for a value: only what is set, since most of it never is."""
    found = {}
    for descriptor, content in message.ListFields():
        name, value = fields[descriptor.name]
        found[name] = content if value is None else value(content)
    return found


def _dependencies(needs: Iterable[pb.Dependency]) -> tuple[Dependency, ...]:
    end = pb.DEPENDENCY_CONDITION_ENDED
    return tuple(Dependency(need.job_id, After.END if need.condition == end else After.SUCCESS) for need in needs)


def _checkpoint_value(message: pb.CheckpointPolicy) -> CheckpointPolicy:
    return CheckpointPolicy(
        message.preemptible,
        span(message.grace) if message.HasField("grace") else None,
        span(message.interval) if message.HasField("interval") else None,
    )


def _rule_message(rule: RetryRule) -> pb.RetryRule:
    return pb.RetryRule(
        kind=_KIND_MESSAGES[rule.kind],
        limit=rule.limit,
        backoff=duration(rule.backoff),
        longest_backoff=duration(rule.longest),
    )


def _rule_value(message: pb.RetryRule) -> RetryRule:
    return RetryRule(
        limit=message.limit,
        kind=_KINDS.get(message.kind),
        backoff=span(message.backoff) if message.HasField("backoff") else _ANY_RULE.backoff,
        longest=span(message.longest_backoff) if message.HasField("longest_backoff") else _ANY_RULE.longest,
    )


_Field: TypeAlias = "tuple[str, Callable[[Any], Any] | None]"
"""What a field of a message is called in the value, and how it is made; None: it is the same."""
SPEC_FIELDS: Mapping[str, _Field] = {
    "argv": ("argv", tuple),
    "ranks": ("ranks", None),
    "name": ("name", None),
    "env": ("env", dict),
    "working_directory": ("workdir", None),
    "as_torch": ("as_torch", None),
    "priority": ("priority", None),
    "after": ("after", _dependencies),
    "retries": ("retries", lambda rules: tuple(map(_rule_value, rules))),
    "max_runtime": ("max_runtime", span),
    "threads_per_rank": ("threads", None),
    "labels": ("labels", dict),
    "checkpoint": ("checkpoint", _checkpoint_value),
    "stall_after": ("stall_after", span),
    "resume_from": ("resume_from", None),
    "archive": ("archive", None),
    "hosts": ("hosts", lambda hosts: tuple(Host(host.name, host.slots) for host in hosts)),
    "launcher": ("launcher", lambda launcher: _LAUNCHERS.get(launcher, LauncherKind.MPIRUN)),
    "launcher_options": ("launcher_options", dict),
}
JOB_FIELDS: Mapping[str, _Field] = {
    "id": ("id", None),
    "spec": ("spec", spec_value),
    "state": ("state", state_value),
    "reason": ("reason", None),
    "create_time": ("created", seconds),
    "start_time": ("started", seconds),
    "finish_time": ("finished", seconds),
    "exit_code": ("exit_code", None),
    "attempt": ("attempt", None),
    "output_directory": ("output_dir", None),
    "checkpoint": ("checkpoint", None),
    "warning": ("warning", None),
    "priority": ("priority", None),
    "queue_time": ("queued", seconds),
    "not_before_time": ("not_before", seconds),
    "cores": ("cores", tuple),
    "sweep_id": ("sweep", None),
    "failures": ("failures", dict),
    "user": ("owner", None),
}
_NOTHING_SAID = JobSpec((), ranks=0)


def job_message(job: Job, spec: pb.JobSpec | None = None) -> pb.Job:
    """Return *job* as a message. *spec*: the message of its spec, if at hand."""
    return pb.Job(
        id=job.id,
        spec=spec_message(job.spec) if spec is None else spec,
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
        priority=job.priority,
        queue_time=timestamp(job.queued or None),
        not_before_time=timestamp(job.not_before or None),
        cores=job.cores,
        sweep_id=job.sweep,
        failures=job.failures or None,
        user=job.owner,
    )


def job_value(message: pb.Job) -> Job:
    """Return the job that *message* tells."""
    unsaid = {"id": "", "spec": _NOTHING_SAID, "state": JobState.UNKNOWN, "owner": ""}
    return Job(**{**unsaid, **_told(message, JOB_FIELDS)})


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


def metrics_bytes(event: Metrics, cursor: int) -> bytes:
    """Return event_message(event) with that cursor, serialised: in half the time, since no other is as frequent."""
    micros = round(event.time * 1_000_000)
    return pb.JobEvent(
        cursor=cursor,
        time={"seconds": micros // 1_000_000, "nanos": micros % 1_000_000 * 1_000},
        metrics={"step": event.step, "values": event.values},
    ).SerializeToString()


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
    return LogChunk(message.rank, message.offset, message.data, message.attempt)


def explanation_value(message: pb.ExplainJobResponse) -> Explanation:
    """Return why a job waits."""
    known = message.HasField("latest_start_time")
    return Explanation(
        job_value(message.job),
        tuple(cause.description for cause in message.causes),
        seconds(message.latest_start_time) if known else None,
    )


def info_value(message: pb.GetServerInfoResponse) -> ServerInfo:
    """Return what the server says of itself."""
    return ServerInfo(
        version=message.version,
        slots=message.slots,
        free_slots=message.free_slots,
        sqlite_version=message.sqlite_version,
        started=seconds(message.start_time),
        mpi=message.mpi,
        cores_per_slot=message.cores_per_slot,
        queued_jobs=message.queued_jobs,
        running_jobs=message.running_jobs,
        hosts=tuple(HostSlots(host.name, host.slots, host.free_slots) for host in message.hosts),
        user=message.user,
    )
