"""Who may start, who makes room, and why the others wait."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from allgrad.server.jobs.causes import AboutToStart, Backoff, Crowded, NeedsJob, NeedsServer, NeedsSlots, NeedsTurn
from allgrad.server.jobs.cores import assign
from allgrad.server.jobs.job import JobState
from allgrad.server.jobs.scheduler import AGEING, Decision, Plan, Running, Situation, Waiting
from allgrad.server.jobs.slots import HERE, Demand, fits, give
from allgrad.server.jobs.slots import size as size_of
from allgrad.server.jobs.spec import After, Dependency

NOW = 1_000_000.0


def here(slots: int) -> Demand:
    return ((HERE, slots),) if slots else ()


def job(identity: str, slots: int = 1, **more: object) -> Waiting:
    """A job that has waited since *identity*'s place in the alphabet."""
    since = NOW - 1000 + ord(identity[0])
    return replace(Waiting(identity, ord(identity[0]), here(slots), since), **more)  # type: ignore[arg-type]


def held(identity: str, slots: int, *more: object, **named: object) -> Running:
    """A job that holds slots of the server's machine."""
    return Running(identity, here(slots), *more, **named)  # type: ignore[arg-type]


def plan(waiting: Sequence[Waiting], free: int, slots: int, running: Sequence[Running] = (), **more: object) -> Plan:
    taken = slots - free - sum(size_of(each.slots) for each in running)
    others = [held("other", taken)] if taken else []
    return Plan(Situation(NOW, {HERE: slots}, waiting, [*running, *others], **more))  # type: ignore[arg-type]


def decide(
    waiting: Sequence[Waiting], free: int, slots: int, running: Sequence[Running] = (), **more: object
) -> Decision:
    return plan(waiting, free, slots, running, **more).decision


def test_jobs_start_in_the_order_of_their_coming_while_slots_last() -> None:
    assert decide([job("a"), job("b", 2), job("c")], 3, 4).start == ("a", "b")


def test_a_job_that_does_not_fit_yet_is_not_overtaken() -> None:
    assert decide([job("a", 4), job("b")], 3, 4).start == ()


def test_a_job_that_can_never_fit_holds_back_nobody() -> None:
    assert decide([job("a", 8), job("b")], 2, 2).start == ("b",)


def test_a_job_that_takes_no_slots_waits_for_nobody() -> None:
    assert decide([job("a", 4, priority=9), job("b", 0)], 0, 4).start == ("b",)


def test_the_highest_priority_starts_first() -> None:
    assert decide([job("a"), job("b", priority=1)], 1, 1).start == ("b",)


def test_waiting_outweighs_priority_in_the_end() -> None:
    old = job("a", queued=NOW - 3 * AGEING - 1)
    assert decide([old, job("b", queued=NOW, priority=3)], 1, 1).start == ("a",)
    assert decide([old, job("b", queued=NOW, priority=4)], 1, 1).start == ("b",)


def test_a_job_waits_for_the_success_or_the_end_of_another() -> None:
    success, end = job("a", after=(Dependency("x"),)), job("b", after=(Dependency("x", After.END),))
    assert decide([success, end], 2, 2, states={"x": JobState.RUNNING}) == Decision()
    assert decide([success, end], 2, 2, states={"x": JobState.SUCCEEDED}).start == ("a", "b")
    failed = decide([success, end], 2, 2, states={"x": JobState.FAILED})
    assert failed.start == ("b",)
    assert failed.doomed == (("a", "job x, after whose success it was to run, has failed"),)


def test_a_job_that_pauses_after_a_failure_holds_back_nobody_and_is_looked_at_again() -> None:
    found = decide([job("a", not_before=NOW + 5), job("b")], 1, 1)
    assert (found.start, found.look_again) == (("b",), NOW + 5)
    assert decide([job("a", not_before=NOW)], 1, 1).start == ("a",)


def test_no_more_jobs_of_a_sweep_run_than_may() -> None:
    queue = [job("a", group="s"), job("b", group="s"), job("c", group="s"), job("d")]
    assert decide(queue, 4, 5, [held("r", 1, group="s")], parallel={"s": 2}).start == ("a", "d")


