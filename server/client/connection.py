"""One gRPC channel to a server, speaking in the values of job.py; loaded when a client first needs it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grpc

from allgrad.proto import jobs_pb2 as pb
from allgrad.proto import sweeps_pb2 as sweeps_pb
from allgrad.proto.jobs_pb2_grpc import JobServiceStub
from allgrad.proto.sweeps_pb2_grpc import SweepServiceStub

from ..access import tls
from ..access.tls import ClientFiles
from ..errors import AllgradError
from ..jobs.job import Event, Explanation, Job, LogChunk, ServerInfo, Sweep, Wanted
from ..jobs.spec import JobSpec, SweepSpec
from ..messages import jobs as messages
from ..messages import statuses
from ..messages import sweeps as sweep_messages
from .access_calls import AccessCalls
from .file_calls import FileCalls

DEADLINE = 15.0
"""Seconds after which a call without an answer is given up."""
RENEWAL = 120.0
"""Seconds after which a stream is opened anew where it stands, so that none can hang unnoticed."""

_PLAIN = ClientFiles()
CHANNEL_OPTIONS: Sequence[tuple[str, Any]] = (
    # The client itself repeats calls and resumes streams. gRPC's own retries, met with a server that was killed,
    # have been seen to leave a stream waiting for ever on a channel that has failed.
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", 16 << 20),
)


class Connection:
    """A channel, with the token that every call bears. Methods raise grpc.RpcError: see explain()."""

    def __init__(self, address: str, token: str, files: ClientFiles = _PLAIN) -> None:
        self.address = address
        self._channel = tls.channel(address, files, CHANNEL_OPTIONS)
        self._metadata = (("authorization", f"Bearer {token}"),)
        self._stub = JobServiceStub(self._channel)
        self._sweeps = SweepServiceStub(self._channel)
        how = {"timeout": DEADLINE, "metadata": self._metadata}
        self.access = AccessCalls(self._channel, how)
        self.files = FileCalls(self._channel, how)

    def explain(self, error: grpc.RpcError) -> AllgradError:
        """Return the error that a failed call tells."""
        return statuses.error_of(error, self.address)

    @staticmethod
    def due_for_renewal(error: grpc.RpcError) -> bool:
        """Return whether a stream ended only because it had been open for long."""
        assert isinstance(error, grpc.Call)
        return error.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    def submit(self, spec: JobSpec, request_id: str) -> Job:
        """Submit a job."""
        request = pb.SubmitJobRequest(request_id=request_id, spec=messages.spec_message(spec))
        answer = self._stub.SubmitJob(request, timeout=DEADLINE, metadata=self._metadata)
        return messages.job_value(answer.job)

    def get(self, job_id: str) -> Job:
        """Return a job."""
        request = pb.GetJobRequest(job_id=job_id)
        return messages.job_value(self._stub.GetJob(request, timeout=DEADLINE, metadata=self._metadata).job)

    def page(self, wanted: Wanted, page_size: int, page_token: str) -> tuple[Sequence[Job], str]:
        """Return one page of jobs and the token of the next."""
        request = pb.ListJobsRequest(
            states=map(messages.state_message, wanted.states),
            label_selector=wanted.labels,
            name=wanted.name,
            created_after=messages.timestamp(wanted.since),
            created_before=messages.timestamp(wanted.until),
            sweep_id=wanted.sweep,
            page_size=page_size,
            page_token=page_token,
        )
        answer = self._stub.ListJobs(request, timeout=DEADLINE, metadata=self._metadata)
        return [messages.job_value(job) for job in answer.jobs], answer.next_page_token

    def cancel(self, job_id: str) -> Job:
        """Ask for a job to be ended."""
        request = pb.CancelJobRequest(job_id=job_id)
        return messages.job_value(self._stub.CancelJob(request, timeout=DEADLINE, metadata=self._metadata).job)

    def pause(self, job_id: str) -> Job:
        """Take a job off its slots or off the queue."""
        request = pb.PauseJobRequest(job_id=job_id)
        return messages.job_value(self._stub.PauseJob(request, timeout=DEADLINE, metadata=self._metadata).job)

    def resume(self, job_id: str) -> Job:
        """Put a paused job back into the queue."""
        request = pb.ResumeJobRequest(job_id=job_id)
        return messages.job_value(self._stub.ResumeJob(request, timeout=DEADLINE, metadata=self._metadata).job)

    def change_priority(self, job_id: str, priority: int) -> Job:
        """Give a job another priority."""
        request = pb.ChangeJobPriorityRequest(job_id=job_id, priority=priority)
        answer = self._stub.ChangeJobPriority(request, timeout=DEADLINE, metadata=self._metadata)
        return messages.job_value(answer.job)

    def delete(self, job_id: str) -> None:
        """Forget a finished job and its files."""
        self._stub.DeleteJob(pb.DeleteJobRequest(job_id=job_id), timeout=DEADLINE, metadata=self._metadata)

    def why(self, job_id: str) -> Explanation:
        """Return why a job waits."""
        request = pb.ExplainJobRequest(job_id=job_id)
        return messages.explanation_value(self._stub.ExplainJob(request, timeout=DEADLINE, metadata=self._metadata))

    def submit_sweep(self, spec: SweepSpec, request_id: str) -> Sweep:
        """Submit a sweep."""
        message = sweep_messages.sweep_spec_message(spec)
        request = sweeps_pb.SubmitSweepRequest(request_id=request_id, spec=message)
        answer = self._sweeps.SubmitSweep(request, timeout=DEADLINE, metadata=self._metadata)
        return sweep_messages.sweep_value(answer.sweep)

    def sweep(self, sweep_id: str) -> Sweep:
        """Return a sweep."""
        request = sweeps_pb.GetSweepRequest(sweep_id=sweep_id)
        answer = self._sweeps.GetSweep(request, timeout=DEADLINE, metadata=self._metadata)
        return sweep_messages.sweep_value(answer.sweep)

    def sweeps(self, page_token: str) -> tuple[Sequence[Sweep], str]:
        """Return one page of sweeps and the token of the next."""
        request = sweeps_pb.ListSweepsRequest(page_token=page_token)
        answer = self._sweeps.ListSweeps(request, timeout=DEADLINE, metadata=self._metadata)
        return [sweep_messages.sweep_value(sweep) for sweep in answer.sweeps], answer.next_page_token

    def cancel_sweep(self, sweep_id: str) -> Sweep:
        """Ask for all jobs of a sweep to be ended."""
        request = sweeps_pb.CancelSweepRequest(sweep_id=sweep_id)
        answer = self._sweeps.CancelSweep(request, timeout=DEADLINE, metadata=self._metadata)
        return sweep_messages.sweep_value(answer.sweep)

    def info(self) -> ServerInfo:
        """Return what the server says of itself."""
        request = pb.GetServerInfoRequest()
        return messages.info_value(self._stub.GetServerInfo(request, timeout=DEADLINE, metadata=self._metadata))

    def watch(self, job_id: str, cursor: int) -> Iterator[Event]:
        """Yield the events of a job after *cursor*, until its end or the connection's."""
        call = self._stub.WatchJob(
            pb.WatchJobRequest(job_id=job_id, cursor=cursor), timeout=RENEWAL, metadata=self._metadata
        )
        try:
            for answer in call:
                for message in answer.events:
                    event = messages.event_value(message)
                    if event is not None:
                        yield event
        finally:
            call.cancel()

    def logs(
        self, job_id: str, rank: int | None, offsets: Mapping[int, int], attempt: int, follow: bool
    ) -> Iterator[LogChunk]:
        """Yield log chunks from *offsets* on, until the end of the logs, the job, or the connection."""
        request = pb.StreamLogsRequest(job_id=job_id, rank=rank, offsets=offsets, attempt=attempt, follow=follow)
        call = self._stub.StreamLogs(request, timeout=RENEWAL, metadata=self._metadata)
        try:
            yield from map(messages.chunk_value, call)
        finally:
            call.cancel()

    def close(self) -> None:
        """Close the channel; calls in progress end as cancelled."""
        self._channel.close()
