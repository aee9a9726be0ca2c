"""The gRPC face towards supervisors: writes down what they report."""

from __future__ import annotations

from allgrad.proto import reporting_pb2 as reporting
from allgrad.proto.reporting_pb2_grpc import ReportingServiceServicer

from ..control.controller import Control
from ..messages import jobs as messages
from ..supervisor.journal import CheckpointLine, Line, MetricsLine, OtherLine
from .calls import unary


class ReportingService(ReportingServiceServicer):
    """What supervisors report."""

    def __init__(self, control: Control) -> None:
        self._control = control

    @unary
    async def ReportRecords(  # noqa: N802
        self, request: reporting.ReportRecordsRequest
    ) -> reporting.ReportRecordsResponse:
        """Write records down."""
        lines = [_line(record) for record in request.records]
        done = await self._control.report(request.job_id, request.attempt, lines)
        return reporting.ReportRecordsResponse(acknowledged_sequence=done)


def _line(record: reporting.JournalRecord) -> Line:
    sequence, when = record.sequence, messages.seconds(record.time)
    kind = record.WhichOneof("record")
    if kind == "checkpoint":
        return CheckpointLine(sequence, when, record.checkpoint.step, record.checkpoint.path)
    if kind == "metrics":
        values = record.metrics.values
        return MetricsLine(sequence, when, record.metrics.step, {name: values[name] for name in values})
    return OtherLine(sequence, when)
