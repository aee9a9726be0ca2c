"""When a client asks again after a failure, and how long it waits before: the same rules for both kinds of client."""

from __future__ import annotations

import time
from typing import Final

from ..errors import AllgradError, ServerUnreachable

FIRST_PAUSE: Final = 0.05
"""Seconds before the first attempt to reconnect; doubled each time, up to LONGEST_PAUSE."""
LONGEST_PAUSE: Final = 1.0


class CallTries:
    """The tries of a call: a few, if the server has answered this client before or has come back elsewhere."""

    def __init__(self, *, answered: bool) -> None:
        self._answered = answered
        self._pause = FIRST_PAUSE

    def pause_after(self, error: AllgradError, moved: bool) -> float:
        """Return the seconds to wait before the next try, or raise *error*."""
        lost = isinstance(error, ServerUnreachable)
        if not lost or not (moved or (self._answered and self._pause < LONGEST_PAUSE)):
            raise error
        pause, self._pause = self._pause, 2 * self._pause
        return pause


class StreamTries:
    """The tries of a stream: for *patience* seconds after each loss, if the server has ever answered this client."""

    def __init__(self, patience: float, *, answered: bool) -> None:
        self._patience = patience
        self._give_up_at = float("inf") if answered else 0.0
        self._pause = FIRST_PAUSE

    def note_answer(self) -> None:
        """Something has come: the next loss is a new one."""
        self._give_up_at, self._pause = float("inf"), FIRST_PAUSE

    def pause_after(self, error: AllgradError, moved: bool) -> float:
        """Return the seconds to wait before the next try, or raise *error*."""
        if not isinstance(error, ServerUnreachable):
            raise error
        now = time.monotonic()
        self._give_up_at = min(self._give_up_at, now + self._patience)
        if not moved and now >= self._give_up_at:
            raise error
        pause, self._pause = self._pause, min(2 * self._pause, LONGEST_PAUSE)
        return pause
