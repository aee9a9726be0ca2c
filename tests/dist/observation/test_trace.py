"""The timeline of a run holds what every rank did, on one clock; and a rank that is slow is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from allgrad import dist
from allgrad.dist.observation.clocks import Reading, on_rank_0, reading
from allgrad.dist.observation.spans import Recording
from allgrad.dist.observation.trace import timeline

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher

RANKS, SLOW = 3, 1


def shown(path: Path) -> list[dict[str, Any]]:
    return [event for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]


def test_a_slowed_rank_is_named_within_20_steps_and_all_clocks_are_one(mpi: Launcher, tmp_path: Path) -> None:
    outcome = mpi.run(RANKS, "observed.py", "fast", str(SLOW), str(tmp_path / "trace.json"))
    assert outcome.code == 0, outcome.output
    assert f"allgrad: warning: rank {SLOW} on" in outcome.output
    assert f"slowest {SLOW}" in outcome.output
    events = shown(tmp_path / "trace.json")
    for rank in range(RANKS):
        names = [event["name"] for event in events if event["pid"] == rank]
        assert names.count("load") == names.count("forward") == names.count("backward") == 20
        assert sum(name.startswith("the reduction of bucket 0") for name in names) == 20
    ends = [event["ts"] + event["dur"] for event in events if event["name"] == "barrier"]
    assert len(ends) == RANKS
    assert max(ends) - min(ends) < 500_000, "microseconds; the ranks' own clocks are 5 s apart"


def test_a_slowed_rank_is_named_in_the_reproducible_mode_too(openmpi: Launcher, tmp_path: Path) -> None:
    outcome = openmpi.run(RANKS, "observed.py", "reproducible", str(SLOW), str(tmp_path / "trace.json"))
    assert outcome.code == 0, outcome.output
    assert f"allgrad: warning: rank {SLOW} on" in outcome.output


def test_a_whole_run_is_recorded_where_the_environment_asks_for_it(openmpi: Launcher, tmp_path: Path) -> None:
    path = tmp_path / "trace.json"
    outcome = openmpi.run(2, "collectives.py", "2", env={"ALLGRAD_TRACE": str(path)})
    assert outcome.code == 0, outcome.output
    assert {event["pid"] for event in shown(path)} == {0, 1}


def test_one_rank_without_mpi_has_a_timeline_too(tmp_path: Path) -> None:
    with dist.trace(tmp_path / "trace.json"):
        with dist.span("load"):
            pass
        dist.barrier()
    assert [event["name"] for event in shown(tmp_path / "trace.json")] == ["load", "barrier"]


def test_a_second_timeline_at_the_same_time_is_refused(tmp_path: Path) -> None:
    with (
        dist.trace(tmp_path / "first.json"),
        pytest.raises(RuntimeError, match="a timeline is being recorded already"),
        dist.trace(tmp_path / "second.json"),
    ):
        pass


def test_the_quickest_exchange_tells_how_far_clocks_are_apart() -> None:
    assert reading([(0, 5_000, 1_000), (2_000, 6_100, 2_200)]) == Reading(at=2_100, ahead=4_000)


def test_between_two_readings_a_clock_drifts_evenly() -> None:
    first, last = Reading(0, 100), Reading(1_000, 200)
    assert [on_rank_0(at, first, last) for at in (0, 500, 1_000)] == [100, 650, 1_200]


def test_a_timeline_begins_at_zero_names_every_rank_and_tells_what_it_left_out() -> None:
    still = Reading(0, 0)
    made = timeline(
        [
            ("a", still, still, Recording([("load", "script", 3_000, 5_000)])),
            ("b", still, still, Recording([("load", "script", 4_000, 5_000)], dropped=7)),
        ]
    )
    drawn = [(event["pid"], event["ts"], event["dur"]) for event in made["traceEvents"] if event["ph"] == "X"]
    assert drawn == [(0, 0.0, 2.0), (1, 1.0, 1.0)]
    assert made["otherData"] == {"dropped spans": {"rank 1": 7}}
    named = [event["args"]["name"] for event in made["traceEvents"] if event["name"] == "process_name"]
    assert named == ["rank 0 on a", "rank 1 on b"]


def test_a_recording_keeps_a_bounded_number_of_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("allgrad.dist.observation.spans._MOST_SPANS", 2)
    recording = Recording()
    for start in range(5):
        recording.add("step", "script", start, start + 1)
    assert (len(recording.spans), recording.dropped) == (2, 3)
