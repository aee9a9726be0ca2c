"""How much the server bears: durable submits, metrics, replay, restart, other calls beside many watchers, a long queue.

Run as `python benchmarks/server.py [PART ...]`, with some of the names in PARTS; without any, all are measured.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import apsw
import grpc

from allgrad.proto import jobs_pb2 as pb
from allgrad.server import Client, Job, JobState, Metrics
from allgrad.server.home import Home
from allgrad.server.supervisor.journal import MetricsLine
from allgrad.server.supervisor.reporting import Reporter

_SERVE = "import sys; from allgrad.server import serve; serve(sys.argv[1], port=0, slots=16)"
_WATCH = "/allgrad.v1.JobService/WatchJob"
SECONDS = 4.0
BATCH = 500


@contextmanager
def served(home: Path) -> Iterator[float]:
    """Run a server on *home*; yields the seconds from its start to SERVING."""
    begun = time.perf_counter()
    server = subprocess.Popen([sys.executable, "-c", _SERVE, str(home)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert "serves at" in server.stdout.readline()
    try:
        yield time.perf_counter() - begun
    finally:
        server.terminate()
        server.communicate()


def tell(name: str, value: float, unit: str, target: str = "") -> None:
    """Print one figure."""
    print(f"{name:64} {value:10.1f} {unit:10} {target}", flush=True)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which *share* of *values* lie, in milliseconds."""
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] * 1e3


def sync_rate(folder: Path) -> float:
    """Return how many writes of 4 KB the disk makes durable in a second, one after the other."""
    file = os.open(folder / "sync", os.O_RDWR | os.O_CREAT)
    os.pwrite(file, bytes(1 << 20), 0)
    os.fsync(file)
    count, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < SECONDS / 2:
        os.pwrite(file, os.urandom(4096), count % 256 * 4096)
        os.fdatasync(file)
        count += 1
    os.close(file)
    return count / (SECONDS / 2)


def in_threads(count: int, work: Callable[[Callable[[], bool]], list[float]]) -> list[float]:
    """Let *count* threads *work* for SECONDS, until what they are given says so; return all their times."""
    end = time.monotonic() + SECONDS
    times: list[float] = []
    threads = [
        threading.Thread(target=lambda: times.extend(work(lambda: time.monotonic() >= end))) for _ in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return times


def submit_until(home: Path, over: Callable[[], bool]) -> list[float]:
    """Submit jobs that wait for a job that never ends; return the seconds that each took."""
    times = []
    with Client(home=home) as client:
        blocker = next(client.list(name="blocker")).id
        while not over():
            begun = time.perf_counter()
            client.submit(["true"], after=[blocker])
            times.append(time.perf_counter() - begun)
    return times


def steady(client: Client, name: str) -> Job:
    """Start a job that reports nothing by itself and never ends."""
    job = client.submit(["sleep", "100000"], name=name)
    while client.get(job.id).state is not JobState.RUNNING:
        time.sleep(0.02)
    return job


def measure_submits(folder: Path) -> None:
    """Durable submits per second, against what the disk can do, and beside a flood of metrics."""
    rate = sync_rate(folder)
    tell("the disk's own durable writes", rate, "/s")
    home = folder / "home"
    with served(home), Client(home=home) as client:
        steady(client, "blocker")
        for count, factor in ((1, 0.5), (16, 2)):
            busy = cpu_seconds(home)
            times = in_threads(count, lambda over: submit_until(home, over))
            busy = cpu_seconds(home) - busy
            target = f"target {factor * rate:.0f} ({factor:g} of the disk's)"
            tell(f"durable submits, {count} client(s)", len(times) / SECONDS, "/s", target)
            tell("  p99", percentile(times, 0.99), "ms")
            tell("  processor time of the server for each", busy / len(times) * 1e3, "ms")
        job = steady(client, "flooding")
        sent: list[int] = []
        stop = threading.Event()
        flood = threading.Thread(target=report_until, args=(home, job, stop.is_set, sent))
        flood.start()
        times = in_threads(1, lambda over: submit_until(home, over))
        stop.set()
        flood.join()
        tell("durable submits beside a flood of metrics", len(times) / SECONDS, "/s")
        tell("  p99", percentile(times, 0.99), "ms")
        tell("  metric points meanwhile", sum(sent) / SECONDS, "/s")
        cancel_all(client)


_SLOW_SYNC = """
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static int slowly(int result) { struct timespec pause = {0, 1000000}; nanosleep(&pause, 0); return result; }
int fsync(int file) { return slowly(syscall(SYS_fsync, file)); }
int fdatasync(int file) { return slowly(syscall(SYS_fdatasync, file)); }
"""


def measure_submits_on_a_slow_disk(folder: Path) -> None:
    """The same where each sync takes 1 ms longer, as on a disk of about 900 syncs a second; needs a C compiler."""
    library = folder / "slow.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-xc", "-", "-o", library], input=_SLOW_SYNC, text=True, check=True)
    subprocess.run([sys.executable, __file__, "submits"], env={**os.environ, "LD_PRELOAD": str(library)}, check=True)


