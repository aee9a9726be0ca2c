"""What the server does for sweeps beside running their jobs: ends those that fall behind."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from ..jobs.job import Job
from ..jobs.spec import EarlyStopping, SweepSpec
from ..jobs.sweeps import falls_behind, rungs_passed
from ..store import Store
from ..supervisor.journal import Line, MetricsLine


class EarlyStopper:
    """Compares the jobs of sweeps at certain steps. *cancel* ends a job, with the reason that it will bear."""

    def __init__(
        self,
        store: Store,
        sweep_spec: Callable[[str], Awaitable[SweepSpec | None]],
        cancel: Callable[[str, str], Awaitable[None]],
    ) -> None:
        self._store = store
        self._sweep_spec = sweep_spec
        self._cancel = cancel
        self._rules: dict[str, EarlyStopping | None] = {}
        self._rungs: dict[tuple[str, int], dict[str, float]] = {}
        self._steps: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"EarlyStopper({len(self._rules)} sweeps)"

    async def look(self, job: Job, lines: Sequence[Line]) -> None:
        """Take in what *job* has reported, and end it if it falls behind."""
        if not job.sweep:
            return
        if job.sweep not in self._rules:
            spec = await self._sweep_spec(job.sweep)
            self._rules[job.sweep] = spec.early_stopping if spec else None
        rule = self._rules[job.sweep]
        if rule is None:
            return
        for line in lines:
            if isinstance(line, MetricsLine) and rule.metric in line.values:
                before = self._steps.get(job.id, 0)
                self._steps[job.id] = max(before, line.step)
                for rung in rungs_passed(rule, before, line.step):
                    await self._compare(job, rule, rung, line)

    def forget(self, job: Job) -> None:
        """Take note that *job* has ended."""
        self._steps.pop(job.id, None)

    async def _compare(self, job: Job, rule: EarlyStopping, rung: int, line: MetricsLine) -> None:
        if (job.sweep, rung) not in self._rungs:
            known = await asyncio.to_thread(self._store.reader.rung, job.sweep, rung)
            self._rungs.setdefault((job.sweep, rung), known)  # another job may have asked meanwhile
        reached = self._rungs[job.sweep, rung]
        if job.id in reached:  # an earlier attempt came so far
            return
        value = line.values[rule.metric]
        others = list(reached.values())
        reached[job.id] = value
        await self._store.note_rung(job.sweep, rung, job.id, value)
        if falls_behind(rule, value, others):
            told = f"{rule.metric} {value:.4g} at step {line.step}"
            await self._cancel(job.id, f"stopped early: {told} is not among the best of sweep {job.sweep}")
