"""The life of a job, without processes and without a clock."""

from dataclasses import replace

import pytest

from allgrad.server.jobs.job import Job, JobState, Stopping
from allgrad.server.jobs.lifecycle import (
    CancelAsked,
    ContactLost,
    ContactRegained,
    DependencyFailed,
    Ended,
    FoundDead,
    Happening,
    Launch,
    PauseAsked,
    PreemptAsked,
    PriorityChanged,
    ResumeAsked,
    SlotsGranted,
    Started,
    Stop,
    Sweep,
    after,
    possible,
)
from allgrad.server.jobs.spec import FailureKind, JobSpec, RetryRule

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
    PauseAsked(9.0),
    ResumeAsked(9.0),
    PreemptAsked(9.0, "other"),
    PriorityChanged(9.0, 5),
    DependencyFailed(9.0, "job x has failed"),
]
PAUSED = replace(QUEUED, state=JobState.PAUSED, attempt=1, reason="paused")


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
@pytest.mark.parametrize("job", [QUEUED, PAUSED, STARTING, RUNNING, STOPPING, UNKNOWN], ids=lambda job: job.state.value)
def test_a_finished_job_has_an_end_and_an_unfinished_one_has_none(job: Job, event: Happening) -> None:
    then, _ = after(job, event)
    assert (then.finished is not None) == then.state.terminal


def through(job: Job, *events: Happening) -> Job:
    for event in events:
        job, _ = after(job, event)
    return job


def test_a_running_job_that_is_paused_stops_and_then_holds_no_slots() -> None:
    stopping, actions = after(replace(RUNNING, cores=(0, 1)), PauseAsked(3.0))
    assert (stopping.state, stopping.reason, actions) == (JobState.STOPPING, "pausing", (Stop(),))
    paused, _ = after(stopping, Ended(4.0, 0, stopped=True))
    assert (paused.state, paused.cores, paused.stopping, paused.finished) == (JobState.PAUSED, (), None, None)
    resumed, _ = after(paused, ResumeAsked(5.0))
    assert (resumed.state, resumed.queued) == (JobState.QUEUED, 5.0)
    assert after(resumed, SlotsGranted(6.0))[0].attempt == 2


def test_a_queued_job_is_paused_at_once_and_cancelled_from_there() -> None:
    paused = through(QUEUED, PauseAsked(3.0))
    assert paused.state is JobState.PAUSED
    assert through(paused, CancelAsked(4.0)).state is JobState.CANCELLED


def test_the_last_wish_for_a_job_that_is_stopping_counts_but_cancelling_is_final() -> None:
    ended = Ended(5.0, 0, stopped=True)
    assert through(RUNNING, PauseAsked(3.0), ResumeAsked(4.0), ended).state is JobState.QUEUED
    assert through(RUNNING, PreemptAsked(3.0, "x"), PauseAsked(4.0), ended).state is JobState.PAUSED
    assert through(RUNNING, PauseAsked(3.0), CancelAsked(4.0), ended).state is JobState.CANCELLED
    assert through(RUNNING, CancelAsked(3.0), PauseAsked(4.0), ResumeAsked(4.0), ended).state is JobState.CANCELLED
    assert not possible(STOPPING, PauseAsked)
    assert possible(replace(STOPPING, stopping=Stopping.PAUSE), ResumeAsked)


def test_a_job_that_made_room_waits_again_from_then_on() -> None:
    stopping = through(RUNNING, PreemptAsked(3.0, "urgent"))
    assert stopping.reason == "making room for job urgent"
    waiting = through(stopping, Ended(4.0, 143, stopped=True))
    assert (waiting.state, waiting.queued, waiting.exit_code) == (JobState.QUEUED, 4.0, None)


def test_a_job_whose_pause_loses_the_supervisor_is_paused_once_nothing_is_left() -> None:
    assert through(RUNNING, PauseAsked(3.0), ContactLost(4.0, "gone"), FoundDead(5.0)).state is JobState.PAUSED


def test_a_job_that_succeeds_while_it_is_being_paused_has_succeeded() -> None:
    assert through(RUNNING, PauseAsked(3.0), Ended(4.0, 0)).state is JobState.SUCCEEDED


def retrying(*rules: RetryRule) -> Job:
    return replace(RUNNING, spec=replace(RUNNING.spec, retries=rules))


def test_a_failure_is_forgiven_as_often_as_the_rule_says_after_growing_pauses() -> None:
    job = retrying(RetryRule(2, backoff=10.0))
    job = through(job, Ended(100.0, 1, "bad"))
    assert (job.state, job.not_before, job.failures) == (JobState.QUEUED, 110.0, {"exit": 1})
    assert job.reason == "retry 1 of 2 after: bad"
    job = through(job, SlotsGranted(110.0), Started(111.0), Ended(120.0, 1, "bad"))
    assert (job.not_before, job.attempt) == (140.0, 2)
    job = through(job, SlotsGranted(140.0), Started(141.0), Ended(150.0, 1, "bad"))
    assert (job.state, job.reason, job.exit_code) == (JobState.FAILED, "bad", 1)


def test_each_kind_of_failure_has_its_own_rule_and_count() -> None:
    job = retrying(RetryRule(1), RetryRule(0, FailureKind.TIMEOUT), RetryRule(1, FailureKind.SIGNAL, backoff=0.0))
    assert through(job, Ended(9.0, 124, kind=FailureKind.TIMEOUT)).state is JobState.FAILED
    again = through(job, Ended(9.0, 139, kind=FailureKind.SIGNAL), SlotsGranted(9.0))
    assert again.attempt == 2
    assert through(again, Ended(9.0, 1)).state is JobState.QUEUED
    assert through(again, Ended(9.0, 139, kind=FailureKind.SIGNAL)).state is JobState.FAILED


def test_a_lost_attempt_is_tried_again_only_once_nothing_is_left_of_it() -> None:
    lost = through(retrying(RetryRule(1, FailureKind.LOST)), ContactLost(5.0, "gone"))
    assert lost.state is JobState.UNKNOWN
    again = through(lost, FoundDead(6.0))
    assert (again.state, again.reason) == (JobState.QUEUED, "retry 1 of 1 after: gone; its processes are gone")


def test_a_job_that_fails_while_it_is_cancelled_is_not_tried_again_and_while_paused_stays_so() -> None:
    job = retrying(RetryRule(3))
    assert through(job, CancelAsked(3.0), Ended(4.0, 1)).state is JobState.FAILED
    assert through(job, PauseAsked(3.0), Ended(4.0, 1)).state is JobState.PAUSED


def test_a_job_whose_dependency_failed_is_cancelled_with_the_reason() -> None:
    job = through(QUEUED, DependencyFailed(3.0, "job x has failed"))
    assert (job.state, job.reason) == (JobState.CANCELLED, "job x has failed")


def test_a_priority_changes_without_anything_else() -> None:
    for job in (QUEUED, PAUSED, RUNNING, STOPPING, UNKNOWN):
        assert after(job, PriorityChanged(9.0, 5)) == (replace(job, priority=5), ())
