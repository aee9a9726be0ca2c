"""What a job keeps at hand for its watchers never hides an event, and never grows."""

from __future__ import annotations

from allgrad.server.control import tracked as module
from allgrad.server.control.tracked import Tracked
from allgrad.server.jobs.job import Job
from allgrad.server.jobs.spec import JobSpec
from allgrad.server.messages.batches import Batch

JOB = Job("j", JobSpec(("true",)))


def test_events_that_follow_what_was_shown_are_kept_at_hand() -> None:
    tracked = Tracked(1, JOB, 3)
    first, second = Batch(3, 5, b"a"), Batch(5, 6, b"b")
    tracked.advance(JOB, 6, [first, second])
    assert [tracked.batch_after(cursor) for cursor in (2, 3, 4, 5, 6)] == [None, first, None, second, None]


def test_events_after_a_gap_are_left_to_the_store() -> None:
    """A call that was given up may have written events that were never shown."""
    tracked = Tracked(1, JOB, 3)
    tracked.advance(JOB, 8, [Batch(6, 8, b"a")])
    assert tracked.batch_after(3) is None
    assert tracked.batch_after(6) is None
    assert tracked.cursor == 8


def test_only_the_last_events_are_kept() -> None:
    tracked = Tracked(1, JOB, 0)
    piece = bytes(module.RECENT // 2)
    for cursor in range(4):
        tracked.advance(JOB, cursor + 1, [Batch(cursor, cursor + 1, piece)])
    assert [tracked.batch_after(cursor) is not None for cursor in range(4)] == [False, False, True, True]
