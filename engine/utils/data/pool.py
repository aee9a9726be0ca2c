"""The worker processes of one loader: starting them, hearing from them, noticing their death, ending them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
import warnings
import weakref
from collections.abc import Collection
from contextlib import suppress
from multiprocessing.connection import wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from .channel import Channel
from .worker import Epoch, Job, Stop, Task, run

_SECONDS_TO_FINISH = 5.0


class WorkerPool:
    """The processes that make batches for a loader; each answers its tasks in the order it got them.

    They end when the pool is closed, is garbage-collected, or its process dies.
    """

    def __init__(self, job: Job, context: BaseContext | None, timeout: float) -> None:
        start = context or _default_context()
        self.size = job.num_workers
        self.job = job
        self._begun = False
        self._timeout = timeout
        self._owed = [0] * self.size
        self._channels: list[Channel] = []
        self._processes: list[BaseProcess] = []
        self._finalizer = weakref.finalize(self, _end, os.getpid(), self._channels, self._processes)
        for worker in range(self.size):
            ours, theirs = Channel.pair()
            self._channels.append(ours)
            process: BaseProcess = start.Process(  # type: ignore[attr-defined]
                target=run, args=(theirs, job, worker, list(self._channels)), daemon=True
            )
            with warnings.catch_warnings():
                # Python 3.12 and later warn of forking beside threads; those of BLAS are idle and survive it.
                warnings.simplefilter("ignore", DeprecationWarning)
                process.start()
            theirs.close()
            self._processes.append(process)

    @property
    def closed(self) -> bool:
        """Whether the processes have been ended."""
        return not self._finalizer.alive

    def close(self) -> None:
        """End the processes: kindly, and after some seconds by force."""
        self._finalizer()

    def begin(self, base_seed: int) -> None:
        """Begin an epoch in every worker; the pool's first one seeds their generators.

        Batches of an earlier epoch that nobody waited for are thrown away.
        """
        while owing := [worker for worker, count in enumerate(self._owed) if count]:
            self.answer(owing)
        for worker in range(self.size):
            self._send(worker, Epoch(base_seed, first=not self._begun))
        self._begun = True

    def ask(self, worker: int, indices: Any) -> None:
        """Give a worker one more batch to make."""
        self._owed[worker] += 1
        self._send(worker, Task(indices))

    def answer(self, workers: Collection[int]) -> tuple[int, Any]:
        """Wait for the next reply of any of the given workers; return whose it is, and the reply.

        Raises:
            RuntimeError: one of them died, or none replied within the timeout.
        """
        by_source: dict[Any, int] = {self._channels[worker]: worker for worker in workers}
        sentinels = [self._processes[worker].sentinel for worker in workers]
        ready = wait([*by_source, *sentinels], self._timeout or None)
        for source in ready:
            if source in by_source:
                self._owed[by_source[source]] -= 1
                return by_source[source], self._receive(by_source[source])
        if not ready:
            for process in self._processes:
                process.terminate()
            self.close()
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        raise self._death(min(workers, key=lambda worker: self._processes[worker].is_alive()))

    def _send(self, worker: int, message: object) -> None:
        try:
            self._channels[worker].send(message)
        except OSError:
            raise self._death(worker) from None

    def _receive(self, worker: int) -> Any:
        try:
            return self._channels[worker].receive()
        except EOFError:
            raise self._death(worker) from None

    def _death(self, worker: int) -> RuntimeError:
        """Close the pool and describe how the worker ended."""
        process = self._processes[worker]
        process.join(_SECONDS_TO_FINISH)
        code, pid = process.exitcode, process.pid
        self.close()
        if code is not None and code < 0:
            how = f"is killed by signal: {signal.strsignal(-code)}"
        else:
            how = f"exited unexpectedly with exit code {code}"
        return RuntimeError(f"DataLoader worker (pid {pid}) {how}. Its own output, above, may say why")


def _default_context() -> BaseContext:
    """Fork where that is safe and was ever the default, so that datasets and functions need not be picklable."""
    return multiprocessing.get_context("fork" if sys.platform == "linux" else None)


def _end(owner: int, channels: list[Channel], processes: list[BaseProcess]) -> None:
    """Stop workers after the batch they are at; then terminate those that go on, then kill.

    Nothing is to be done in a forked child, whose siblings the workers are.
    """
    if os.getpid() != owner:
        return
    for channel in channels:
        with suppress(OSError):
            channel.send(Stop())
        channel.close()
    deadline = time.monotonic() + _SECONDS_TO_FINISH
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
    for force in (BaseProcess.terminate, BaseProcess.kill):
        for process in processes:
            if process.is_alive():
                force(process)
                process.join(1.0)
