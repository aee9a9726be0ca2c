"""Processes as /proc shows them: who belongs to an attempt, who is still who, and how to end them all."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

JOB_TAG = "ALLGRAD_JOB_ID"
ATTEMPT_TAG = "ALLGRAD_ATTEMPT"
RUN_DIR = "ALLGRAD_RUN_DIR"
_RUN_DIR = f"{RUN_DIR}=".encode()
_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Process:
    """One process. Pid and start time (clock ticks since boot) name it for good; a pid alone does not."""

    pid: int
    start: int
    parent: int
    session: int
    name: str


def boot_id() -> str:
    """Return what names this run of the machine: start times of another run mean nothing."""
    return (_PROC / "sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def find(pid: int) -> Process | None:
    """Return the process *pid*, or None if there is none, or only a dead one that waits to be reaped."""
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    before, _, rest = text.rpartition(")")
    fields = rest.split()
    if fields[0] in "ZX":
        return None
    return Process(pid, int(fields[19]), int(fields[1]), int(fields[3]), before.partition("(")[2])


def owner(process: Process) -> int:
    """Return the number of the account that *process* runs under; -1 if it is gone."""
    try:
        lines = (_PROC / str(process.pid) / "status").read_text(encoding="utf-8", errors="replace").splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return -1
    return next(int(line.split()[1]) for line in lines if line.startswith("Uid:"))


def everything() -> list[Process]:
    """Return every living process."""
    found = (find(int(entry)) for entry in os.listdir(_PROC) if entry.isdigit())
    return [process for process in found if process is not None]


def descendants(root: int) -> list[Process]:
    """Return the living descendants of *root*, and the other members of its session."""
    processes = everything()
    family = {root}
    grown = True
    while grown:
        children = {process.pid for process in processes if process.parent in family} - family
        family |= children
        grown = bool(children)
    return [
        process for process in processes if process.pid != root and (process.pid in family or process.session == root)
    ]


def tagged(job_id: str, attempt: int) -> list[Process]:
    """Return the living processes whose environment says that they belong to the attempt."""
    tags = {f"{JOB_TAG}={job_id}".encode(), f"{ATTEMPT_TAG}={attempt}".encode()}
    return [process for process in everything() if tags <= _environment(process.pid)]


def started_ranks(job_id: str, attempt: int) -> list[Process]:
    """Return those of the attempt's processes that the launcher has started, so not its supervisor."""
    found = tagged(job_id, attempt)
    return [process for process in found if any(entry.startswith(_RUN_DIR) for entry in _environment(process.pid))]


def tagged_under(folder: str) -> list[tuple[Process, str]]:
    """Return every living process of an attempt whose folder lies under *folder*, with its job id."""
    found = []
    for process in everything():
        environment = dict(entry.partition("=")[::2] for entry in map(os.fsdecode, _environment(process.pid)))
        if environment.get(RUN_DIR, "").startswith(folder + "/") and JOB_TAG in environment:
            found.append((process, environment[JOB_TAG]))
    return found


def _environment(pid: int) -> set[bytes]:
    try:
        return set((_PROC / str(pid) / "environ").read_bytes().split(b"\0"))
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return set()


def send(process: Process, number: signal.Signals) -> bool:
    """Send a signal to exactly this process; return False if it is gone, even if its pid lives on."""
    try:
        handle = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        now = find(process.pid)
        if now is None or now.start != process.start:
            return False
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(handle)
    return True


def end(
    members: Callable[[], Iterable[Process]],
    grace: float,
    *,
    spare: Callable[[Process], bool] = lambda _: False,
    meanwhile: Callable[[], object] = lambda: None,
) -> None:
    """End all *members*, asked for again and again until there are none: SIGTERM, *grace* seconds, SIGKILL.

    Those to *spare* get no SIGTERM: a launcher ends by itself once its ranks have, and would not leave them
    the whole grace if it were asked. *meanwhile* is called between looks and after the last one, to reap.
    """
    deadline = time.monotonic() + grace
    asked: set[tuple[int, int]] = set()
    pause = 0.01
    while True:
        meanwhile()
        alive = list(members())
        if not alive:
            meanwhile()  # one may have died since it was called
            return
        late = time.monotonic() >= deadline
        for process in alive:
            if late:
                send(process, signal.SIGKILL)
            elif (process.pid, process.start) not in asked and not spare(process):
                asked.add((process.pid, process.start))
                send(process, signal.SIGTERM)
        time.sleep(pause)
        pause = min(2 * pause, 0.1)
