"""What is asked about jobs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from allgrad.proto import jobs_pb2 as pb

from ...jobs.job import Event, Explanation, Job, LogChunk, ServerInfo, Wanted
from ...jobs.spec import JobSpec
from ...messages import jobs as messages
from . import question
from .question import Question, Stream, nothing

_SERVICE = "JobService"


def submit(spec: JobSpec, request_id: str | None) -> Question[pb.SubmitJobResponse, Job]:
    """Submit a job."""
    request = pb.SubmitJobRequest(request_id=question.request_id(request_id), spec=messages.spec_message(spec))
    return Question(_SERVICE, request, pb.SubmitJobResponse, lambda answer: messages.job_value(answer.job))


def get(job_id: str) -> Question[pb.GetJobResponse, Job]:
    """Return a job."""
    request = pb.GetJobRequest(job_id=job_id)
    return Question(_SERVICE, request, pb.GetJobResponse, lambda answer: messages.job_value(answer.job))


def page(wanted: Wanted, page_size: int, page_token: str) -> Question[pb.ListJobsResponse, tuple[Sequence[Job], str]]:
    """Return one page of jobs and the token of the next."""
    request = pb.ListJobsRequest(
        states=map(messages.state_message, wanted.states),
        label_selector=wanted.labels,
        name=wanted.name,
        created_after=messages.timestamp(wanted.since),
        created_before=messages.timestamp(wanted.until),
        sweep_id=wanted.sweep,
        user=wanted.user,
        id_prefix=wanted.id_prefix,
        page_size=page_size,
        page_token=page_token,
    )

    def value(answer: pb.ListJobsResponse) -> tuple[Sequence[Job], str]:
        return [messages.job_value(job) for job in answer.jobs], answer.next_page_token

    return Question(_SERVICE, request, pb.ListJobsResponse, value)


def cancel(job_id: str) -> Question[pb.CancelJobResponse, Job]:
    """Ask for a job to be ended."""
    request = pb.CancelJobRequest(job_id=job_id)
    return Question(_SERVICE, request, pb.CancelJobResponse, lambda answer: messages.job_value(answer.job))


def pause(job_id: str) -> Question[pb.PauseJobResponse, Job]:
    """Take a job off its slots or off the queue."""
    request = pb.PauseJobRequest(job_id=job_id)
    return Question(_SERVICE, request, pb.PauseJobResponse, lambda answer: messages.job_value(answer.job))


def resume(job_id: str) -> Question[pb.ResumeJobResponse, Job]:
    """Put a paused job back into the queue."""
    request = pb.ResumeJobRequest(job_id=job_id)
    return Question(_SERVICE, request, pb.ResumeJobResponse, lambda answer: messages.job_value(answer.job))


def change_priority(job_id: str, priority: int) -> Question[pb.ChangeJobPriorityResponse, Job]:
    """Give a job another priority."""
    request = pb.ChangeJobPriorityRequest(job_id=job_id, priority=priority)
    return Question(_SERVICE, request, pb.ChangeJobPriorityResponse, lambda answer: messages.job_value(answer.job))


def delete(job_id: str) -> Question[pb.DeleteJobResponse, None]:
    """Forget a finished job and its files."""
    return Question(_SERVICE, pb.DeleteJobRequest(job_id=job_id), pb.DeleteJobResponse, nothing)


def explain(job_id: str) -> Question[pb.ExplainJobResponse, Explanation]:
    """Return why a job waits."""
    request = pb.ExplainJobRequest(job_id=job_id)
    return Question(_SERVICE, request, pb.ExplainJobResponse, messages.explanation_value)


def info() -> Question[pb.GetServerInfoResponse, ServerInfo]:
    """Return what the server says of itself."""
    return Question(_SERVICE, pb.GetServerInfoRequest(), pb.GetServerInfoResponse, messages.info_value)


def watch(job_id: str, cursor: int) -> Stream[pb.WatchJobResponse, Event]:
    """Yield the events of a job after *cursor*, until its end."""

    def values(answer: pb.WatchJobResponse) -> Iterator[Event]:
        for message in answer.events:
            event = messages.event_value(message)
            if event is not None:
                yield event

    return Stream(_SERVICE, pb.WatchJobRequest(job_id=job_id, cursor=cursor), pb.WatchJobResponse, values)


def logs(
    job_id: str, rank: int | None, offsets: Mapping[int, int], attempt: int, follow: bool, tail: int
) -> Stream[pb.StreamLogsResponse, LogChunk]:
    """Yield log chunks from *offsets* on, until the end of the logs, or of the job."""
    request = pb.StreamLogsRequest(
        job_id=job_id, rank=rank, offsets=offsets, attempt=attempt, follow=follow, tail_lines=tail
    )
    return Stream(_SERVICE, request, pb.StreamLogsResponse, lambda answer: [messages.chunk_value(answer)])
