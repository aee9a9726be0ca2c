"""Events that go out together are the same to a watcher, whether they were serialised one by one or as one."""

from __future__ import annotations

import math

import pytest

from allgrad.proto import jobs_pb2 as pb
from allgrad.server.jobs.job import Metrics
from allgrad.server.messages import jobs as messages
from allgrad.server.messages.batches import EVENTS_AT_ONCE, batches, joined


def event(cursor: int, name: str = "loss") -> bytes:
    return messages.metrics_bytes(Metrics(0, 1700000000.25, cursor, {name: 0.5}), cursor)


def test_joined_events_are_what_protobuf_would_have_made_of_them() -> None:
    # lengths of one, two and three bytes
    events = [event(1), event(1 << 40, "x" * 200), event(3, "y" * 20_000), pb.JobEvent().SerializeToString()]
    message = pb.WatchJobResponse(events=[pb.JobEvent.FromString(each) for each in events])
    assert joined(events) == message.SerializeToString()


@pytest.mark.parametrize("value", [0.1, -0.0, math.inf, 1e-310])
def test_metrics_are_serialised_as_every_event_is(value: float) -> None:
    metrics = Metrics(9, 1700000000.123456, 7, {"loss": value})
    assert messages.metrics_bytes(metrics, 9) == messages.event_message(metrics).SerializeToString()


def test_many_events_become_messages_that_join_without_a_gap() -> None:
    rows = [(cursor, event(cursor)) for cursor in range(11, 11 + 2 * EVENTS_AT_ONCE + 1)]
    dealt = list(batches(rows))
    assert [batch.after for batch in dealt] == [10, 10 + EVENTS_AT_ONCE, 10 + 2 * EVENTS_AT_ONCE]
    assert [batch.upto for batch in dealt[:-1]] == [batch.after for batch in dealt[1:]]
    told = [each.cursor for batch in dealt for each in pb.WatchJobResponse.FromString(batch.data).events]
    assert told == [cursor for cursor, _ in rows]
