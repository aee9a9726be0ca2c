"""What is asked about sweeps."""

from __future__ import annotations

from collections.abc import Sequence

from allgrad.proto import sweeps_pb2 as pb

from ...jobs.job import Sweep
from ...jobs.spec import SweepSpec
from ...messages.sweeps import sweep_spec_message, sweep_value
from . import question
from .question import Question

_SERVICE = "SweepService"


def submit(spec: SweepSpec, request_id: str | None) -> Question[pb.SubmitSweepResponse, Sweep]:
    """Submit a sweep."""
    request = pb.SubmitSweepRequest(request_id=question.request_id(request_id), spec=sweep_spec_message(spec))
    return Question(_SERVICE, request, pb.SubmitSweepResponse, lambda answer: sweep_value(answer.sweep))


def get(sweep_id: str) -> Question[pb.GetSweepResponse, Sweep]:
    """Return a sweep."""
    request = pb.GetSweepRequest(sweep_id=sweep_id)
    return Question(_SERVICE, request, pb.GetSweepResponse, lambda answer: sweep_value(answer.sweep))


def page(page_token: str) -> Question[pb.ListSweepsResponse, tuple[Sequence[Sweep], str]]:
    """Return one page of sweeps and the token of the next."""

    def value(answer: pb.ListSweepsResponse) -> tuple[Sequence[Sweep], str]:
        return [sweep_value(sweep) for sweep in answer.sweeps], answer.next_page_token

    return Question(_SERVICE, pb.ListSweepsRequest(page_token=page_token), pb.ListSweepsResponse, value)


def cancel(sweep_id: str) -> Question[pb.CancelSweepResponse, Sweep]:
    """Ask for all jobs of a sweep to be ended."""
    request = pb.CancelSweepRequest(sweep_id=sweep_id)
    return Question(_SERVICE, request, pb.CancelSweepResponse, lambda answer: sweep_value(answer.sweep))
