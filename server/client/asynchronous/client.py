"""The asynchronous Python client: all of Client, for programs that run on asyncio."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterator, Collection, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import Self, Unpack

from ...jobs.job import Event, Explanation, Job, JobState, LogChunk, ServerInfo, Sweep
from ...jobs.spec import EarlyStopping
from ..client import PAGE_SIZE, PATIENCE
from ..destination import Destination
from ..following import LogReading, Watching
from ..options import Options, job_spec, sweep_spec, wanted
from ..questions import jobs, sweeps
from .files import AsyncFiles
from .governance import AsyncGovernance
from .session import AsyncSession


class AsyncClient:
    """Talks to one allgrad server from an event loop. Use it as an asynchronous context manager, or await close().

    Its arguments, methods, values and errors are those of Client, and it asks again after the same failures; what
    returns there is awaited here, and what is iterated there is iterated with `async for`.

        async with AsyncClient() as client:
            job = await client.submit(["train.py", "--epochs", "3"], ranks=2)
            async for event in client.watch(job.id):
                print(event)

    A client belongs to the event loop in which it is first used. A stream that is left before its end is closed with
    `contextlib.aclosing`, or with the client.
    """

    def __init__(
        self,
        address: str | None = None,
        token: str | None = None,
        home: str | os.PathLike[str] | None = None,
        patience: float = PATIENCE,
        *,
        tls_ca: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
    ) -> None:
        self._destination = Destination(address, token, home, (tls_ca, tls_cert, tls_key))
        self._session = AsyncSession(self._destination, patience)
        self.access = AsyncGovernance(self._session)
        """Tokens, quotas and the audit log."""
        self.files = AsyncFiles(self._session)
        """Folders up, artifacts down."""

    async def submit(
        self,
        argv: Sequence[str],
        *,
        ranks: int | None = None,
        name: str = "",
        env: Mapping[str, str] | None = None,
        workdir: str | os.PathLike[str] | None = None,
        request_id: str | None = None,
        as_torch: bool = False,
        **options: Unpack[Options],
    ) -> Job:
        """Submit *argv*, a script (or program) and its arguments, to run on *ranks* ranks: see Client.submit()."""
        spec = job_spec(argv, ranks, name, env, workdir, as_torch, options)
        return await self._session.ask(jobs.submit(spec, request_id))

    async def submit_sweep(
        self,
        argv: Sequence[str],
        grid: Mapping[str, Sequence[object]],
        *,
        max_parallel: int = 0,
        early_stopping: EarlyStopping | None = None,
        ranks: int | None = None,
        name: str = "",
        env: Mapping[str, str] | None = None,
        workdir: str | os.PathLike[str] | None = None,
        request_id: str | None = None,
        as_torch: bool = False,
        **options: Unpack[Options],
    ) -> Sweep:
        """Submit one job for every combination of the values in *grid*: see Client.submit_sweep()."""
        job = job_spec(argv, ranks, name, env, workdir, as_torch, options)
        spec = sweep_spec(job, grid, max_parallel, early_stopping)
        return await self._session.ask(sweeps.submit(spec, request_id))

    async def resubmit(self, job_id: str, request_id: str | None = None) -> Job:
        """Submit once more what the job was submitted with, and return the new one: see Client.resubmit()."""
        spec = (await self.get(job_id)).spec
        return await self._session.ask(jobs.submit(spec, request_id))

    async def get(self, job_id: str) -> Job:
        """Return the job as it stands. Raises JobNotFound."""
        return await self._session.ask(jobs.get(job_id))

    async def list(
        self,
        state: JobState | Collection[JobState] | None = None,
        page_size: int = PAGE_SIZE,
        *,
        labels: str = "",
        name: str = "",
        since: float | None = None,
        until: float | None = None,
        sweep: str = "",
        user: str = "",
        id_prefix: str = "",
    ) -> AsyncIterator[Job]:
        """Yield the jobs, newest first: see Client.list()."""
        which, page_token = wanted(state, labels, name, since, until, sweep, user, id_prefix), ""
        while True:
            found, page_token = await self._session.ask(jobs.page(which, page_size, page_token))
            for job in found:
                yield job
            if not page_token:
                return

    async def page(
        self,
        state: JobState | Collection[JobState] | None = None,
        page_size: int = PAGE_SIZE,
        page_token: str = "",
        *,
        labels: str = "",
        name: str = "",
        since: float | None = None,
        until: float | None = None,
        sweep: str = "",
        user: str = "",
        id_prefix: str = "",
    ) -> tuple[Sequence[Job], str]:
        """Return one page of list() and the token of the next page, empty on the last one."""
        which = wanted(state, labels, name, since, until, sweep, user, id_prefix)
        return await self._session.ask(jobs.page(which, page_size, page_token))

    async def cancel(self, job_id: str) -> Job:
        """Ask for the job to be ended and return it; watch() shows it end. Raises JobNotFound."""
        return await self._session.ask(jobs.cancel(job_id))

    async def pause(self, job_id: str) -> Job:
        """Take the job off its slots, or off the queue, until resume() and return it: see Client.pause()."""
        return await self._session.ask(jobs.pause(job_id))

    async def resume(self, job_id: str) -> Job:
        """Put the paused job back into the queue and return it: see Client.resume()."""
        return await self._session.ask(jobs.resume(job_id))

    async def change_priority(self, job_id: str, priority: int) -> Job:
        """Give the job another priority, -100 to 100, and return it. Raises JobNotFound, JobStateConflict."""
        return await self._session.ask(jobs.change_priority(job_id, priority))

    async def delete(self, job_id: str) -> None:
        """Forget the job, which has ended, with all of its files: see Client.delete()."""
        await self._session.ask(jobs.delete(job_id))

    async def explain(self, job_id: str) -> Explanation:
        """Return why the job, if it waits, is not running. Raises JobNotFound."""
        return await self._session.ask(jobs.explain(job_id))

    async def sweep(self, sweep_id: str) -> Sweep:
        """Return the sweep with its jobs as they stand. Raises SweepNotFound."""
        return await self._session.ask(sweeps.get(sweep_id))

    async def sweeps(self) -> AsyncIterator[Sweep]:
        """Yield the sweeps, newest first."""
        page_token = ""
        while True:
            found, page_token = await self._session.ask(sweeps.page(page_token))
            for sweep in found:
                yield sweep
            if not page_token:
                return

    async def cancel_sweep(self, sweep_id: str) -> Sweep:
        """Ask for all jobs of the sweep to be ended and return it. Raises SweepNotFound."""
        return await self._session.ask(sweeps.cancel(sweep_id))

    async def info(self) -> ServerInfo:
        """Return what the server says of itself."""
        return await self._session.ask(jobs.info())

    async def watch(self, job_id: str, cursor: int = 0, *, heartbeats: bool = False) -> AsyncGenerator[Event, None]:
        """Yield the job's events after *cursor*, in order, each once, through restarts of the server: see Client.watch()."""
        watching = Watching(job_id, cursor, heartbeats)
        async with aclosing(self._session.stream(watching.question, lambda: watching.over)) as events:
            async for event in events:
                if watching.take(event):
                    yield event

    async def logs(
        self,
        job_id: str,
        rank: int | None = 0,
        offset: int = 0,
        *,
        follow: bool = False,
        attempt: int = 0,
        tail: int = 0,
    ) -> AsyncGenerator[LogChunk, None]:
        """Yield what *rank* printed, from byte *offset*, through restarts of the server: see Client.logs()."""
        reading = LogReading(job_id, rank, offset, follow, attempt, tail)
        async with aclosing(self._session.stream(reading.question)) as chunks:
            async for chunk in chunks:
                if reading.take(chunk):
                    yield chunk

    async def close(self) -> None:
        """Close the connection. The client may be used again; it then reconnects."""
        await self._session.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient({self._destination})"
