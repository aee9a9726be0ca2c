"""Sends the journal of an attempt until all of it is acknowledged, through outages and restarts."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..home import Home
from .attempt import Order, RunDir
from .journal import Line

if TYPE_CHECKING:
    from .reporting import Reporter

TICK = 0.05
"""Seconds between looks at the journal."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
LINGER = 20.0
"""Seconds that it goes on trying after the ranks have ended; what is left, the server reads by itself."""


class Sender:
    """A thread that follows one journal. gRPC is loaded when there is a first line to send."""

    def __init__(self, order: Order, run: RunDir) -> None:
        self._order = order
        self._reader = run.reports(order)
        self._ended = threading.Event()
        self._give_up_at = float("inf")
        self._reporter: Reporter | None = None
        self._thread = threading.Thread(target=self._follow, name="sender", daemon=True)

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    def finish(self) -> None:
        """Send what remains, now that nothing more will be written; give up after LINGER seconds."""
        self._give_up_at = time.monotonic() + LINGER
        self._ended.set()
        self._thread.join()

    def _follow(self) -> None:
        while True:
            over = self._ended.is_set()
            lines = self._reader.read()
            if lines and not self._deliver(lines):
                return
            if not lines:
                if over:
                    return
                self._ended.wait(TICK)

    def _deliver(self, lines: Sequence[Line]) -> bool:
        """Send until acknowledged; return False if that will never be."""
        import grpc  # kept out of a supervisor whose ranks report nothing

        from .reporting import Reporter, refused

        pause = FIRST_PAUSE
        while time.monotonic() < self._give_up_at:
            try:
                if self._reporter is None:
                    home = Home(Path(self._order.home))
                    self._reporter = Reporter(home, self._order.job_id, self._order.attempt)
                self._reporter.report(lines)
            except grpc.RpcError as error:
                if refused(error):
                    print(f"the server refuses records of {self._order.job_id}: {error}", file=sys.stderr)
                    return False
                self._reporter = None
                self._ended.wait(pause)
                if self._ended.is_set():
                    time.sleep(FIRST_PAUSE)
                pause = min(2 * pause, LONGEST_PAUSE)
            else:
                return True
        return False
