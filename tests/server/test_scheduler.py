"""Who may start, and why the others wait."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from allgrad.server.job import Job, JobSpec
from allgrad.server.scheduler import startable, why_waiting


def job(identity: str, ranks: int) -> Job:
    return Job(identity, replace(JobSpec(("train.py",)), ranks=ranks))


def test_jobs_start_in_the_order_of_their_coming_while_slots_last() -> None:
    queue = [job("a", 1), job("b", 2), job("c", 1)]
    assert [chosen.id for chosen in startable(queue, 3, 4)] == ["a", "b"]


def test_a_job_that_does_not_fit_yet_is_not_overtaken() -> None:
    assert startable([job("wide", 4), job("narrow", 1)], 3, 4) == []


def test_a_job_that_can_never_fit_holds_back_nobody() -> None:
    assert [chosen.id for chosen in startable([job("wide", 8), job("narrow", 1)], 2, 2)] == ["narrow"]


@given(
    st.lists(st.integers(1, 9), max_size=30),
    st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n))),
)
def test_what_starts_fits_and_is_the_head_of_the_queue(ranks: list[int], slots: tuple[int, int]) -> None:
    total, free = slots
    queue = [job(str(number), width) for number, width in enumerate(ranks)]
    chosen = startable(queue, free, total)
    possible = [waiting for waiting in queue if waiting.ranks <= total]
    assert sum(each.ranks for each in chosen) <= free
    assert chosen == possible[: len(chosen)]
    if len(chosen) < len(possible):
        left = free - sum(each.ranks for each in chosen)
        assert possible[len(chosen)].ranks > left


def test_a_waiting_job_says_for_what_it_waits() -> None:
    assert why_waiting(job("a", 2), 0, 2, 4) == "about to start"
    assert why_waiting(job("a", 2), 0, 1, 4) == "waits for 2 slots: 1 of 4 free"
    assert why_waiting(job("a", 1), 2, 0, 4) == "waits for 1 slot: 0 of 4 free, behind 2 other jobs"


def test_a_job_too_wide_for_a_restarted_server_says_what_to_do() -> None:
    assert "restart the server with --slots 8" in why_waiting(job("a", 8), 0, 2, 2)