def test_a_short_job_fills_a_gap_that_the_head_cannot_use_yet() -> None:
    running = [held("r", 3, ends_by=NOW + 100)]
    queue = [job("a", 4), job("b", limit=100.0), job("c", limit=101.0)]
    assert decide(queue, 1, 4, running).start == ("b",)
    assert decide([queue[0], queue[2]], 1, 4, running).start == ()


def test_a_long_job_may_use_slots_that_are_still_free_when_the_head_starts() -> None:
    running = [held("r", 3, ends_by=NOW + 100)]
    assert decide([job("a", 3), job("b"), job("c")], 2, 5, running).start == ("b", "c")
    assert decide([job("a", 4), job("b"), job("c")], 2, 5, running).start == ("b",)


def test_nothing_overtakes_a_head_whose_start_is_unknown() -> None:
    assert decide([job("a", 4), job("b", limit=1.0)], 1, 4, [held("r", 3)]).start == ()


def test_jobs_of_lower_priority_that_can_be_interrupted_make_room_the_lowest_and_youngest_first() -> None:
    running = [
        held("old", 1, priority=0, started=1.0, preemptible=True),
        held("young", 1, priority=0, started=2.0, preemptible=True),
        held("high", 1, priority=9, started=3.0, preemptible=True),
        held("stubborn", 1, priority=0),
    ]
    assert decide([job("a", 1, priority=5)], 0, 4, running).preempt == (("young", "a"),)
    assert decide([job("a", 2, priority=5)], 0, 4, running).preempt == (("young", "a"), ("old", "a"))
    assert decide([job("a", 3, priority=5)], 0, 4, running).preempt == ()
    assert decide([job("a", 1, priority=0)], 0, 4, running).preempt == ()


def test_nobody_more_is_interrupted_while_enough_are_leaving() -> None:
    running = [held("going", 2, leaving=True), held("r", 2, preemptible=True)]
    assert decide([job("a", 2, priority=1)], 0, 4, running).preempt == ()


def test_a_job_that_waits_for_a_host_holds_back_only_those_that_want_slots_there() -> None:
    room, running = {HERE: 4, "a": 4, "b": 4}, [Running("r", (("a", 4),))]
    spread = replace(job("a"), slots=(("a", 2), ("b", 2)))
    waiting = [
        spread,
        job("b", 4),
        replace(job("c"), slots=(("b", 1),)),
        replace(job("d"), slots=(("c", 1),)),
    ]
    found = Plan(Situation(NOW, room, waiting, running))
    assert found.decision.start == ("b",)
    assert found.causes(spread) == [NeedsSlots(2, 0, 4, "a")]
    assert found.causes(waiting[2]) == [NeedsTurn("a", 1)]
    assert found.causes(waiting[3]) == [NeedsServer(1, 0, "c")]


def test_a_job_on_two_hosts_makes_room_on_both() -> None:
    room = {HERE: 1, "a": 2, "b": 2}
    running = [
        Running("on a", (("a", 2),), preemptible=True),
        Running("on b", (("b", 1),), preemptible=True),
        Running("here", ((HERE, 1),), preemptible=True),
    ]
    wide = replace(job("a", priority=1), slots=(("a", 1), ("b", 2)))
    assert Plan(Situation(NOW, room, [wide], running)).decision.preempt == (("on a", "a"), ("on b", "a"))


def test_a_waiting_job_says_for_what_it_waits() -> None:
    a, b, c, two = job("a"), job("b"), job("c"), job("a", 2)
    assert plan([two], 2, 4).causes(two) == [AboutToStart()]
    assert plan([two], 1, 4).causes(two) == [NeedsSlots(2, 1, 4)]
    assert plan([two, b, c], 1, 4).causes(c) == [NeedsTurn("a", 2)]
    assert plan([a, job("b", 2)], 0, 4).causes(job("b", 2)) == [NeedsSlots(2, 0, 4), NeedsTurn("a", 1)]
    need = Dependency("x")
    waiting = job("a", after=(need,), not_before=NOW + 9)
    waits = plan([waiting], 4, 4, states={"x": JobState.QUEUED})
    assert waits.causes(waiting) == [NeedsJob(need, JobState.QUEUED), Backoff(NOW + 9)]
    first, second = job("a", group="s"), job("b", group="s")
    crowded = plan([first, second], 4, 4, parallel={"s": 1})
    assert (crowded.causes(first), crowded.causes(second)) == ([AboutToStart()], [Crowded("s", 1)])
    assert plan([job("a", 8)], 2, 2).causes(job("a", 8)) == [NeedsServer(8, 2)]


