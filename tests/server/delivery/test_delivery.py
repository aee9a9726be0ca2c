"""Files over a channel that tears, repeats, mixes up and breaks off what is sent: each byte arrives once, at its place."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from allgrad.server.delivery.arrivals import GROWING, Arrivals, Kind, Refused, mark_of
from allgrad.server.delivery.channel import Channel, Damaged, Decoder, Message
from allgrad.server.delivery.departures import ANSWERS, OFFERS, Departures

LOG, CHECKPOINT = "log", "output/a b\n.bin"
PUT = [Message("put", (LOG, GROWING, str(at)), b"0123456789"[at : at + 5]) for at in (0, 5)]


def kind_of(name: str) -> Kind | None:
    return {LOG: Kind.GROWING, CHECKPOINT: Kind.WHOLE, "first": Kind.FIRST, "late": Kind.NEWER}.get(name)


def is_longer(path: Path, size: int) -> bool:
    return path.exists() and path.stat().st_size > size


@dataclass
class Line:
    """Two folders and what is between them; *cut* breaks the connection and makes another one."""

    here: Path
    there: Path
    arrivals: Arrivals
    departures: Departures
    near: Channel
    far: Channel

    def carry(self, until: Callable[[], object], rounds: int = 10_000) -> None:
        for _ in range(rounds):
            if until():
                return
            self.departures.move()
            for message in self.far.hear():
                answer = self.arrivals.take(message)
                if answer is not None:
                    self.far.say(answer.verb, *answer.words)
            for message in self.near.hear():
                self.departures.hear(message)
        raise AssertionError("it does not arrive")


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Callable[[], Line]]:
    ends: list[int] = []

    def made() -> Line:
        (to_far, from_near), (to_near, from_far) = os.pipe(), os.pipe()
        ends.extend((to_far, from_near, to_near, from_far))
        here, there = tmp_path / "here", tmp_path / "there"
        for folder in (here / "output", there):
            folder.mkdir(parents=True, exist_ok=True)
        near, far = Channel(to_near, from_near, ANSWERS), Channel(to_far, from_far, OFFERS)
        return Line(here, there, Arrivals(there, kind_of, there / "aside"), Departures(here, near), near, far)

    yield made
    for end in ends:
        os.close(end)


@pytest.fixture
def arrivals(tmp_path: Path) -> Arrivals:
    return Arrivals(tmp_path, kind_of, tmp_path / "aside")


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_messages_torn_into_pieces_of_any_size_are_understood(size: int) -> None:
    sent = [Message("beat"), Message("put", ("a b\n%+1", "-", "0"), b"beat\n\0"), Message("put", ("c", "-", "0"))]
    data = b"Welcome!\n" + b"".join(message.encoded() for message in sent)
    decoder = Decoder({"beat", "put"})
    found = [message for at in range(0, len(data), size) for message in decoder.feed(data[at : at + size])]
    assert found == [Message("", (), b"Welcome!"), *sent]


def test_data_that_are_not_those_sent_are_not_taken() -> None:
    with pytest.raises(Damaged, match="are others"):
        Decoder({"put"}).feed(PUT[0].encoded().replace(b"01234", b"01239"))


def test_what_is_repeated_is_added_once_and_what_comes_too_early_is_asked_for_again(
    arrivals: Arrivals, tmp_path: Path
) -> None:
    assert arrivals.take(PUT[1]) == Message("back", (LOG, GROWING, "0"))
    for message in (PUT[0], PUT[0], PUT[1], PUT[0], PUT[1]):
        arrivals.take(message)
    arrivals.take(Message("put", (LOG, GROWING, "8"), b"89ab"))
    assert (tmp_path / LOG).read_bytes() == b"0123456789ab"


@pytest.mark.parametrize("name", ["../log", "/log", "output/../../log", "other", ""])
def test_a_file_that_may_not_come_is_refused(arrivals: Arrivals, name: str) -> None:
    with pytest.raises(Refused):
        arrivals.take(Message("put", (name, GROWING, "0"), b"x"))


def test_no_link_leads_what_arrives_out_of_the_folder(arrivals: Arrivals, tmp_path: Path) -> None:
    (tmp_path / "output").symlink_to("/")
    with pytest.raises(Refused, match="leads out"):
        arrivals.take(Message("ask", (CHECKPOINT, GROWING)))


def test_a_record_that_came_first_stays(arrivals: Arrivals, tmp_path: Path) -> None:
    (tmp_path / "first").write_text("one")
    arrivals.take(Message("put", ("first", "3.1", "0"), b"two"))
    assert arrivals.take(Message("whole", ("first", "3.1", "file"))) == Message("done", ("first", "3.1"))
    assert (tmp_path / "first").read_text() == "one"


def test_what_comes_late_takes_the_place_of_what_is_older_only(arrivals: Arrivals, tmp_path: Path) -> None:
    for modified, text in ((2_000, b"two"), (1_000, b"one"), (3_000, b"six")):
        arrivals.take(Message("put", ("late", f"3.{modified}", "0"), text))
        assert arrivals.take(Message("whole", ("late", f"3.{modified}", "file"))) == Message(
            "done", ("late", f"3.{modified}")
        )
        assert (tmp_path / "late").read_bytes() == (b"two" if modified < 3_000 else b"six")


def test_whole_files_leave_the_last_room_of_a_disk_to_logs_and_records(
    arrivals: Arrivals, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allgrad.server.delivery.arrivals.LEFT_FREE", 1 << 62)
    with pytest.raises(OSError, match="No space left on device"):
        arrivals.take(Message("put", (CHECKPOINT, "3.1", "0"), b"two"))
    arrivals.take(PUT[0])
    assert (tmp_path / LOG).read_bytes() == b"01234"


def test_a_broken_connection_is_gone_on_with_where_the_bytes_ended(connect: Callable[[], Line]) -> None:
    line = connect()
    log, checkpoint = os.urandom(3_000_000), os.urandom(2_000_001)
    (line.here / LOG).write_bytes(log)
    (line.here / CHECKPOINT).write_bytes(checkpoint)
    for share in (1, 1_000_000, 2_500_000):
        line.departures.grow(LOG)
        line.departures.offer(CHECKPOINT)
        line.carry(partial(is_longer, line.there / LOG, share))
        assert not (line.there / CHECKPOINT).exists()
        line = connect()
    line.departures.grow(LOG)
    line.departures.offer(CHECKPOINT)
    line.carry(lambda: line.departures.done)
    assert (line.there / LOG).read_bytes() == log
    assert (line.there / CHECKPOINT).read_bytes() == checkpoint
    assert mark_of((line.there / CHECKPOINT).stat()) == mark_of((line.here / CHECKPOINT).stat())


def test_what_is_told_to_wait_waits_and_what_is_gone_goes(connect: Callable[[], Line]) -> None:
    line = connect()
    (line.here / LOG).write_bytes(b"0123456789")
    (line.here / CHECKPOINT).write_bytes(b"")
    line.departures.grow(LOG, 4)
    line.departures.offer(CHECKPOINT)
    line.carry(lambda: line.departures.done)
    assert (line.there / LOG).read_bytes() == b"0123"
    line.departures.withdraw(CHECKPOINT)
    line.departures.grow(LOG)
    line.carry(lambda: line.departures.done and not (line.there / CHECKPOINT).exists())
    assert (line.there / LOG).read_bytes() == b"0123456789"
