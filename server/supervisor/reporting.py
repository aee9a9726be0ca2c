"""The gRPC side of a supervisor: delivers journal lines to whichever server runs on the home folder now."""

from __future__ import annotations

from collections.abc import Sequence

import grpc

from allgrad.proto import reporting_pb2 as pb
from allgrad.proto.reporting_pb2_grpc import ReportingServiceStub

from ..home import Home
from ..messages.jobs import timestamp
from .journal import CheckpointLine, Line, MetricsLine

DEADLINE = 10.0
_FINAL = (
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.UNIMPLEMENTED,
)


class Reporter:
    """One connection to the server that the home folder names at this moment."""

    def __init__(self, home: Home, job_id: str, attempt: int) -> None:
        self._job_id = job_id
        self._attempt = attempt
        self._metadata = (("authorization", f"Bearer {home.token()}"),)
        self._channel = grpc.insecure_channel(home.address() or "127.0.0.1:0", options=[("grpc.enable_http_proxy", 0)])
        self._stub = ReportingServiceStub(self._channel)

    def report(self, lines: Sequence[Line]) -> None:
        """Deliver *lines*; when it returns, they are on the server's disk.

        Raises grpc.RpcError, and is then spent.
        """
        request = pb.ReportRecordsRequest(job_id=self._job_id, attempt=self._attempt, records=map(record_of, lines))
        try:
            self._stub.ReportRecords(request, timeout=DEADLINE, metadata=self._metadata)
        except grpc.RpcError:
            self._channel.close()
            raise


def refused(error: grpc.RpcError) -> bool:
    """Return whether it is useless to try again."""
    assert isinstance(error, grpc.Call)
    return error.code() in _FINAL


def record_of(line: Line) -> pb.JournalRecord:
    """Return *line* as a message."""
    record = pb.JournalRecord(sequence=line.sequence, time=timestamp(line.time))
    if isinstance(line, MetricsLine):
        record.metrics.step = line.step
        record.metrics.values.update(line.values)
    elif isinstance(line, CheckpointLine):
        record.checkpoint.step, record.checkpoint.path = line.step, line.path
    return record
