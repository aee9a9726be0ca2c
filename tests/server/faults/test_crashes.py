"""The server killed again and again while it is asked things: what it acknowledged is there, once, and right."""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from allgrad.server import Event, Heartbeat, Job, JobSpec, JobState, Metrics, StateChanged
from allgrad.server.access.tls import ClientFiles
from allgrad.server.client.connection import Connection
from allgrad.server.client.destination import Route
from allgrad.server.client.questions import jobs as questions
from allgrad.server.errors import ServerUnreachable
from allgrad.server.failpoints import PLACES
from allgrad.server.jobs.job import Wanted
from allgrad.server.messages.statuses import error_of
from allgrad.server.supervisor.journal import MetricsLine
from allgrad.server.supervisor.reporting import Reporter
from tests.server.faults.forking import ForkedServers

STEADY = JobSpec(("sleep", "100000"), name="steady", workdir="/")
TRACE = 'echo "$ALLGRAD_ATTEMPT" >> "$ALLGRAD_OUTPUT_DIR/ran"'
LONGEST_LIFE = 0.25
"""Seconds after which a server is killed that has not come to its failpoint."""
BATCH = 5


class Oracle:
    """What clients were told, and what they asked without an answer."""

    def __init__(self) -> None:
        self.asked: dict[str, JobSpec] = {}
        self.made: dict[str, str] = {}
        self.cancelled: set[str] = set()
        self.ended: dict[str, JobState] = {}
        self.deleted: set[str] = set()
        self.maybe_deleted: set[str] = set()
        self.reported = 0
        self.seen: list[Event] = []
        self.counts: Counter[str] = Counter()

    def note(self, job: Job) -> None:
        """Take note of how a job was shown."""
        if job.state.terminal:
            assert self.ended.setdefault(job.id, job.state) is job.state, "a terminal state has changed"


class Clients:
    """Those who ask the server of one life, each in a thread, until it dies."""

    def __init__(self, servers: ForkedServers, address: str, oracle: Oracle, steady: str, dice: random.Random) -> None:
        self._servers = servers
        self._token = servers.home.token() or ""
        self._address = address
        self._oracle = oracle
        self._steady = steady
        self._dice = dice
        self._wrong: list[Exception] = []

    def run(self, life: float) -> None:
        """Ask until the server is dead; it is killed after *life* seconds, if it has not died before."""
        work = (self._submit, self._report, self._cancel_and_delete, self._watch)
        threads = [threading.Thread(target=self._until_dead, args=(each,)) for each in work]
        for thread in threads:
            thread.start()
        threads[-1].join(life)
        self._oracle.counts["death at a named place"] += self._servers.dead
        self._servers.kill()
        for thread in threads:
            thread.join(60)
            assert not thread.is_alive(), "a client hangs after its server has died"
        if self._wrong:
            raise self._wrong[0]

    def _until_dead(self, work: Callable[[Connection], None]) -> None:
        connection = Connection(Route(self._address, self._token, ClientFiles()))
        try:
            work(connection)
        except grpc.RpcError as error:
            explained = error_of(error, connection.address)
            if not isinstance(explained, ServerUnreachable):
                self._wrong.append(explained)
        except Exception as error:  # noqa: BLE001 -- a thread's error must reach the test
            self._wrong.append(error)
        finally:
            connection.close()

    def _submit(self, connection: Connection) -> None:
        oracle = self._oracle
        open_ones = [request for request in oracle.asked if request not in oracle.made]
        requests = [*open_ones[-2:], *(f"request-{len(oracle.asked) + number}" for number in range(2))]
        for request in requests:
            long = self._dice.random() < 0.4
            argv = ("sh", "-c", TRACE + ("; exec sleep 1000" if long else ""))
            spec = oracle.asked.setdefault(request, JobSpec(argv, name=request, workdir="/"))
            made = connection.ask(questions.submit(spec, request))
            assert oracle.made.setdefault(request, made.id) == made.id
            oracle.counts["submit"] += 1
            oracle.note(made)

    def _report(self, connection: Connection) -> None:
        """Send journal lines as a supervisor does, some of them again."""
        reporter = Reporter(self._servers.home, self._steady, 1)
        while True:
            first = max(1, self._oracle.reported - self._dice.randrange(3))
            lines = [MetricsLine(step, 1.0, step, {"loss": 1 / step}) for step in range(first, first + BATCH + 3)]
            reporter.report(lines)
            self._oracle.reported = max(self._oracle.reported, lines[-1].sequence)
            self._oracle.counts["report"] += 1

    def _cancel_and_delete(self, connection: Connection) -> None:
        oracle = self._oracle
        jobs, _ = connection.ask(questions.page(Wanted(), 30, ""))
        oracle.counts["list"] += 1
        for job in jobs:
            oracle.note(job)
            if job.id == self._steady or job.id in oracle.maybe_deleted:
                continue
            if job.state.terminal and self._dice.random() < 0.2:
                oracle.maybe_deleted.add(job.id)
                connection.ask(questions.delete(job.id))
                oracle.deleted.add(job.id)
                oracle.counts["delete"] += 1
            elif not job.state.terminal and (job.argv[-1] != TRACE or self._dice.random() < 0.1):
                after = connection.ask(questions.cancel(job.id))
                oracle.note(after)
                oracle.counts["cancel"] += 1
                if job.argv[-1] != TRACE or after.state is JobState.CANCELLED:
                    oracle.cancelled.add(job.id)

    def _watch(self, connection: Connection) -> None:
        seen = self._oracle.seen
        for event in connection.stream(questions.watch(self._steady, seen[-1].cursor if seen else 0)):
            if isinstance(event, Heartbeat):
                continue
            seen.append(event)
            self._oracle.counts["event"] += 1