def test_a_job_that_came_after_the_plan_is_told_its_place_in_it() -> None:
    full = plan([job("a"), job("b")], 0, 4)
    assert full.causes(job("z")) == [NeedsSlots(1, 0, 4), NeedsTurn("a", 2)]
    assert full.causes(job("z", priority=9)) == [NeedsSlots(1, 0, 4)]
    need = Dependency("x")
    assert full.causes(job("z", after=(need,)), {"x": JobState.RUNNING}) == [NeedsJob(need, JobState.RUNNING)]


def test_causes_are_told_in_words() -> None:
    assert str(NeedsSlots(1, 0, 4)) == "waits for 1 slot: 0 of 4 free"
    assert str(NeedsTurn("abc", 3)) == "behind job abc and 2 others"
    assert "restart the server with --slots 8" in str(NeedsServer(8, 2))
    assert str(NeedsSlots(2, 1, 4, "node1")) == "waits for 2 slots of node1: 1 of 4 free"
    assert "restart the server with --hosts node1:8 among them" in str(NeedsServer(8, 2, "node1"))


def test_the_head_knows_when_it_starts_at_the_latest() -> None:
    running = [held("r", 3, ends_by=NOW + 100)]
    assert plan([job("a", 4)], 1, 4, running).latest_start("a") == NOW + 100
    assert plan([job("a", 4), job("b")], 1, 4, running).latest_start("b") is None


wanted = st.tuples(st.integers(0, 9), st.integers(0, 5)).filter(any)
"""Slots of the server's machine, which has eight, and of host a, which has four."""
waiting_jobs = st.lists(
    st.tuples(wanted, st.integers(-2, 2), st.integers(0, 2000), st.sampled_from([10.0, 100.0, 1000.0, math.inf])),
    max_size=20,
)
running_jobs = st.lists(
    st.tuples(wanted, st.integers(-2, 2), st.sampled_from([1.0, 50.0, 500.0, math.inf]), st.booleans()),
    max_size=6,
)
Wanted = tuple[int, int]
Queue = list[tuple[Wanted, int, int, float]]
Held = list[tuple[Wanted, int, float, bool]]


def taken(slots: Wanted) -> Demand:
    return tuple((host, number) for host, number in zip((HERE, "a"), slots, strict=True) if number)


def less(room: Mapping[str, int], jobs: Iterable[Waiting | Running]) -> dict[str, int]:
    """What *jobs* leave of *room*."""
    left = dict(room)
    for each in jobs:
        give(left, each.slots, -1)
    return left


def situation(waiting: Queue, running: Held) -> Situation:
    """A situation without running jobs for which there is no room."""
    room, holding = {HERE: 8, "a": 4}, list[Running]()
    for number, (slots, priority, left, preemptible) in enumerate(running):
        if fits(taken(slots), less(room, holding)):
            holding.append(Running(f"r{number}", taken(slots), priority, NOW + left, NOW - number, preemptible))
    queue = [
        Waiting(f"w{number}", number, taken(slots), NOW - waited, priority, limit)
        for number, (slots, priority, waited, limit) in enumerate(waiting)
    ]
    return Situation(NOW, room, queue, holding)


@given(waiting_jobs, running_jobs)
def test_what_starts_fits_and_nobody_before_the_heads_is_left_out(waiting: Queue, running: Held) -> None:
    now = situation(waiting, running)
    found = Plan(now)
    chosen = [each for each in found.line if each.id in found.decision.start]
    assert min(less(found.free, chosen).values()) >= 0
    assert [each.id for each in chosen] == list(found.decision.start)
    reserved: set[str] = set()
    heads = [each.head for each in found.heads]
    for each in found.line:
        hosts = {host for host, _ in each.slots}
        if each in heads:
            assert not hosts & reserved, "no two heads want slots of one host"
            before = [other for other in chosen if other.rank < each.rank]
            assert not fits(each.slots, less(found.free, before))
            reserved |= hosts
        elif not hosts & reserved:
            assert each in chosen, "it fits, and nobody before it waits for its hosts"