def report_until(home: Path, job: Job, over: Callable[[], bool], sent: list[int]) -> None:
    """Report points as a supervisor does, as fast as they are acknowledged."""
    reporter, step = Reporter(Home(home), job.id, 1), 1
    while not over():
        now = time.time()
        reporter.report([MetricsLine(each, now, each, {"loss": 0.5}) for each in range(step, step + BATCH)])
        step += BATCH
        sent.append(BATCH)


def measure_metrics(folder: Path) -> None:
    """Points per second that become durable and reach 8 watchers, and how late; then the replay of a million."""
    home = folder / "home"
    with served(home), Client(home=home) as client:
        job = steady(client, "reporting")
        sent: list[int] = []
        with watched(home, job, processes=4, watchers=2) as delays:
            end, busy = time.monotonic() + SECONDS, cpu_seconds(home)
            report_paced(home, job, lambda: time.monotonic() >= end, sent)
            busy = cpu_seconds(home) - busy
        tell("metric points, durable, with 8 watchers", sum(sent) / SECONDS, "/s", "target 14000")
        tell("  of one core, the server takes", busy / SECONDS * 100, "%")
        tell("  delivered to watchers", len(delays) / SECONDS, "/s")
        tell("  from report to watcher, p50", percentile(delays, 0.5), "ms")
        tell("  p99", percentile(delays, 0.99), "ms", "target 100")
        client.cancel(job.id)
        fill_with_points(client, home)
        cancel_all(client)


def report_paced(home: Path, job: Job, over: Callable[[], bool], sent: list[int]) -> None:
    """Report 14,500 points a second, or as many as are acknowledged."""
    reporter, step, begun = Reporter(Home(home), job.id, 1), 1, time.monotonic()
    while not over():
        now = time.time()
        reporter.report([MetricsLine(each, now, each, {"loss": 0.5}) for each in range(step, step + BATCH)])
        step += BATCH
        sent.append(BATCH)
        time.sleep(max(0.0, begun + step / 14_500 - time.monotonic()))


@contextmanager
def watched(home: Path, job: Job, processes: int, watchers: int) -> Iterator[list[float]]:
    """Let so many *processes*, of so many *watchers* each, watch a job; yields what will be their delays at the end."""
    spawn = multiprocessing.get_context("spawn")  # gRPC does not live through a fork
    ready, over, told = spawn.Barrier(processes + 1), spawn.Event(), spawn.Queue()
    crowd = [spawn.Process(target=watch_apart, args=(home, job, watchers, ready, over, told)) for _ in range(processes)]
    for process in crowd:
        process.start()
    ready.wait()
    time.sleep(0.5)
    delays: list[float] = []
    yield delays
    time.sleep(1)
    over.set()
    for _ in crowd:
        delays += told.get()
    for process in crowd:
        process.join()


def watch_apart(home: Path, job: Job, watchers: int, ready: Any, over: Any, told: Any) -> None:
    """Watch in a process of its own, so that watchers do not wait for each other, nor the reporter for them."""
    delays: list[float] = []
    for _ in range(watchers):
        threading.Thread(target=watch, args=(home, job, delays), daemon=True).start()
    ready.wait()
    over.wait()
    told.put(delays)


def cpu_seconds(home: Path) -> float:
    """Return the processor time that the server on *home* has used."""
    record = json.loads((home / "server.json").read_text())
    ticks = Path(f"/proc/{record['pid']}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK")


def watch(home: Path, job: Job, delays: list[float]) -> None:
    """Note how late each point comes, reading messages as any client may."""
    place = Home(home)
    with grpc.insecure_channel(place.address() or "") as channel:
        stub: Any = channel.unary_stream(_WATCH, pb.WatchJobRequest.SerializeToString, pb.WatchJobResponse.FromString)
        metadata = (("authorization", f"Bearer {place.token()}"),)
        for answer in stub(pb.WatchJobRequest(job_id=job.id), metadata=metadata):
            now = time.time()
            points = [event for event in answer.events if event.HasField("metrics")]
            delays += [now - each.time.seconds - each.time.nanos / 1e9 for each in points]


