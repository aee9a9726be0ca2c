"""The server's hold on supervisor processes: starting one, finding it again, waiting for it, stopping it."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping

from .. import failpoints, open_files
from ..supervisor import processes
from ..supervisor.attempt import Order, RunDir

_KEPT_BACK = ("ALLGRAD_TOKEN", failpoints.VARIABLE)
"""What jobs do not inherit from the server's environment."""


class Supervised:
    """A living supervisor, held by a pidfd, which cannot come to mean another process."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        self.pid = pid
        self._child = child
        self._handle = os.pidfd_open(pid)

    def stop(self) -> None:
        """Ask it to end its attempt; nothing happens if it is gone."""
        try:
            signal.pidfd_send_signal(self._handle, signal.SIGTERM)
        except ProcessLookupError:
            return

    async def gone(self) -> None:
        """Wait until it has ended."""
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        loop.add_reader(self._handle, _settle, ended)
        try:
            await ended
        finally:
            loop.remove_reader(self._handle)
        if self._child is not None:
            self._child.wait()

    @property
    def alive(self) -> bool:
        """Whether it has not ended yet."""
        return processes.find(self.pid) is not None

    def close(self) -> None:
        """Let it go; it lives on."""
        os.close(self._handle)
        if self._child is not None:
            self._child.returncode = self._child.returncode or 0

    def __repr__(self) -> str:
        return f"Supervised(pid={self.pid}, {'adopted' if self._child is None else 'child'})"


def _settle(ended: asyncio.Future[None]) -> None:
    if not ended.done():
        ended.set_result(None)


def start(run: RunDir, order: Order) -> Supervised:
    """Start a supervisor for *order*: in its own session, without pipes, so that it outlives this process.

    Raises OSError where the system refuses; then there is none.
    """
    run.prepare(order)
    with run.supervisor_log.open("ab") as log:
        child = subprocess.Popen(
            [sys.executable, "-P", "-m", "allgrad.server.supervisor.shim", str(run.path)],
            env=_environment(order),
            cwd=run.path,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        open_files.give_back_limit(child.pid)
        return Supervised(child.pid, child)
    except OSError:
        child.kill()
        child.wait()
        raise


def find(run: RunDir, job_id: str, attempt: int) -> Supervised | None:
    """Return the supervisor of an attempt that an earlier server started, or None if it is not alive."""
    process = run.supervisor()
    if process is None and run.started() is None:
        # It may not have got so far as to write its pid down: then it is the oldest process of the attempt.
        process = min(processes.tagged(job_id, attempt), key=lambda found: found.start, default=None)
    if process is None:
        return None
    try:
        return Supervised(process.pid)
    except ProcessLookupError:
        return None


def _environment(order: Order) -> Mapping[str, str]:
    inherited = {name: value for name, value in os.environ.items() if name not in _KEPT_BACK}
    return inherited | {processes.JOB_TAG: order.job_id, processes.ATTEMPT_TAG: str(order.attempt)}
