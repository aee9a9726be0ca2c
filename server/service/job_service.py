"""The gRPC face of the server: unpacks requests, asks control, streams answers."""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from importlib.metadata import version

import apsw

from allgrad.proto import jobs_pb2 as pb
from allgrad.proto.jobs_pb2_grpc import JobServiceServicer

from .. import launchers
from ..access import rules as access
from ..control.controller import Control
from ..errors import CursorAhead, InvalidRequest
from ..failpoints import reach
from ..jobs.job import LAUNCHER_LOG, Heartbeat, Job, LogChunk
from ..jobs.policies import label_terms
from ..jobs.slots import HERE
from ..messages import jobs as messages
from ..messages.batches import EVENTS_AT_ONCE, joined
from ..messages.causes import cause_message
from ..store import JobFilter
from ..supervisor.logs import read_log, tail_offset
from .calls import stream, unary
from .requests import page_length, page_start, page_token

HEARTBEAT = 10.0
LOG_POLL = 0.1


class JobService(JobServiceServicer):
    """What people and programs ask about jobs."""

    def __init__(self, control: Control, mpi: str) -> None:
        self._control = control
        self._mpi = mpi
        self._started = time.time()

    @unary
    async def SubmitJob(self, request: pb.SubmitJobRequest) -> pb.SubmitJobResponse:  # noqa: N802
        """Accept a job."""
        value = messages.spec_value(request.spec)
        spec = messages.spec_message(value)  # the client's own may hold what this version does not know
        job = await self._control.submit(value, request.request_id, messages.packed(spec))
        return pb.SubmitJobResponse(job=messages.job_message(job, spec))

    @unary
    async def GetJob(self, request: pb.GetJobRequest) -> pb.GetJobResponse:  # noqa: N802
        """Return a job."""
        return pb.GetJobResponse(job=messages.job_message(await self._control.get(request.job_id)))

    @unary
    async def ListJobs(self, request: pb.ListJobsRequest) -> pb.ListJobsResponse:  # noqa: N802
        """Return a page of jobs."""
        wanted = _filter(request)
        length, below = page_length(request.page_size), page_start(request.page_token, wanted)
        found = await self._control.page(wanted, below, length + 1)
        if wanted.sweep and not found:
            await self._control.sweep(wanted.sweep)  # which may not be there
        token = page_token(wanted, found[length - 1][0]) if len(found) > length else ""
        jobs = [messages.job_message(job) for _, job in found[:length]]
        return pb.ListJobsResponse(jobs=jobs, next_page_token=token)

    @unary
    async def CancelJob(self, request: pb.CancelJobRequest) -> pb.CancelJobResponse:  # noqa: N802
        """Ask for a job to be ended."""
        return pb.CancelJobResponse(job=messages.job_message(await self._control.cancel(request.job_id)))

    @unary
    async def PauseJob(self, request: pb.PauseJobRequest) -> pb.PauseJobResponse:  # noqa: N802
        """Take a job off its slots or off the queue."""
        return pb.PauseJobResponse(job=messages.job_message(await self._control.pause(request.job_id)))

    @unary
    async def ResumeJob(self, request: pb.ResumeJobRequest) -> pb.ResumeJobResponse:  # noqa: N802
        """Put a paused job back into the queue."""
        return pb.ResumeJobResponse(job=messages.job_message(await self._control.resume(request.job_id)))

    @unary
    async def ChangeJobPriority(  # noqa: N802
        self, request: pb.ChangeJobPriorityRequest
    ) -> pb.ChangeJobPriorityResponse:
        """Give a job another priority."""
        job = await self._control.change_priority(request.job_id, request.priority)
        return pb.ChangeJobPriorityResponse(job=messages.job_message(job))

    @unary
    async def DeleteJob(self, request: pb.DeleteJobRequest) -> pb.DeleteJobResponse:  # noqa: N802
        """Forget a finished job and its files."""
        await self._control.delete(request.job_id)
        return pb.DeleteJobResponse()

    @unary
    async def ExplainJob(self, request: pb.ExplainJobRequest) -> pb.ExplainJobResponse:  # noqa: N802
        """Say why a job waits."""
        job, causes, latest = await self._control.explain(request.job_id)
        return pb.ExplainJobResponse(
            job=messages.job_message(job),
            causes=map(cause_message, causes),
            latest_start_time=messages.timestamp(latest),
        )

    @unary
    async def GetServerInfo(self, _: pb.GetServerInfoRequest) -> pb.GetServerInfoResponse:  # noqa: N802
        """Tell what this server is."""
        free = self._control.free_slots()
        return pb.GetServerInfoResponse(
            version=version("allgrad"),
            slots=self._control.settings.slots,
            free_slots=free[HERE],
            sqlite_version=apsw.sqlitelibversion(),
            start_time=messages.timestamp(self._started),
            mpi=self._mpi,
            cores_per_slot=self._control.settings.threads if self._control.settings.cores else 0,
            queued_jobs=self._control.count(running=False),
            running_jobs=self._control.count(running=True),
            hosts=[
                pb.HostSlots(name=host, slots=slots, free_slots=free[host])
                for host, slots in self._control.settings.hosts.items()
            ],
            user=access.caller().user,
        )

    @stream
    async def WatchJob(  # noqa: N802
        self, request: pb.WatchJobRequest
    ) -> AsyncIterator[pb.WatchJobResponse | bytes]:
        """Stream events. A watcher who is not far behind shares them with others; the rest read the store at their own pace."""
        number, _, tracked = await self._control.find(request.job_id)
        cursor = request.cursor
        last = tracked.cursor if tracked else await self._control.last_cursor(number)
        if not 0 <= cursor <= last:
            raise CursorAhead(
                f"cannot watch job {request.job_id} from cursor {cursor}",
                f"its last event has cursor {last}",
                "use a cursor that this job's events had, or 0",
                field="cursor",
            )
        while True:
            over = tracked is None or tracked.job.state.terminal
            if tracked and (batch := tracked.batch_after(cursor)):
                yield batch.data
                reach("watch-sent")
                cursor = batch.upto
                continue
            upto = tracked.cursor if tracked else last
            events = await self._control.events(number, cursor, upto, EVENTS_AT_ONCE)
            if events:
                yield joined(event for _, event in events)
                reach("watch-sent")
                cursor = events[-1][0]
            elif tracked is None or over:
                return
            elif not await tracked.wait_beyond(cursor, HEARTBEAT):
                beat = messages.event_message(Heartbeat(cursor, time.time()))
                yield pb.WatchJobResponse(events=[beat])

    @stream
    async def StreamLogs(  # noqa: N802
        self, request: pb.StreamLogsRequest
    ) -> AsyncIterator[pb.StreamLogsResponse]:
        """Stream what the ranks print."""
        _, job, tracked = await self._control.find(request.job_id)
        offsets = _log_offsets(request, job)
        attempt = _log_attempt(request, job)
        if request.tail_lines and attempt:
            run, given = self._control.run_dir(job, attempt), request.offsets
            for rank in [rank for rank in offsets if rank not in given]:
                offsets[rank] = await self._control.read(tail_offset, run.log(rank), request.tail_lines)
        quiet_since = time.monotonic()
        while True:
            job = tracked.job if tracked else job
            over = tracked is None or job.state.terminal or not request.follow
            attempt = attempt or min(1, job.attempt)
            sent = False
            for rank, offset in offsets.items():
                chunk = await self._read_log(job, attempt, rank, offset, over or attempt < job.attempt)
                if chunk is not None:
                    yield _chunk_message(chunk)
                    offsets[rank] = chunk.offset + len(chunk.data)
                    sent = True
            if sent:
                quiet_since = time.monotonic()
            elif request.follow and attempt < job.attempt:
                attempt, offsets = attempt + 1, dict.fromkeys(offsets, 0)
            elif over:
                return
            elif time.monotonic() - quiet_since > HEARTBEAT:
                yield pb.StreamLogsResponse()
                quiet_since = time.monotonic()
            else:
                assert tracked is not None
                await tracked.wait_beyond(tracked.cursor, LOG_POLL)  # a file does not say when it grows

    async def _read_log(self, job: Job, attempt: int, rank: int, offset: int, final: bool) -> LogChunk | None:
        if attempt == 0:
            return None
        path = self._control.run_dir(job, attempt).log(rank)
        chunk = await self._control.read(functools.partial(read_log, path, rank, offset, final=final))
        return None if chunk is None else replace(chunk, attempt=attempt)