@given(waiting_jobs, running_jobs)
def test_filling_gaps_never_delays_a_head_beyond_its_reservation(waiting: Queue, running: Held) -> None:
    now = situation(waiting, running)
    found = Plan(now)
    for each in found.heads:
        if each.at == math.inf:
            continue
        still: list[Waiting | Running] = [other for other in now.running if other.ends_by > each.at]
        still += [job for job in found.line if job.id in found.decision.start and NOW + job.limit > each.at]
        assert fits(each.head.slots, less(now.slots, still))


@given(waiting_jobs, running_jobs)
def test_only_jobs_of_lower_priority_make_room_and_only_if_it_is_enough(waiting: Queue, running: Held) -> None:
    now = situation(waiting, running)
    found = Plan(now)
    staying = [job for job in found.line if job.id in found.decision.start] + list(now.running)
    for each in found.heads:
        leaving = [job for job in now.running if (job.id, each.head.id) in found.decision.preempt]
        staying = [job for job in staying if job not in leaving]
        assert all(job.preemptible and job.priority < each.head.priority for job in leaving)
        assert not leaving or fits(each.head.slots, less(now.slots, staying))
        assert not any(fits(each.head.slots, less(now.slots, [*staying, job])) for job in leaving)


@settings(max_examples=40)
@given(
    waiting_jobs,
    running_jobs,
    st.tuples(st.integers(0, 9), st.integers(0, 5)),
    st.integers(-3, 3),
    st.sampled_from([None, JobState.RUNNING, JobState.SUCCEEDED, JobState.FAILED]),
)
def test_a_newcomer_that_is_said_to_leave_the_decision_as_it_is_does_so_and_says_the_same_causes(
    waiting: Queue,
    running: Held,
    slots: Wanted,
    priority: int,
    need: JobState | None,
) -> None:
    now = situation(waiting, running)
    states = {"x": need} if need else {}
    after = (Dependency("x"),) if need else ()
    coming = Waiting("new", len(waiting), taken(slots), NOW, priority, after=after)
    before = Plan(now)
    with_it = Plan(replace(now, waiting=[*now.waiting, coming], states=states))
    if before.unmoved_by(coming, states):
        assert before.decision == with_it.decision
        assert before.causes(coming, states) == with_it.causes(coming)
    else:
        assert need is not JobState.RUNNING


def test_nothing_is_decided_anew_for_a_job_that_finds_all_slots_taken() -> None:
    full = plan([job("a")], 0, 4, [held("r", 4, priority=1, preemptible=True)])
    assert full.unmoved_by(job("z", priority=1), {})
    assert not full.unmoved_by(job("z", priority=2), {})
    assert not plan([], 1, 4).unmoved_by(job("z"), {})
    assert not full.unmoved_by(job("z", slots=0), {})


@given(
    st.lists(
        st.tuples(st.tuples(st.integers(0, 4), st.integers(0, 2)).filter(any), st.integers(-1, 1), st.integers(1, 200)),
        min_size=1,
        max_size=12,
    )
)
def test_every_job_starts_in_the_end_whatever_comes_after_it(jobs: list[tuple[Wanted, int, int]]) -> None:
    """Plays a server of four slots and a host of two, to each of which a job of the highest priority comes every ten seconds."""
    old = [
        Waiting(f"old{n}", n, taken(slots), NOW, priority, float(time))
        for n, (slots, priority, time) in enumerate(jobs)
    ]
    queue, running, now, number = list(old), list[Running](), NOW, 1000
    waited = {each.id for each in old}
    while waited:
        assert now < NOW + 100_000, "a job starves"
        queue += [Waiting(f"{host}-new{number}", number, ((host, 1),), now, 1, 20.0) for host in (HERE, "a")]
        running = [each for each in running if each.ends_by > now]
        started = set(Plan(Situation(now, {HERE: 4, "a": 2}, queue, running)).decision.start)
        running += [Running(each.id, each.slots, ends_by=now + each.limit) for each in queue if each.id in started]
        queue = [each for each in queue if each.id not in started]
        waited -= started
        now, number = now + 10, number + 1


@given(st.integers(1, 12), st.lists(st.integers(1, 5), max_size=8))
def test_no_two_jobs_share_a_core(cores: int, sizes: list[int]) -> None:
    held: list[tuple[int, ...]] = []
    for size in sizes:
        given_now = assign(range(cores), held, size)
        assert len(given_now) in (0, size)
        assert (len(given_now) == 0) == (cores - sum(map(len, held)) < size)
        held.append(given_now)
    every = [core for each in held for core in each]
    assert len(every) == len(set(every))
