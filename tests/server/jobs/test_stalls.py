"""When silence is a stall, without processes and without a clock."""

from __future__ import annotations

import pytest

from allgrad.server.jobs.alerts import heard_again, warned
from allgrad.server.jobs.job import Job
from allgrad.server.jobs.spec import JobSpec
from allgrad.server.jobs.stalls import Rhythm

START = 1000.0


def every(pause: float, count: int, rhythm: Rhythm) -> float:
    """Let it hear *count* reports; return the time of the last."""
    for number in range(count):
        assert rhythm.hear([number * pause], START + number * pause) == ""
    return START + (count - 1) * pause


def test_a_stall_is_ten_times_the_longest_pause_of_late_told_once() -> None:
    rhythm = Rhythm(None, 5.0, START)
    last = every(2.0, 10, rhythm)
    assert rhythm.overdue(last + 19.9) == ""
    assert rhythm.overdue(last + 20.0) == "nothing was reported for 20 s, and before at the latest every 2 s"
    assert rhythm.overdue(last + 500.0) == ""


def test_a_stall_that_ends_is_told_and_the_next_one_too() -> None:
    rhythm = Rhythm(10.0, 5.0, START)
    assert rhythm.overdue(START + 10) == "nothing was reported for 10 s"
    assert rhythm.hear([0.0], START + 130) == "it reports again, after 2 min 10 s"
    assert rhythm.hear([1.0], START + 131) == ""
    assert rhythm.overdue(START + 140) == ""
    assert rhythm.overdue(START + 3731 + 131).startswith("nothing was reported for 1 h 2 min")


def test_short_silences_are_no_stalls_whatever_the_rhythm() -> None:
    rhythm = Rhythm(None, 300.0, START)
    last = every(0.001, 100, rhythm)
    assert rhythm.overdue(last + 299) == ""
    assert rhythm.overdue(last + 300) != ""


@pytest.mark.parametrize("count", [0, 1, 3])
def test_without_a_rhythm_nothing_is_a_stall(count: int) -> None:
    rhythm = Rhythm(None, 5.0, START)
    every(1.0, count, rhythm)
    assert rhythm.overdue(START + 1e9) == ""


@pytest.mark.parametrize("rhythm", [Rhythm(0.0, 5.0, START), Rhythm(None, 0.0, START)])
def test_zero_means_never(rhythm: Rhythm) -> None:
    every(1.0, 10, rhythm)
    assert rhythm.overdue(START + 1e9) == ""


def test_reports_that_an_outage_held_back_count_as_they_were_made() -> None:
    rhythm = Rhythm(None, 5.0, START)
    rhythm.hear([60.0 * number for number in range(10)], START + 1)
    assert rhythm.patience == 600.0


def test_a_clock_that_jumps_back_makes_no_negative_pause() -> None:
    rhythm = Rhythm(None, 5.0, START)
    rhythm.hear([100.0, 50.0, 51.0, 52.0, 53.0], START)
    assert rhythm.patience == 10.0


def test_silence_is_one_warning_among_others_and_goes_when_it_is_over() -> None:
    job = warned(Job("j", JobSpec(("train.py",))), "loss became NaN at step 3")
    job = warned(warned(job, "nothing was reported for 5 s"), "nothing was reported for 9 s")
    assert job.warning == "loss became NaN at step 3; nothing was reported for 9 s"
    assert heard_again(job).warning == "loss became NaN at step 3"