def mpi_name() -> str:
    """Return implementation and version of the MPI that would start the ranks, or "" if there is none."""
    found = launchers.find_mpi()
    return found.name if found else ""


def _log_offsets(request: pb.StreamLogsRequest, job: Job) -> dict[int, int]:
    """Return from where to read which ranks' logs."""
    given: Mapping[int, int] = request.offsets
    ranks = [request.rank] if request.HasField("rank") else range(job.ranks)
    for rank in (*ranks, *given):
        if not LAUNCHER_LOG <= rank < job.ranks:
            raise InvalidRequest(
                f"job {job.id} has no rank {rank}",
                f"its ranks are 0 to {job.ranks - 1}",
                f"use {LAUNCHER_LOG} for what the launcher printed",
                field="rank",
            )
    if request.tail_lines < 0:
        raise InvalidRequest("there is no such tail", f"{request.tail_lines} lines", "0 means all", field="tail_lines")
    if any(offset < 0 for offset in given.values()):
        raise InvalidRequest("an offset cannot be negative", "", "begin at 0", field="offsets")
    return {rank: given.get(rank, 0) for rank in ranks}


def _log_attempt(request: pb.StreamLogsRequest, job: Job) -> int:
    """Return of which attempt the logs are to be read first."""
    if not 0 <= request.attempt <= job.attempt:
        raise InvalidRequest(
            f"job {job.id} has no attempt {request.attempt}",
            f"it has made {job.attempt}",
            "0 means the present one",
            field="attempt",
        )
    return request.attempt or job.attempt


def _filter(request: pb.ListJobsRequest) -> JobFilter:
    """Return which jobs are to be listed."""
    states = [*request.states, *([request.state] if request.state != pb.JOB_STATE_UNSPECIFIED else [])]
    after, before = request.created_after, request.created_before
    return JobFilter(
        states=tuple(sorted({messages.state_value(state) for state in states})),
        labels=label_terms(request.label_selector),
        name=request.name,
        created_after=messages.seconds(after) if request.HasField("created_after") else None,
        created_before=messages.seconds(before) if request.HasField("created_before") else None,
        sweep=request.sweep_id,
        user=request.user,
        id_prefix=request.id_prefix,
    )


def _chunk_message(chunk: LogChunk) -> pb.StreamLogsResponse:
    return pb.StreamLogsResponse(rank=chunk.rank, offset=chunk.offset, data=chunk.data, attempt=chunk.attempt)
