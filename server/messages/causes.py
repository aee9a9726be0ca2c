"""What keeps a job from starting, as messages of allgrad.v1."""

from __future__ import annotations

from allgrad.proto import jobs_pb2 as pb

from ..jobs.causes import (
    Backoff,
    Cause,
    Crowded,
    InBatchQueue,
    NeedsJob,
    NeedsServer,
    NeedsSlots,
    NeedsTurn,
    OnHold,
    OverQuota,
)
from .jobs import condition_message, launcher_message, state_message, timestamp


def cause_message(cause: Cause) -> pb.WaitCause:
    """Return *cause* as a message; one without particulars has its description only."""
    told = str(cause)
    match cause:
        case NeedsSlots(needed, free, total, host):
            return pb.WaitCause(
                description=told, slots=pb.WaitForSlots(needed=needed, free=free, total=total, host=host)
            )
        case NeedsTurn(job_id, ahead):
            return pb.WaitCause(description=told, turn=pb.WaitForTurn(job_id=job_id, ahead=ahead))
        case NeedsJob(need, state):
            condition = condition_message(need.condition)
            other = pb.WaitForJob(job_id=need.job_id, condition=condition, state=state_message(state))
            return pb.WaitCause(description=told, job=other)
        case Backoff(until):
            return pb.WaitCause(description=told, time=pb.WaitForTime(until=timestamp(until)))
        case Crowded(sweep, limit):
            return pb.WaitCause(description=told, sweep=pb.WaitForSweep(sweep_id=sweep, max_parallel=limit))
        case OverQuota(quota):
            limits = pb.WaitForQuota(user=quota.user, running_jobs=quota.running, slots=quota.slots)
            return pb.WaitCause(description=told, quota=limits)
        case InBatchQueue(launcher, reason):
            waits = pb.WaitForLauncher(launcher=launcher_message(launcher), reason=reason)
            return pb.WaitCause(description=told, launcher=waits)
        case OnHold():
            return pb.WaitCause(description=told, person=pb.WaitForPerson())
        case NeedsServer(needed, total, host):
            return pb.WaitCause(description=told, server=pb.WaitForServer(needed=needed, total=total, host=host))
    return pb.WaitCause(description=told)
