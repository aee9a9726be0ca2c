"""When a running job has been silent for too long, by its own rhythm or by the limit that it was given; pure."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence

from .alerts import SILENT

LEAST = 300.0
"""Seconds of silence that are never a stall, unless a job says otherwise."""
FACTOR = 10.0
"""A stall is a silence of so many times the longest pause of late."""
_RECENT = 50
"""Pauses between reports that count as of late."""
_KNOWN = 3
"""Pauses from which on a rhythm is known."""


class Rhythm:
    """How often one attempt reports.

    Pauses are measured by the times that its reports bear, so that those of an outage, which come all at once, count as they
    were made; silence by *now*, seconds of a clock that never jumps. *limit* are the seconds of silence after which the job
    itself wants to be called stalled, from its start on (0: never, None: by its rhythm); *least* those of the server (0: never).
    """

    def __init__(self, limit: float | None, least: float, now: float) -> None:
        self._limit = limit
        self._least = least
        self._heard = now
        self._last: float | None = None
        self._pauses: deque[float] = deque(maxlen=_RECENT)
        self._told = False

    @property
    def patience(self) -> float:
        """The seconds of silence after which the job counts as stalled."""
        if self._limit is not None:
            return self._limit or math.inf
        if not self._least or len(self._pauses) < _KNOWN:
            return math.inf
        return max(self._least, FACTOR * max(self._pauses))

    def hear(self, times: Sequence[float], now: float) -> str:
        """Take note of reports made at *times*; return what to tell, if a stall has ended, or ""."""
        for when in times:
            if self._last is not None:
                self._pauses.append(max(0.0, when - self._last))
            self._last = when
        silence, self._heard = now - self._heard, now
        ended, self._told = self._told, False
        return f"it reports again, after {_words(silence)}" if ended else ""

    def overdue(self, now: float) -> str:
        """Return what to tell, if the job counts as stalled and that was not told yet, or ""."""
        silence = now - self._heard
        if self._told or silence < self.patience:
            return ""
        self._told = True
        usual = f", and before at the latest every {_words(max(self._pauses))}" if self._pauses else ""
        return f"{SILENT} for {_words(silence)}{usual}"

    def untell(self) -> None:
        """Forget that the stall was told: it could not be."""
        self._told = False

    def __repr__(self) -> str:
        return f"Rhythm({len(self._pauses)} pauses, patience={self.patience:g} s)"


def _words(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
