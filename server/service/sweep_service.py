"""The gRPC face for sweeps."""

from __future__ import annotations

from allgrad.proto import sweeps_pb2 as pb
from allgrad.proto.sweeps_pb2_grpc import SweepServiceServicer

from ..control.controller import Control
from ..errors import InvalidRequest
from ..messages.sweeps import sweep_message, sweep_spec_value
from ..store import JobFilter
from .calls import unary
from .requests import page_start, page_token, sweep_page_length

_EVERY = JobFilter(sweep="*")
"""To which the page tokens of sweeps belong, and no list of jobs."""


class SweepService(SweepServiceServicer):
    """What people and programs ask about sweeps."""

    def __init__(self, control: Control) -> None:
        self._control = control

    @unary
    async def SubmitSweep(self, request: pb.SubmitSweepRequest) -> pb.SubmitSweepResponse:  # noqa: N802
        """Accept a sweep."""
        names = [axis.name for axis in request.spec.grid]
        if len(names) > len(set(names)):
            raise InvalidRequest("the grid names a parameter twice", ", ".join(names), "", field="spec.grid")
        sweep = await self._control.submit_sweep(sweep_spec_value(request.spec), request.request_id)
        return pb.SubmitSweepResponse(sweep=sweep_message(sweep))

    @unary
    async def GetSweep(self, request: pb.GetSweepRequest) -> pb.GetSweepResponse:  # noqa: N802
        """Return a sweep."""
        return pb.GetSweepResponse(sweep=sweep_message(await self._control.sweep(request.sweep_id)))

    @unary
    async def ListSweeps(self, request: pb.ListSweepsRequest) -> pb.ListSweepsResponse:  # noqa: N802
        """Return a page of sweeps."""
        length, below = sweep_page_length(request.page_size), page_start(request.page_token, _EVERY)
        found = await self._control.sweeps(below, length + 1)
        token = page_token(_EVERY, found[length - 1][0]) if len(found) > length else ""
        sweeps = [sweep_message(sweep) for _, sweep in found[:length]]
        return pb.ListSweepsResponse(sweeps=sweeps, next_page_token=token)

    @unary
    async def CancelSweep(self, request: pb.CancelSweepRequest) -> pb.CancelSweepResponse:  # noqa: N802
        """Ask for all jobs of a sweep to be ended."""
        return pb.CancelSweepResponse(sweep=sweep_message(await self._control.cancel_sweep(request.sweep_id)))
