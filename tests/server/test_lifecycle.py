"""The life of a job, without processes and without a clock."""

from dataclasses import replace

import pytest

from allgrad.server.job import Job, JobSpec, JobState
from allgrad.server.lifecycle import (
    CancelAsked,
    ContactLost,
    ContactRegained,
    Ended,
    FoundDead,
    Happening,
    Launch,
    SlotsGranted,
    Started,
    Stop,
    Sweep,
    after,
)

QUEUED = Job("j", JobSpec(("train.py",)))
STARTING = replace(QUEUED, state=JobState.STARTING, attempt=1)
RUNNING = replace(STARTING, state=JobState.RUNNING, started=2.0)
STOPPING = replace(RUNNING, state=JobState.STOPPING, reason="cancelled")
UNKNOWN = replace(RUNNING, state=JobState.UNKNOWN, reason="its supervisor died")
TERMINAL = [replace(RUNNING, state=state) for state in JobState if state.terminal]
EVENTS: list[Happening] = [
    SlotsGranted(9.0),
    Started(9.0),
    Ended(9.0, 0),
    Ended(9.0, 1, "rank 0: ValueError"),
    CancelAsked(9.0),
    ContactLost(9.0, "gone"),
    ContactRegained(9.0),
    FoundDead(9.0),
]


def test_a_job_that_gets_slots_is_launched_as_its_next_attempt() -> None:
    job, actions = after(QUEUED, SlotsGranted(1.0))
    assert (job.state, job.attempt, actions) == (JobState.STARTING, 1, (Launch(),))


def test_a_job_runs_once_its_ranks_are_started() -> None:
    job, actions = after(STARTING, Started(2.0))
    assert (job.state, job.started, actions) == (JobState.RUNNING, 2.0, ())


def test_exit_code_zero_is_success() -> None:
    job, _ = after(RUNNING, Ended(3.0, 0))
    assert (job.state, job.exit_code, job.finished, job.reason) == (JobState.SUCCEEDED, 0, 3.0, "")


def test_another_exit_code_is_failure_with_its_reason() -> None:
    job, _ = after(RUNNING, Ended(3.0, 1, "rank 1 on host: ValueError: bad"))
    assert (job.state, job.exit_code, job.reason) == (JobState.FAILED, 1, "rank 1 on host: ValueError: bad")


def test_a_queued_job_is_cancelled_at_once() -> None:
    job, actions = after(QUEUED, CancelAsked(3.0))
    assert (job.state, job.finished, actions) == (JobState.CANCELLED, 3.0, ())


@pytest.mark.parametrize("job", [STARTING, RUNNING], ids=str)
def test_cancelling_a_job_with_processes_stops_them_first(job: Job) -> None:
    stopping, actions = after(job, CancelAsked(3.0))
    assert (stopping.state, actions) == (JobState.STOPPING, (Stop(),))
    cancelled, _ = after(stopping, Ended(4.0, 143, stopped=True))
    assert (cancelled.state, cancelled.exit_code) == (JobState.CANCELLED, 143)


def test_a_job_that_had_ended_when_it_was_told_to_stop_keeps_its_own_end() -> None:
    job, _ = after(STOPPING, Ended(4.0, 0, stopped=False))
    assert job.state is JobState.SUCCEEDED


def test_lost_contact_is_unknown_and_not_failure() -> None:
    job, actions = after(RUNNING, ContactLost(5.0, "its supervisor died"))
    assert (job.state, job.reason, job.finished, actions) == (
        JobState.UNKNOWN,
        "its supervisor died",
        None,
        (Sweep(),),
    )


def test_an_unknown_job_fails_only_when_all_its_processes_are_known_to_be_gone() -> None:
    job, _ = after(UNKNOWN, FoundDead(6.0))
    assert (job.state, job.reason) == (JobState.FAILED, "its supervisor died; its processes are gone")


def test_an_unknown_job_whose_supervisor_answers_again_runs() -> None:
    job, _ = after(UNKNOWN, ContactRegained(6.0))
    assert (job.state, job.reason) == (JobState.RUNNING, "")


def test_losing_contact_while_stopping_ends_as_cancelled() -> None:
    job, actions = after(STOPPING, ContactLost(5.0, "gone"))
    assert (job, actions) == (STOPPING, (Sweep(),))
    job, _ = after(job, FoundDead(6.0))
    assert job.state is JobState.CANCELLED


@pytest.mark.parametrize("event", EVENTS, ids=repr)
@pytest.mark.parametrize("job", TERMINAL, ids=lambda job: job.state.value)
def test_a_terminal_state_is_written_once(job: Job, event: Happening) -> None:
    assert after(job, event) == (job, ())


@pytest.mark.parametrize("event", EVENTS, ids=repr)
@pytest.mark.parametrize("job", [QUEUED, STARTING, RUNNING, STOPPING, UNKNOWN], ids=lambda job: job.state.value)
def test_a_finished_job_has_an_end_and_an_unfinished_one_has_none(job: Job, event: Happening) -> None:
    then, _ = after(job, event)
    assert (then.finished is not None) == then.state.terminal
