"""What the scheduler's loop keeps in memory is what unfinished jobs need."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from allgrad.server.control.attempts import Settings
from allgrad.server.control.dispatch import Dispatcher
from allgrad.server.control.tracked import Tracked
from allgrad.server.jobs.job import Job, JobState
from allgrad.server.jobs.spec import Dependency, JobSpec, SweepSpec


def test_nothing_is_remembered_of_jobs_that_have_ended() -> None:
    async def live() -> None:
        tracked: dict[str, Tracked] = {}
        spec = JobSpec(("train.py",))

        async def state_of(job_id: str) -> JobState | None:
            return JobState.SUCCEEDED if job_id == "old" else None

        async def sweep_spec(_: str) -> SweepSpec | None:
            return SweepSpec(spec, {"lr": ("1", "2")}, max_parallel=1)

        async def apply(*_: object) -> None:
            raise AssertionError("nothing is decided here")

        dispatcher = Dispatcher(tracked, Settings(4), apply, state_of, sweep_spec, {})
        needs = replace(spec, after=(Dependency("old"), Dependency("a")))
        jobs = [Job("a", spec, sweep="s"), Job("b", needs, sweep="s"), Job("c", needs)]
        for number, job in enumerate(jobs):
            tracked[job.id] = Tracked(number, job, 0)
            await dispatcher.learn(tracked[job.id])
        kept = [dispatcher._needed, dispatcher._ended, dispatcher._parallel, dispatcher._members]
        assert dispatcher.needed_by("a") == "b"
        assert all(kept)
        for job in jobs:
            del tracked[job.id]
            dispatcher.forget(replace(job, state=JobState.SUCCEEDED))
        assert not any(kept)

    asyncio.run(live())
