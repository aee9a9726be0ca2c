"""The gRPC face of the server: unpacks requests, asks control, streams answers."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from importlib.metadata import version
from typing import Any, TypeVar

import apsw

from allgrad.proto import jobs_pb2 as pb
from allgrad.proto import reporting_pb2 as reporting
from allgrad.proto.jobs_pb2_grpc import JobServiceServicer
from allgrad.proto.reporting_pb2_grpc import ReportingServiceServicer

from . import launchers, messages, statuses
from .control import Control
from .errors import AllgradError, CursorAhead, InvalidRequest, ServerBusy
from .job import LAUNCHER_LOG, Heartbeat, Job, LogChunk
from .journal import CheckpointLine, Line, MetricsLine, OtherLine
from .logs import read_log
from .requests import page_length, page_start, page_token

Context = Any
"""grpc.aio's and the generated code's ideas of it differ."""
Request = TypeVar("Request")
Answer = TypeVar("Answer")

DEADLINE = 10.0
"""Seconds after which a call that is not a stream is given up, whatever the client allows."""
HEARTBEAT = 10.0
EVENTS_AT_ONCE = 500
LOG_POLL = 0.1
log = logging.getLogger(__name__)


async def _refuse(context: Context, error: Exception) -> None:
    """End a call with what *error* tells."""
    if not isinstance(error, AllgradError):
        log.error("a call failed", exc_info=error)
        error = AllgradError("the server made a mistake", type(error).__name__, "see its log")
    await context.abort_with_status(statuses.status_of(error))


def _unary(method: Callable[[Any, Request], Awaitable[Answer]]) -> Callable[[Any, Request, Context], Any]:
    """Turn a coroutine into a call: with a deadline, and errors as statuses."""

    @functools.wraps(method)
    async def call(self: object, request: Request, context: Context) -> Answer | None:
        try:
            async with asyncio.timeout(DEADLINE):
                return await method(self, request)
        except TimeoutError:
            await _refuse(context, ServerBusy("the server did not answer", f"within {DEADLINE:g} s", "try again"))
        except Exception as error:  # noqa: BLE001 -- the client gets to know it
            await _refuse(context, error)
        return None

    return call


def _stream(
    method: Callable[[Any, Request], AsyncIterator[Answer]],
) -> Callable[[Any, Request, Context], Any]:
    """Turn an asynchronous generator into a streaming call, errors as statuses."""

    @functools.wraps(method)
    async def call(self: object, request: Request, context: Context) -> AsyncIterator[Answer]:
        try:
            async for answer in method(self, request):
                yield answer
        except Exception as error:  # noqa: BLE001 -- the client gets to know it
            await _refuse(context, error)

    return call


class JobService(JobServiceServicer):
    """What people and programs ask."""

    def __init__(self, control: Control, mpi: str) -> None:
        self._control = control
        self._mpi = mpi
        self._started = time.time()

    @_unary
    async def SubmitJob(self, request: pb.SubmitJobRequest) -> pb.SubmitJobResponse:  # noqa: N802
        """Accept a job."""
        job = await self._control.submit(messages.spec_value(request.spec), request.request_id)
        return pb.SubmitJobResponse(job=messages.job_message(job))

    @_unary
    async def GetJob(self, request: pb.GetJobRequest) -> pb.GetJobResponse:  # noqa: N802
        """Return a job."""
        return pb.GetJobResponse(job=messages.job_message(await self._control.get(request.job_id)))

    @_unary
    async def ListJobs(self, request: pb.ListJobsRequest) -> pb.ListJobsResponse:  # noqa: N802
        """Return a page of jobs."""
        wanted = request.state != pb.JOB_STATE_UNSPECIFIED
        state = messages.state_value(request.state) if wanted else None
        length, below = page_length(request.page_size), page_start(request.page_token, state)
        found = await self._control.page(state, below, length + 1)
        token = page_token(state, found[length - 1][0]) if len(found) > length else ""
        jobs = [messages.job_message(job) for _, job in found[:length]]
        return pb.ListJobsResponse(jobs=jobs, next_page_token=token)

    @_unary
    async def CancelJob(self, request: pb.CancelJobRequest) -> pb.CancelJobResponse:  # noqa: N802
        """Ask for a job to be ended."""
        return pb.CancelJobResponse(job=messages.job_message(await self._control.cancel(request.job_id)))

    @_unary
    async def GetServerInfo(self, _: pb.GetServerInfoRequest) -> pb.GetServerInfoResponse:  # noqa: N802
        """Tell what this server is."""
        return pb.GetServerInfoResponse(
            version=version("allgrad"),
            slots=self._control.settings.slots,
            free_slots=self._control.free_slots(),
            sqlite_version=apsw.sqlitelibversion(),
            start_time=messages.timestamp(self._started),
            mpi=self._mpi,
        )

    @_stream
    async def WatchJob(self, request: pb.WatchJobRequest) -> AsyncIterator[pb.WatchJobResponse]:  # noqa: N802
        """Stream events. Each watcher reads the store at its own pace, so a slow one holds up nobody."""
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
            upto = tracked.cursor if tracked else last
            events = await self._control.events(number, cursor, upto, EVENTS_AT_ONCE)
            if events:
                yield pb.WatchJobResponse(events=[pb.JobEvent.FromString(event) for _, event in events])
                cursor = events[-1][0]
            elif tracked is None or over:
                return
            elif not await tracked.wait_beyond(cursor, HEARTBEAT):
                beat = messages.event_message(Heartbeat(cursor, time.time()))
                yield pb.WatchJobResponse(events=[beat])

    @_stream
    async def StreamLogs(  # noqa: N802
        self, request: pb.StreamLogsRequest
    ) -> AsyncIterator[pb.StreamLogsResponse]:
        """Stream what the ranks print."""
        _, job, tracked = await self._control.find(request.job_id)
        offsets = _log_offsets(request, job)
        quiet_since = time.monotonic()
        while True:
            job = tracked.job if tracked else job
            final = tracked is None or job.state.terminal or not request.follow
            sent = False
            for rank, offset in offsets.items():
                chunk = await self._read_log(job, rank, offset, final)
                if chunk is not None:
                    yield _chunk_message(chunk)
                    offsets[rank] = chunk.offset + len(chunk.data)
                    sent = True
            if sent:
                quiet_since = time.monotonic()
            elif final:
                return
            elif time.monotonic() - quiet_since > HEARTBEAT:
                yield pb.StreamLogsResponse()
                quiet_since = time.monotonic()
            else:
                assert tracked is not None
                await tracked.wait_beyond(tracked.cursor, LOG_POLL)  # a file does not say when it grows

    async def _read_log(self, job: Job, rank: int, offset: int, final: bool) -> LogChunk | None:
        if job.attempt == 0:
            return None
        path = self._control.run_dir(job).log(rank)
        return await self._control.read(functools.partial(read_log, path, rank, offset, final=final))


class ReportingService(ReportingServiceServicer):
    """What supervisors report."""

    def __init__(self, control: Control) -> None:
        self._control = control

    @_unary
    async def ReportRecords(  # noqa: N802
        self, request: reporting.ReportRecordsRequest
    ) -> reporting.ReportRecordsResponse:
        """Write records down."""
        lines = [_line(record) for record in request.records]
        done = await self._control.report(request.job_id, request.attempt, lines)
        return reporting.ReportRecordsResponse(acknowledged_sequence=done)


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
    if any(offset < 0 for offset in given.values()):
        raise InvalidRequest("an offset cannot be negative", "", "begin at 0", field="offsets")
    return {rank: given.get(rank, 0) for rank in ranks}


def _chunk_message(chunk: LogChunk) -> pb.StreamLogsResponse:
    return pb.StreamLogsResponse(rank=chunk.rank, offset=chunk.offset, data=chunk.data)


def _line(record: reporting.JournalRecord) -> Line:
    sequence, when = record.sequence, messages.seconds(record.time)
    if record.WhichOneof("record") == "checkpoint":
        return CheckpointLine(sequence, when, record.checkpoint.step, record.checkpoint.path)
    if record.WhichOneof("record") == "metrics":
        return MetricsLine(sequence, when, record.metrics.step, dict(record.metrics.values))
    return OtherLine(sequence, when)
