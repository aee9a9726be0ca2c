"""The supervisor of an attempt whose ranks Slurm or Kubernetes start: hands it over, looks at it until it has ended, records how.

Beside the ranks the same supervisor runs as on the server's own machine (shim.py), with its records in the same folder,
which all machines share; this one stays with the server, and whatever becomes of it, another one goes on in its place.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from ..errors import AllgradError
from ..jobs.job import LAUNCHER_LOG
from ..jobs.spec import FailureKind, LauncherKind
from ..launchers.batch import BatchSystem, Phase, Sighting, Task, Unavailable
from . import processes
from .attempt import Exit, Order, RunDir
from .sender import Sender
from .tensorboard import FOLDER, EventFile

TICK = 0.2
INSIDE = "--inside"
"""Tells a supervisor that it runs beside the ranks."""
_MARGIN = 15.0
"""Seconds beside the grace after which what was asked to end is ended with everything that it has."""
_LOOKS = (0.5, 5.0)
"""Seconds between looks at the system: at first, and in the end."""
_SETTLING = 10.0
"""Seconds that a record may take to come over a file system that machines share."""
_WAKERS = {signal.SIGTERM, signal.SIGINT}
Answer = TypeVar("Answer")


def system_of(order: Order) -> BatchSystem:
    """Return what starts the ranks of *order*."""
    if order.launcher is LauncherKind.SLURM:
        from ..launchers.slurm import Slurm

        return Slurm()
    from ..launchers.kubernetes.mpijobs import MPIJobs

    return MPIJobs(order.place)


def task_of(order: Order, run: RunDir) -> Task:
    """Return *order* as such a system gets it."""
    own = (processes.JOB_TAG, processes.ATTEMPT_TAG)
    return Task(
        name=f"allgrad-{order.job_id}-{order.attempt}",
        argv=(sys.executable, "-P", "-m", "allgrad.server.supervisor.shim", str(run.path), INSIDE),
        ranks=order.ranks,
        threads=order.threads,
        folder=str(run.path),
        log=str(run.log(LAUNCHER_LOG)),
        max_runtime=order.max_runtime,
        grace=order.grace,
        env=dict(zip(own, (order.job_id, str(order.attempt)), strict=True)),
        options=order.launcher_options,
        place=order.place,
    )


def sweep(run: RunDir) -> None:
    """End what an attempt may still have in its system, and return once that is gone, however long it takes."""
    order = run.order()
    system = system_of(order)
    handle = run.handle() or _insist(lambda: system.find(task_of(order, run)))
    while handle and _insist(lambda: system.look(handle)).phase in (Phase.WAITING, Phase.RUNNING):
        _insist(lambda: system.end(handle, gently=False))
        time.sleep(_LOOKS[0])


class BatchSupervisor:
    """Accompanies one attempt in a system of its own."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._inside = RunDir(run.path, inside=True)
        self._order = run.order()
        self._asked: float | None = None
        self._forced = False
        self._delay = ""
        folder = Path(self._order.output_dir, FOLDER)
        self._events = EventFile(run.journal, folder, self._order.attempt) if self._order.tensorboard else None

    @cached_property
    def _system(self) -> BatchSystem:
        return system_of(self._order)

    def __repr__(self) -> str:
        return f"BatchSupervisor({self._order.job_id}, attempt {self._order.attempt})"

    def supervise(self) -> None:
        """Hand the attempt over unless it has been, wait for its end or for the order to end it, and record it."""
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAKERS)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self._run.note_supervisor(os.getpid(), self._inside.started())
        sender = Sender(self._order, self._run)
        sender.start()
        try:
            ended = self._conclude(self._accompany(self._handle()))
        except AllgradError as error:
            ended = Exit(127, f"cannot start: {error}", False, time.time())
        self._run.note_exit(ended)
        if self._events is not None:
            self._events.close()
        sender.finish()

    def _handle(self) -> str:
        """Return under which name the system has the attempt; of a supervisor before this one if there was one."""
        task = task_of(self._order, self._run)
        handle = self._run.handle() or self._patiently(lambda: self._system.find(task))
        handle = handle or self._patiently(lambda: self._system.submit(task))
        self._run.note_handle(handle)
        return handle

    def _patiently(self, ask: Callable[[], Answer]) -> Answer:
        while True:
            try:
                return ask()
            except Unavailable as error:
                self._tell_delay(f"{self._order.launcher} does not answer: {error}")
                self._pause(_LOOKS[1])

    def _accompany(self, handle: str) -> Sighting:
        """Look at the attempt until it has ended; return how the system saw that."""
        pause, due = _LOOKS[0], 0.0
        while True:
            if self._inside.exit() is not None or self._asked is not None:
                pause = _LOOKS[0]
            if time.monotonic() >= due:
                seen = self._look(handle)
                due = time.monotonic() + pause
                pause = min(1.3 * pause, _LOOKS[1])
                if seen is not None and seen.phase in (Phase.ENDED, Phase.FORGOTTEN):
                    return seen
                if self._asked is not None and seen is not None:
                    self._end(handle, seen.phase)
            self._note_start()
            if self._events is not None:
                self._events.update()
            if self._pause(TICK):
                due = 0.0

    def _look(self, handle: str) -> Sighting | None:
        """Return what the system says, or None if it does not answer: then nothing follows."""
        try:
            seen = self._system.look(handle)
        except Unavailable as error:
            self._tell_delay(f"{self._order.launcher} does not answer: {error}")
            return None
        if seen.phase is Phase.WAITING or (seen.phase is Phase.RUNNING and self._run.started() is None):
            self._tell_delay(seen.words)
        return seen

    def _pause(self, seconds: float) -> bool:
        """Wait, and take note if somebody wants the attempt to end; return whether somebody does."""
        woken = signal.sigtimedwait(_WAKERS, seconds)
        if woken is not None and self._asked is None:
            self._asked = time.monotonic()
            return True
        return False

    def _note_start(self) -> None:
        if self._run.started() is None and (started := self._inside.started()) is not None:
            self._run.note_supervisor(os.getpid(), started)

    def _tell_delay(self, reason: str) -> None:
        if reason != self._delay:
            self._delay = reason
            self._run.note_delay(reason)

    def _end(self, handle: str, phase: Phase) -> None:
        """Ask what runs to end, once; end what waits, or has had its time."""
        assert self._asked is not None
        late = time.monotonic() > self._asked + self._order.grace + _MARGIN
        try:
            self._inside.ask_to_stop()
            if phase is Phase.WAITING or late:
                self._system.end(handle, gently=False)
            elif not self._forced:
                self._system.end(handle, gently=True)
                self._forced = True
        except Unavailable:
            return  # it is asked again after the next look

    def _conclude(self, seen: Sighting) -> Exit:
        inside = self._settled(seen)
        self._note_start()
        stopped = self._asked is not None
        notes = list(inside.notes) if inside else []
        finished = inside.finished if inside else time.time()
        if inside is not None and (stopped or (not inside.stopped and seen.kind is None)):
            return Exit(inside.exit_code, inside.reason, stopped, finished, notes, inside.kind)
        if seen.cancelled and not stopped:
            return Exit(0 if self._run.started() else None, seen.words, True, finished, [*notes, seen.words])
        if stopped and self._run.started() is None:
            return Exit(None, "", True, finished)
        kind = seen.kind or FailureKind.EXIT_CODE
        code = {FailureKind.TIMEOUT: 124, FailureKind.OUT_OF_MEMORY: 137}.get(kind, seen.exit_code or 1)
        reason = seen.words if seen.kind else f"{seen.words}{self._last_words()}"
        return Exit(code, reason, stopped, finished, notes, kind)

    def _settled(self, seen: Sighting) -> Exit | None:
        """Return the record that was made beside the ranks, if one was."""
        deadline = time.monotonic() + (_SETTLING if self._inside.started() is not None and seen.kind is None else 0.0)
        while (ended := self._inside.exit()) is None and time.monotonic() < deadline:
            time.sleep(TICK)
        return ended

    def _last_words(self) -> str:
        try:
            text = self._run.log(LAUNCHER_LOG).read_text(encoding="utf-8", errors="replace")[-1 << 14 :]
        except FileNotFoundError:
            return ""
        return next((f": {line.strip()}" for line in reversed(text.splitlines()) if line.strip("-= ")), "")


def _insist(ask: Callable[[], Answer]) -> Answer:
    while True:
        try:
            return ask()
        except Unavailable:
            time.sleep(_LOOKS[1])
