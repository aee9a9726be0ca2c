"""The Python client: submits jobs, follows them and their logs through lost connections and restarts."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self, Unpack

from ..jobs.job import Event, Explanation, Job, JobState, LogChunk, ServerInfo, Sweep
from ..jobs.spec import EarlyStopping
from .destination import Destination
from .files import Files
from .following import LogReading, Watching
from .governance import Governance
from .options import Options, job_spec, sweep_spec, wanted
from .questions import jobs, sweeps
from .session import Session

PAGE_SIZE = 100
PATIENCE = 60.0
"""Seconds for which a broken stream tries to reconnect."""


class Client:
    """Talks to one allgrad server. Use it as a context manager, or call close().

    *address* is `host:port`; if None, `$ALLGRAD_SERVER`, then what the server wrote into its folder, *home*
    (if None, `$ALLGRAD_HOME`, then `~/.allgrad`). *token*: if None, `$ALLGRAD_TOKEN`, then the folder's.
    *tls_ca*, *tls_cert*, *tls_key*: PEM files: who signed the server's certificate (default: whom this machine trusts), and
    the client's own certificate, if the server wants one; if None, `$ALLGRAD_TLS_CA`, `_CERT`, `_KEY`. They count for an
    address that was given; one beyond this machine is always spoken to with TLS.
    *patience*: for how many seconds a broken stream tries to reconnect before ServerUnreachable is raised.

        with Client() as client:
            job = client.submit(["train.py", "--epochs", "3"], ranks=2)
            for event in client.watch(job.id):
                print(event)

    Every method may raise ServerUnreachable or Unauthenticated.
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
        self._session = Session(self._destination, patience)
        self.access = Governance(self._session)
        """Tokens, quotas and the audit log."""
        self.files = Files(self._session)
        """Folders up, artifacts down."""

    def submit(
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
        """Submit *argv*, a script (or program) and its arguments, to run on *ranks* ranks.

        By default that is one, or with *hosts* as many as those have slots for. It runs in *workdir* (default: here), with
        *env* added to the server's environment; *as_torch*: the script's `import torch` means allgrad. *options*: see Options.
        When submit returns, the job is on the server's disk. Repeating it with the same *request_id* (up to 64 characters;
        default: a new one) returns the same job.
        Raises InvalidRequest if the job could never run, RequestIdTaken if the id was used for another one.
        """
        spec = job_spec(argv, ranks, name, env, workdir, as_torch, options)
        return self._session.ask(jobs.submit(spec, request_id))

    def submit_sweep(
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
        """Submit one job for every combination of the values in *grid*, {name: values}.

        An argument with `{name}` in it gets the value in that place; parameters without a place are appended as
        `--name value`. At most *max_parallel* jobs run at once (0: as many as fit). The rest as in submit().
        """
        job = job_spec(argv, ranks, name, env, workdir, as_torch, options)
        spec = sweep_spec(job, grid, max_parallel, early_stopping)
        return self._session.ask(sweeps.submit(spec, request_id))

    def resubmit(self, job_id: str, request_id: str | None = None) -> Job:
        """Submit once more what the job was submitted with, and return the new one, which is in no sweep.

        *request_id* as in submit(). Raises JobNotFound, InvalidRequest.
        """
        return self._session.ask(jobs.submit(self.get(job_id).spec, request_id))

    def get(self, job_id: str) -> Job:
        """Return the job as it stands. Raises JobNotFound."""
        return self._session.ask(jobs.get(job_id))

    def list(
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
    ) -> Iterator[Job]:
        """Yield the jobs, newest first: those in *state* (or one of several), with *labels*, named like *name*, ...

        *labels*: a selector such as `team=vision,stage!=test,gpu,!old`. *name*: a part of it, whatever the case. *since*
        and *until*: seconds since the epoch, between which they were submitted. *sweep*: jobs of that sweep only,
        *user*: of that user; *id_prefix*: those whose ids begin so.
        Fetches *page_size* (1 to 1000) at a time. Raises InvalidRequest, SweepNotFound.
        """
        which, page_token = wanted(state, labels, name, since, until, sweep, user, id_prefix), ""
        while True:
            found, page_token = self._session.ask(jobs.page(which, page_size, page_token))
            yield from found
            if not page_token:
                return

    def page(
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
        return self._session.ask(jobs.page(which, page_size, page_token))

    def cancel(self, job_id: str) -> Job:
        """Ask for the job to be ended and return it; watch() shows it end.

        A finished job stays as it is. Raises JobNotFound.
        """
        return self._session.ask(jobs.cancel(job_id))

    def pause(self, job_id: str) -> Job:
        """Take the job off its slots, or off the queue, until resume() and return it.

        Its processes get SIGTERM and the grace time, for writing a checkpoint. Raises JobNotFound, JobStateConflict.
        """
        return self._session.ask(jobs.pause(job_id))

    def resume(self, job_id: str) -> Job:
        """Put the paused job back into the queue and return it; it goes on from its last checkpoint.

        Raises JobNotFound, JobStateConflict.
        """
        return self._session.ask(jobs.resume(job_id))

    def change_priority(self, job_id: str, priority: int) -> Job:
        """Give the job another priority, -100 to 100, and return it. Raises JobNotFound, JobStateConflict."""
        return self._session.ask(jobs.change_priority(job_id, priority))

    def delete(self, job_id: str) -> None:
        """Forget the job, which has ended, with its output, checkpoints, logs and metrics.

        Raises JobNotFound, JobStateConflict.
        """
        self._session.ask(jobs.delete(job_id))

    def explain(self, job_id: str) -> Explanation:
        """Return why the job, if it waits, is not running. Raises JobNotFound."""
        return self._session.ask(jobs.explain(job_id))

    def sweep(self, sweep_id: str) -> Sweep:
        """Return the sweep with its jobs as they stand. Raises SweepNotFound."""
        return self._session.ask(sweeps.get(sweep_id))

    def sweeps(self) -> Iterator[Sweep]:
        """Yield the sweeps, newest first."""
        page_token = ""
        while True:
            found, page_token = self._session.ask(sweeps.page(page_token))
            yield from found
            if not page_token:
                return

    def cancel_sweep(self, sweep_id: str) -> Sweep:
        """Ask for all jobs of the sweep to be ended and return it. Raises SweepNotFound."""
        return self._session.ask(sweeps.cancel(sweep_id))

    def info(self) -> ServerInfo:
        """Return what the server says of itself."""
        return self._session.ask(jobs.info())

    def watch(self, job_id: str, cursor: int = 0, *, heartbeats: bool = False) -> Iterator[Event]:
        """Yield the job's events after *cursor*, in order, each once; ends with that of the terminal state.

        Behind it comes what arrived later still, from a host that could not be reached when the job ended.
        Reconnects by itself from the last cursor. *heartbeats* are yielded only if asked for.
        Raises JobNotFound, CursorAhead.
        """
        watching = Watching(job_id, cursor, heartbeats)
        for event in self._session.stream(watching.question, lambda: watching.over):
            if watching.take(event):
                yield event

    def logs(
        self,
        job_id: str,
        rank: int | None = 0,
        offset: int = 0,
        *,
        follow: bool = False,
        attempt: int = 0,
        tail: int = 0,
    ) -> Iterator[LogChunk]:
        """Yield what *rank* printed (None: every rank; LAUNCHER_LOG: mpirun itself), from byte *offset*.

        Of *attempt*, or of the present one (0). With *follow*, goes on until the job has ended, through all attempts
        that come; each has logs of its own, and a chunk says to which its offset belongs. With *tail*, begins with the
        last so many lines. Reconnects by itself. A chunk whose offset lies beyond the end of the one before tells that
        the bytes between were dropped to save disk. An *offset* needs a *rank*, and no *tail*. Raises JobNotFound,
        InvalidRequest.
        """
        reading = LogReading(job_id, rank, offset, follow, attempt, tail)
        for chunk in self._session.stream(reading.question):
            if reading.take(chunk):
                yield chunk

    def close(self) -> None:
        """Close the connection. The client may be used again; it then reconnects."""
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._destination})"
