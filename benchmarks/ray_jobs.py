"""Ray's job server, asked for the same as ours in server_start.py, which runs this in turn with its own measurements.

Run as `python benchmarks/ray_jobs.py PYTHON`, the Python of an environment with `ray[default]`. Prints the figures as JSON.
"""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from allgrad.server.supervisor import processes

_PATIENCE = 120.0
_TEN = """
import json, sys, time
from ray.job_submission import JobSubmissionClient
client = JobSubmissionClient(sys.argv[1])
begun = time.perf_counter()
jobs = [client.submit_job(entrypoint="true", entrypoint_num_cpus=1) for _ in range(10)]
submitted = time.perf_counter() - begun
while not all(client.get_job_status(job).is_terminal() for job in jobs):
    time.sleep(0.05)
print(json.dumps([submitted, time.perf_counter() - begun]))
"""


def main() -> None:
    """Measure and print."""
    print(json.dumps(dict(measure(Path(sys.argv[1])))))


def measure(python: Path) -> Iterator[tuple[str, float]]:
    """Yield each figure of a fresh server, run by the Ray beside *python*."""
    begun = time.perf_counter()
    with _served(python) as (address, members):
        yield "Ray: start until its job server answers, s", time.perf_counter() - begun
        time.sleep(1.0)
        alive = members()
        yield "Ray: idle, processes", len(alive)
        yield "Ray: idle, RSS MB", sum(_resident(each.pid) for each in alive)
        command = [str(python.with_name("ray")), "job", "submit", "--address", address, "--", "true"]
        begun = time.perf_counter()
        _run(command)
        yield "Ray: `ray job submit -- true`, followed to its end, s", time.perf_counter() - begun
        submitted, ended = json.loads(_run([str(python), "-c", _TEN, address]))
        yield "Ray: ten jobs of `true` on 2 slots, s", ended
        yield "Ray: submits per second, one client, not durable", 10 / submitted


@contextmanager
def _served(python: Path) -> Iterator[tuple[str, Callable[[], list[processes.Process]]]]:
    """Run Ray; yields the address of its job server, and what returns its processes."""
    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        port, *others = _free_ports(4)
        options = ("dashboard-port", "port", "ray-client-server-port", "dashboard-agent-listen-port")
        ports = [f"--{option}={free}" for option, free in zip(options, (port, *others), strict=True)]
        command = [str(python.with_name("ray")), "start", "--head", "--block", "--num-cpus=2", "--disable-usage-stats"]
        ray = subprocess.Popen(
            [*command, *ports, "--include-dashboard=true", f"--temp-dir={folder}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            _await_answer(f"http://127.0.0.1:{port}/api/jobs/")
            yield f"http://127.0.0.1:{port}", lambda: processes.descendants(ray.pid)
        finally:
            left = processes.descendants(ray.pid)
            ray.terminate()
            ray.wait()
            processes.end(lambda: [each for each in left if processes.find(each.pid) == each], 5.0)


def _await_answer(url: str) -> None:
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            assert time.monotonic() < deadline, f"{url} does not answer"
            time.sleep(0.02)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as probes:
        sockets = [probes.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def _run(command: list[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def _resident(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


if __name__ == "__main__":
    main()
