"""What leaves a host without the server's folder, over pipes to arrivals in another folder."""

from __future__ import annotations

import os
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from allgrad.server.delivery.arrivals import Arrivals
from allgrad.server.delivery.channel import Channel
from allgrad.server.delivery.departures import ANSWERS, OFFERS
from allgrad.server.supervisor.cargo import Cargo
from allgrad.server.supervisor.carrier import Carrier

PATIENCE = 60.0


@pytest.fixture
def channels() -> Iterator[tuple[Channel, Channel]]:
    """The two ends of a line: the keeper's, and the supervisor's."""
    (to_far, from_near), (to_near, from_far) = os.pipe(), os.pipe()
    yield Channel(to_near, from_near, ANSWERS), Channel(to_far, from_far, OFFERS)
    for end in (to_far, from_near, to_near, from_far):
        os.close(end)


def journal_line(number: int, kind: str, rest: str) -> str:
    body = f'{{"seq":{number},"time":1.5,"kind":"{kind}","step":{number},{rest}'
    return f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n'


def test_reports_that_waited_for_a_checkpoint_leave_before_all_is_said_to_be_there(
    channels: tuple[Channel, Channel], tmp_path: Path
) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    for folder in (here / "attempt-1", here / "output", there):
        folder.mkdir(parents=True)
    (here / "output" / "weights").write_bytes(b"x" * 1_000_000)
    lines = journal_line(1, "checkpoint", f'"path":"{here}/output/weights"') + journal_line(2, "metrics", '"values":{}')
    (here / "attempt-1" / "journal.jsonl").write_text(lines)
    cargo = Cargo(str(here), "attempt-1", 1 << 20, 1 << 20)
    near, far = channels
    carrier, arrivals = Carrier(cargo, near), Arrivals(there, cargo.coming, there / "aside")
    carrier.move(final=True)
    deadline = time.monotonic() + PATIENCE
    while not carrier.is_done():
        assert time.monotonic() < deadline, "it does not arrive"
        for message in far.hear():
            answer = arrivals.take(message)
            if answer is not None:
                far.say(answer.verb, *answer.words)
        for message in near.hear():
            carrier.hear(message)
        carrier.move()
    assert (there / "output" / "weights").stat().st_size == 1_000_000
    assert (there / "attempt-1" / "journal.jsonl").read_text() == lines
