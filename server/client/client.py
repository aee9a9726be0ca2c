"""The Python client: submits jobs, follows them and their logs through lost connections and restarts."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar, Unpack

from ..errors import ServerUnreachable, Unauthenticated
from ..home import Home
from ..jobs.job import Event, Explanation, Heartbeat, Job, JobState, LogChunk, ServerInfo, StateChanged, Sweep, Wanted
from ..jobs.spec import EarlyStopping, SweepSpec
from .files import Files
from .governance import Governance
from .options import Options, job_spec

if TYPE_CHECKING:
    from .connection import Connection

Answer = TypeVar("Answer")

PAGE_SIZE = 100
FIRST_PAUSE = 0.05
"""Seconds before the first attempt to reconnect; doubled each time, up to LONGEST_PAUSE."""
LONGEST_PAUSE = 1.0


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
        patience: float = 60.0,
        *,
        tls_ca: str | None = None,
        tls_cert: str | None = None,
        tls_key: str | None = None,
    ) -> None:
        self._address = address or os.environ.get("ALLGRAD_SERVER")
        self._token = token or os.environ.get("ALLGRAD_TOKEN")
        self._home = Home.find(home)
        self._patience = patience
        self._tls = (tls_ca, tls_cert, tls_key)
        self._connection: Connection | None = None
        self._answered = False
        self.access = Governance(self._call)
        """Tokens, quotas and the audit log."""
        self.files = Files(self._call, self._stream)
        """Folders up, artifacts down."""

    def submit(
        self,
        argv: Sequence[str],
        *,
        ranks: int = 1,
        name: str = "",
        env: Mapping[str, str] | None = None,
        workdir: str | os.PathLike[str] | None = None,
        request_id: str | None = None,
        as_torch: bool = False,
        **options: Unpack[Options],
    ) -> Job:
        """Submit *argv*, a script (or program) and its arguments, to run on *ranks* ranks.

        It runs in *workdir* (default: here), with *env* added to the server's environment; *as_torch*: the
        script's `import torch` means allgrad. *options*: see Options. When submit returns, the job is on the server's
        disk. Repeating it with the same *request_id* (up to 64 characters; default: a new one) returns the same job.
        Raises InvalidRequest if the job could never run, RequestIdTaken if the id was used for another one.
        """
        spec = job_spec(argv, ranks, name, env, workdir, as_torch, options)
        request = request_id or uuid.uuid4().hex
        return self._call(lambda connection: connection.submit(spec, request))

    def submit_sweep(
        self,
        argv: Sequence[str],
        grid: Mapping[str, Sequence[object]],
        *,
        max_parallel: int = 0,
        early_stopping: EarlyStopping | None = None,
        ranks: int = 1,
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
        spec = SweepSpec(
            job_spec(argv, ranks, name, env, workdir, as_torch, options),
            {axis: tuple(map(str, values)) for axis, values in grid.items()},
            max_parallel,
            early_stopping,
        )
        request = request_id or uuid.uuid4().hex
        return self._call(lambda connection: connection.submit_sweep(spec, request))

    def get(self, job_id: str) -> Job:
        """Return the job as it stands. Raises JobNotFound."""
        return self._call(lambda connection: connection.get(job_id))

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
    ) -> Iterator[Job]:
        """Yield the jobs, newest first: those in *state* (or one of several), with *labels*, named like *name*, ...

        *labels*: a selector such as `team=vision,stage!=test,gpu,!old`. *name*: a part of it, whatever the case. *since*
        and *until*: seconds since the epoch, between which they were submitted. *sweep*: jobs of that sweep only.
        Fetches *page_size* (1 to 1000) at a time. Raises InvalidRequest.
        """
        wanted = Wanted(_states(state), labels, name, since, until, sweep)
        page_token = ""
        while True:
            jobs, page_token = self._page(wanted, page_size, page_token)
            yield from jobs
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
    ) -> tuple[Sequence[Job], str]:
        """Return one page of list() and the token of the next page, empty on the last one."""
        return self._page(Wanted(_states(state), labels, name, since, until, sweep), page_size, page_token)

    def cancel(self, job_id: str) -> Job:
        """Ask for the job to be ended and return it; watch() shows it end.

        A finished job stays as it is. Raises JobNotFound.
        """
        return self._call(lambda connection: connection.cancel(job_id))

    def pause(self, job_id: str) -> Job:
        """Take the job off its slots, or off the queue, until resume() and return it.

        Its processes get SIGTERM and the grace time, for writing a checkpoint. Raises JobNotFound, JobStateConflict.
        """
        return self._call(lambda connection: connection.pause(job_id))

    def resume(self, job_id: str) -> Job:
        """Put the paused job back into the queue and return it; it goes on from its last checkpoint.

        Raises JobNotFound, JobStateConflict.
        """
        return self._call(lambda connection: connection.resume(job_id))

    def change_priority(self, job_id: str, priority: int) -> Job:
        """Give the job another priority, -100 to 100, and return it. Raises JobNotFound, JobStateConflict."""
        return self._call(lambda connection: connection.change_priority(job_id, priority))

    def delete(self, job_id: str) -> None:
        """Forget the job, which has ended, with its output, checkpoints, logs and metrics.

        Raises JobNotFound, JobStateConflict.
        """
        self._call(lambda connection: connection.delete(job_id))

    def explain(self, job_id: str) -> Explanation:
        """Return why the job, if it waits, is not running. Raises JobNotFound."""
        return self._call(lambda connection: connection.why(job_id))

    def sweep(self, sweep_id: str) -> Sweep:
        """Return the sweep with its jobs as they stand. Raises SweepNotFound."""
        return self._call(lambda connection: connection.sweep(sweep_id))

    def sweeps(self) -> Iterator[Sweep]:
        """Yield the sweeps, newest first."""
        page_token = ""
        while True:
            found, page_token = self._sweeps_page(page_token)
            yield from found
            if not page_token:
                return

    def cancel_sweep(self, sweep_id: str) -> Sweep:
        """Ask for all jobs of the sweep to be ended and return it. Raises SweepNotFound."""
        return self._call(lambda connection: connection.cancel_sweep(sweep_id))

    def info(self) -> ServerInfo:
        """Return what the server says of itself."""
        return self._call(lambda connection: connection.info())

    def watch(self, job_id: str, cursor: int = 0, *, heartbeats: bool = False) -> Iterator[Event]:
        """Yield the job's events after *cursor*, in order, each once; ends after that of the terminal state.

        Reconnects by itself from the last cursor. *heartbeats* are yielded only if asked for.
        Raises JobNotFound, CursorAhead.
        """
        last = cursor

        def resume(connection: Connection) -> Iterator[Event]:
            return connection.watch(job_id, last)

        for event in self._stream(resume):
            if isinstance(event, Heartbeat):
                if heartbeats:
                    yield event
                continue
            last = event.cursor
            yield event
            if isinstance(event, StateChanged) and event.state.terminal:
                return

    def logs(
        self, job_id: str, rank: int | None = 0, offset: int = 0, *, follow: bool = False, attempt: int = 0
    ) -> Iterator[LogChunk]:
        """Yield what *rank* printed (None: every rank; LAUNCHER_LOG: mpirun itself), from byte *offset*.

        Of *attempt*, or of the present one (0). With *follow*, goes on until the job has ended, through all attempts
        that come; each has logs of its own, and a chunk says to which its offset belongs. Reconnects by itself.
        A chunk whose offset lies beyond the end of the one before tells that the bytes between were dropped to save
        disk. An *offset* needs a *rank*. Raises JobNotFound, InvalidRequest.
        """
        if rank is None and offset:
            raise ValueError("logs(rank=None) reads all ranks from their beginning; an offset needs a rank")
        offsets = {} if rank is None else {rank: offset}

        def resume(connection: Connection) -> Iterator[LogChunk]:
            return connection.logs(job_id, rank, offsets, attempt, follow)

        for chunk in self._stream(resume):
            if chunk.data:
                if chunk.attempt > attempt:
                    attempt, offsets = chunk.attempt, ({} if attempt else offsets)
                offsets[chunk.rank] = chunk.offset + len(chunk.data)
                yield chunk

    def close(self) -> None:
        """Close the connection. The client may be used again; it then reconnects."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client({self._address or self._home.path})"

    def _page(self, wanted: Wanted, page_size: int, page_token: str) -> tuple[Sequence[Job], str]:
        return self._call(lambda connection: connection.page(wanted, page_size, page_token))

    def _sweeps_page(self, page_token: str) -> tuple[Sequence[Sweep], str]:
        return self._call(lambda connection: connection.sweeps(page_token))

    def _connect(self) -> Connection:
        """Return the connection; after a loss, a new one: the server may have come back on another port."""
        if self._connection is None:
            address = self._address or self._home.address()
            if address is None:
                raise ServerUnreachable(
                    "cannot reach the allgrad server",
                    f"no server has written its address into {self._home.path}",
                    "start one with: allgrad serve, or name one with --server",
                )
            token = self._token or self._home.token()
            if token is None:
                raise Unauthenticated(
                    f"the server at {address} wants a token",
                    f"there is none in $ALLGRAD_TOKEN or {self._home.token_file}",
                    "set ALLGRAD_TOKEN to what the server's token file holds",
                )
            from ..access.tls import ClientFiles
            from .connection import Connection  # gRPC takes 0.1 s to load: only when it is needed

            files = ClientFiles.find(*self._tls) if self._address else ClientFiles()
            self._connection = Connection(address, token, files)
        return self._connection

    def _call(self, call: Callable[[Connection], Answer]) -> Answer:
        """Return call(connection), repeated a few times if a server that answered before does not."""
        import grpc

        pause = FIRST_PAUSE
        while True:
            connection = self._connect()
            try:
                answer = call(connection)
            except grpc.RpcError as error:
                explained = connection.explain(error)
            else:
                self._answered = True
                return answer
            lost = isinstance(explained, ServerUnreachable)
            if not lost or not (self._moved(connection) or (self._answered and pause < LONGEST_PAUSE)):
                raise explained
            time.sleep(pause)
            pause *= 2

    def _stream(self, resume: Callable[[Connection], Iterator[Answer]]) -> Iterator[Answer]:
        """Yield from resume(connection), called again after every lost connection until patience ends."""
        import grpc

        give_up_at, pause = float("inf") if self._answered else 0.0, FIRST_PAUSE
        while True:
            connection = self._connection
            try:
                connection = self._connect()
                for answer in resume(connection):
                    self._answered = True
                    give_up_at, pause = float("inf"), FIRST_PAUSE
                    yield answer
            except grpc.RpcError as error:
                assert connection is not None
                if connection.due_for_renewal(error):
                    continue
                explained = connection.explain(error)
            except ServerUnreachable as error:
                explained = error
            else:
                return
            if not isinstance(explained, ServerUnreachable):
                raise explained
            give_up_at = min(give_up_at, time.monotonic() + self._patience)
            if not self._moved(connection) and time.monotonic() >= give_up_at:
                raise explained
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _moved(self, connection: Connection | None) -> bool:
        """Drop *connection* if the server has come back at another address since; return whether it has."""
        now = self._address or self._home.address()
        if connection is None or now in (None, connection.address):
            return False
        if self._connection is connection:
            self.close()
        return True


def _states(state: JobState | Collection[JobState] | None) -> tuple[JobState, ...]:
    if state is None:
        return ()
    return (state,) if isinstance(state, JobState) else tuple(state)