def crash(servers: ForkedServers, cycles: int, seed: int) -> Oracle:
    """Let servers die *cycles* times, every other time at a named place."""
    oracle, dice, places = Oracle(), random.Random(seed), list(PLACES)
    address = servers.start()
    assert address is not None
    connection = Connection(Route(address, servers.home.token() or "", ClientFiles()))
    steady = connection.ask(questions.submit(STEADY, "steady")).id
    while connection.ask(questions.get(steady)).state is not JobState.RUNNING:
        time.sleep(0.02)
    connection.close()
    servers.kill()
    for cycle in range(cycles):
        named = cycle % 2 == 0
        place = f"{places[cycle // 2 % len(places)]}:{dice.randint(1, 4)}" if named else ""
        address = servers.start(place)
        if address is None:
            servers.kill()
            oracle.counts["died while starting"] += 1
            continue
        Clients(servers, address, oracle, steady, dice).run(LONGEST_LIFE if named else dice.uniform(0, LONGEST_LIFE))
    check(servers, oracle, steady)
    return oracle


def check(servers: ForkedServers, oracle: Oracle, steady: str) -> None:
    """Hold what the next server says against what the clients were told."""
    address = servers.start()
    assert address is not None
    connection = Connection(Route(address, servers.home.token() or "", ClientFiles()))
    jobs = settle(connection, steady)
    by_request = {job.name: job for job in jobs.values() if job.id != steady}
    assert len(by_request) == len(jobs) - 1, "one request has made two jobs"
    for request, identity in oracle.made.items():
        if identity in jobs:
            assert by_request[request].id == identity
            assert connection.ask(questions.submit(oracle.asked[request], request)).id == identity
        else:
            assert identity in oracle.maybe_deleted, f"acknowledged job {identity} is lost"
    assert not oracle.deleted & set(jobs), "a deleted job is there again"
    left = {path.name for path in (servers.home.path / "jobs").iterdir()}
    assert left <= set(jobs), "files of deleted jobs are left"
    for job in jobs.values():
        check_job(connection, oracle, job, steady)
    check_stream(connection, oracle, steady)
    connection.ask(questions.cancel(steady))
    while not connection.ask(questions.get(steady)).state.terminal:
        time.sleep(0.02)
    connection.close()
    servers.kill()


def settle(connection: Connection, steady: str) -> dict[str, Job]:
    """Cancel the long jobs that nobody has cancelled, wait for all but the steady one, and return all."""
    deadline = time.monotonic() + 300
    while True:
        jobs: dict[str, Job] = {}
        token = ""
        while True:
            page, token = connection.ask(questions.page(Wanted(), 1000, token))
            jobs |= {job.id: job for job in page}
            if not token:
                break
        unfinished = [job for job in jobs.values() if not job.state.terminal and job.id != steady]
        for job in unfinished:
            if job.argv[-1] != TRACE and job.state is not JobState.STOPPING:
                connection.ask(questions.cancel(job.id))
        if not unfinished:
            return jobs
        assert time.monotonic() < deadline, f"{len(unfinished)} jobs do not end, such as {unfinished[0]}"
        time.sleep(0.2)


def check_job(connection: Connection, oracle: Oracle, job: Job, steady: str) -> None:
    """Hold one job's state and events against what its life can have been."""
    events = list(connection.stream(questions.watch(job.id, 0))) if job.id != steady else []
    cursors = [event.cursor for event in events]
    assert cursors == sorted(set(cursors))
    states = [event.state for event in events if isinstance(event, StateChanged)]
    assert all(state not in (JobState.UNKNOWN, JobState.FAILED) for state in states), (job, states)
    assert sum(state.terminal for state in states) == (job.id != steady), (job, states)
    assert oracle.ended.get(job.id, job.state) is job.state, "a terminal state has changed"
    if job.id in oracle.cancelled:
        assert job.state is JobState.CANCELLED, job
    if job.state is JobState.SUCCEEDED:
        assert Path(job.output_dir, "ran").read_text() == "1\n", "the job has not run exactly once"


def check_stream(connection: Connection, oracle: Oracle, steady: str) -> None:
    """The steady job's stream has every acknowledged line once and in order, and every watcher saw just that."""
    everything = []
    last = int(oracle.seen[-1].cursor) if oracle.seen else 0
    deadline = time.monotonic() + 60
    for event in connection.stream(questions.watch(steady, 0)):
        everything.append(event)
        steps = [each.step for each in everything[-1:] if isinstance(each, Metrics)]
        if event.cursor >= last and (steps or [0])[0] >= oracle.reported:
            break
        assert time.monotonic() < deadline
    steps = [event.step for event in everything if isinstance(event, Metrics)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) >= oracle.reported
    assert everything[: len(oracle.seen)] == oracle.seen


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[ForkedServers]:
    servers = ForkedServers(tmp_path / "home")
    yield servers
    servers.close()


@pytest.mark.parametrize("cycles", [20, pytest.param(1000, marks=pytest.mark.chaos)])
def test_no_crash_loses_doubles_or_falsifies_what_was_acknowledged(servers: ForkedServers, cycles: int) -> None:
    oracle = crash(servers, cycles, seed=cycles)
    told = ", ".join(f"{count} of {what}" for what, count in sorted(oracle.counts.items()))
    print(f"\n{cycles} crashes: {told}; {oracle.reported} points reported")
    assert oracle.counts["death at a named place"] > cycles / 8
    assert oracle.counts["submit"] > cycles / 4
    assert oracle.counts["report"] > cycles / 4
    assert oracle.counts["event"] > cycles / 4