def fill_with_points(client: Client, home: Path) -> None:
    """Report a million points, and replay them."""
    job = steady(client, "long")
    reporter = Reporter(Home(home), job.id, 1)
    values = {f"series{number}": 0.5 for number in range(10)}
    for first in range(1, 100_000, 2000):
        reporter.report([MetricsLine(step, 1.0, step, values) for step in range(first, first + 2000)])
    begun, points = time.perf_counter(), 0
    for event in client.watch(job.id):
        points += len(event.values) if isinstance(event, Metrics) else 0
        if points >= 1_000_000:
            break
    tell("replay of a million points (10 series), through the client", time.perf_counter() - begun, "s", "target 3")


def measure_restart(folder: Path) -> None:
    """From the start of a server to SERVING, with many finished jobs and 8 that run."""
    home = folder / "home"
    with served(home), Client(home=home) as client:
        first = client.submit(["true"])
        for _ in client.watch(first.id):
            pass
        for number in range(8):
            steady(client, f"running-{number}")
    multiply(home, first.id, 10_000)
    with served(home) as took, Client(home=home) as client:
        tell("start to SERVING with 10,000 finished and 8 running", took, "s", "target 2")
        assert client.info().running_jobs == 8
        cancel_all(client)


def multiply(home: Path, job_id: str, count: int) -> None:
    """Write *count* copies of a finished job into the database of a server that does not run."""
    database = apsw.Connection(str(home / "state.db"))
    columns = [
        row[1] for row in database.execute("PRAGMA table_info(jobs)") if row[1] not in ("number", "id", "request_id")
    ]
    names = ", ".join(columns)
    number = database.execute("SELECT number FROM jobs WHERE id = ?", (job_id,)).get
    with database:
        for copy in range(count):
            database.execute(
                f"INSERT INTO jobs (id, {names}) SELECT ?, {names} FROM jobs WHERE id = ?", (f"copy{copy}", job_id)
            )
            made = database.last_insert_rowid()
            database.execute("INSERT INTO events SELECT ?, cursor, event FROM events WHERE job = ?", (made, number))
    database.close()


def measure_crowd(folder: Path) -> None:
    """How long other calls take beside 200 watchers that never read and 1,000 idle ones."""
    home = folder / "home"
    with served(home), Client(home=home) as client:
        job = steady(client, "watched")
        reporter = Reporter(Home(home), job.id, 1)
        for first in range(1, 50_000, 1000):
            reporter.report([MetricsLine(step, 1.0, step, {"loss": 0.5}) for step in range(first, first + 1000)])
        metadata = (("authorization", f"Bearer {Home(home).token()}"),)
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.insecure_channel(Home(home).address() or "", options=options) for _ in range(20)]
        streams = []
        for number in range(1200):
            stub: Any = channels[number % 20].unary_stream(_WATCH, pb.WatchJobRequest.SerializeToString)
            cursor = 0 if number < 200 else 50_000
            streams.append(stub(pb.WatchJobRequest(job_id=job.id, cursor=cursor), metadata=metadata))
        time.sleep(3)
        times = []
        for _ in range(500):
            begun = time.perf_counter()
            client.get(job.id)
            times.append(time.perf_counter() - begun)
        tell("another call beside 200 unread and 1,000 idle streams, p50", percentile(times, 0.5), "ms")
        tell("  p99", percentile(times, 0.99), "ms", "target 50")
        for stream in streams:
            stream.cancel()
        cancel_all(client)


def measure_queue(folder: Path) -> None:
    """How long a scheduling decision takes with 10,000 jobs queued, seen as the time of asking why one waits."""
    home = folder / "home"
    with served(home), Client(home=home) as client:
        blocker = steady(client, "blocker")
        sweep = {"x": list(range(1000))}
        for _ in range(10):
            last = client.submit_sweep(["true"], sweep, after=[blocker.id]).jobs[-1]
        times = []
        for _ in range(30):
            begun = time.perf_counter()
            client.explain(last.id)
            times.append(time.perf_counter() - begun)
            time.sleep(0.02)
        tell("why a job waits, with 10,000 queued, p50", percentile(times, 0.5), "ms", "target 50")
        tell("  p99", percentile(times, 0.99), "ms")
        client.cancel(blocker.id)


def cancel_all(client: Client) -> None:
    """Leave no process behind."""
    for job in client.list(state=[JobState.RUNNING, JobState.STARTING]):
        client.cancel(job.id)


PARTS = {
    "submits": measure_submits,
    "slow-disk": measure_submits_on_a_slow_disk,
    "metrics": measure_metrics,
    "restart": measure_restart,
    "crowd": measure_crowd,
    "queue": measure_queue,
}


def main() -> None:
    """Measure what was asked for."""
    for name in sys.argv[1:] or PARTS:
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            PARTS[name](Path(folder))


if __name__ == "__main__":
    main()
