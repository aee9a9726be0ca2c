"""How fast and how small the server is: start to SERVING, one job from end to end, its supervisor, durable submits.

Run as `python benchmarks/server_start.py [REPEATS] [--ray PYTHON]`. Prints the median and the range of each figure.
With the Python of an environment where `ray[default]` is installed, Ray's job server is asked for the same, in turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from allgrad.server import Client, JobState
from allgrad.server.supervisor import processes

_SERVE = "import sys; from allgrad.server import serve; serve(sys.argv[1], port=0, slots=2)"
_FOLLOW = (
    "import sys; from allgrad.server import Client; client = Client(home=sys.argv[1]); "
    "print(list(client.watch(client.submit(sys.argv[2:]).id))[-1].state)"
)
_REPORTING = Path(__file__).parents[1] / "tests" / "server" / "programs" / "reporting.py"
SUBMITS = 200


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("repeats", nargs="?", type=int, default=5)
    parser.add_argument("--ray", type=Path, metavar="PYTHON")
    asked = parser.parse_args()
    figures: dict[str, list[float]] = {}
    for _ in range(asked.repeats):
        with tempfile.TemporaryDirectory() as folder:
            for name, value in measure(Path(folder)):
                figures.setdefault(name, []).append(value)
        for name, value in peer(asked.ray) if asked.ray else ():
            figures.setdefault(name, []).append(value)
    for name, values in figures.items():
        print(f"{name:54} {statistics.median(values):8.3f}  ({min(values):.3f} to {max(values):.3f})")


def measure(home: Path) -> Iterator[tuple[str, float]]:
    """Yield each figure, from one fresh server on *home*."""
    begun = time.perf_counter()
    with served(home) as server:
        yield "start to SERVING, s (target 1.0)", time.perf_counter() - begun
        time.sleep(0.3)
        yield "idle server, RSS MB (target 80)", resident(server.pid)
        for argv in (["true"], ["sh", "-c", "exit 0"]):
            yield (
                f"submit and follow {argv[0]} in a new process, s (target 2.0)",
                timed(partial(follow, home, argv)),
            )
        yield "`allgrad submit --follow true`, s (target 1.5)", timed(partial(submit, home))
        with Client(home=home) as client:
            yield "supervisor of a job that reports nothing, RSS MB", supervisor(client, ["sleep", "60"])
            yield (
                "supervisor of a job that reports, RSS MB",
                supervisor(client, [str(_REPORTING), "600", "0.1"]),
            )
            yield "ten jobs of `true` on 2 slots, s", timed(lambda: ten(client))
            took = timed(lambda: [client.submit(["true"]) for _ in range(SUBMITS)])
            yield "durable submits per second, one client", SUBMITS / took
            for job in client.list():
                client.cancel(job.id)


def peer(python: Path) -> Iterator[tuple[str, float]]:
    """Yield what Ray's job server takes for the same."""
    script = Path(__file__).with_name("ray_jobs.py")
    done = subprocess.run([sys.executable, script, python], stdout=subprocess.PIPE, text=True, check=True)
    yield from json.loads(done.stdout).items()


@contextmanager
def served(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Run a server on *home*; it serves when this is entered."""
    command = [sys.executable, "-c", _SERVE, str(home)]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    assert "serves at" in server.stdout.readline()
    try:
        yield server
    finally:
        server.terminate()
        server.communicate()


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that *work* takes."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def follow(home: Path, argv: list[str]) -> None:
    """Submit a job from a fresh Python process and follow it to its end, as the command line does."""
    done = subprocess.run([sys.executable, "-c", _FOLLOW, str(home), *argv], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == JobState.SUCCEEDED, done.stdout


def submit(home: Path) -> None:
    """Submit a job and follow it to its end by the command line."""
    command = [str(Path(sys.executable).with_name("allgrad")), "submit", "--home", str(home), "--follow", "true"]
    subprocess.run(command, capture_output=True, check=True)


def supervisor(client: Client, argv: list[str]) -> float:
    """Return the resident megabytes of a job's supervisor, a second after its start."""
    job = client.submit(argv)
    time.sleep(1.0)
    oldest = min(processes.tagged(job.id, 1), key=lambda process: process.start)
    size = resident(oldest.pid)
    client.cancel(job.id)
    for _ in client.watch(job.id):
        pass
    return size


def ten(client: Client) -> None:
    """Submit ten jobs at once and wait for all."""
    for job in [client.submit(["true"]) for _ in range(10)]:
        for _ in client.watch(job.id):
            pass


def resident(pid: int) -> float:
    """Return the resident megabytes of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
