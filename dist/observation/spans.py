"""What this rank does when: spans of time, kept while somebody records them, and the time spent waiting for other ranks.

Times are nanoseconds of this host's monotonic clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

SCRIPT, EXCHANGE = "script", "gradients"
"""The tracks on which spans are shown: what the rank's program does, and the reductions that go on meanwhile."""
_MOST_SPANS = 1_000_000

now: Callable[[], int] = time.perf_counter_ns


@dataclass(slots=True)
class Recording:
    """The spans of one rank, as (name, track, start, end); at most a million, the rest only counted as *dropped*."""

    spans: list[tuple[str, str, int, int]] = field(default_factory=list)
    dropped: int = 0

    def add(self, name: str, track: str, start: int, end: int) -> None:
        """Keep one span."""
        if len(self.spans) < _MOST_SPANS:
            self.spans.append((name, track, start, end))
        else:
            self.dropped += 1


_recording: Recording | None = None
_waited = 0
_waiting_since: int | None = None


def record(recording: Recording | None) -> None:
    """Keep all spans in *recording* from now on; None for nowhere."""
    global _recording
    _recording = recording


def recording() -> Recording | None:
    """Return where spans are kept now."""
    return _recording


def add(name: str, track: str, start: int, end: int) -> None:
    """Keep a span that has ended, if somebody records."""
    if _recording is not None:
        _recording.add(name, track, start, end)


def waited() -> int:
    """Return for how long this rank has waited for others since its start, what it waits for now left out."""
    return _waited


class span:  # noqa: N801 -- used as a function
    """Within this context the rank does *name*, such as ``dist.span("load")``: a bar in the timeline of `trace`.

    Costs about a microsecond, whether somebody records or not.

    >>> from allgrad import dist
    >>> with dist.span("load"):
    ...     batch = list(range(8))
    """

    __slots__ = ("_name", "_start")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> Self:
        self._start = now()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        add(self._name, SCRIPT, self._start, now())


class waiting(span):  # noqa: N801
    """Within this context the rank does something with others, and so waits for them; of nested ones the outermost counts."""

    __slots__ = ("_outermost",)

    def __enter__(self) -> Self:
        global _waiting_since
        super().__enter__()
        self._outermost = _waiting_since is None
        if self._outermost:
            _waiting_since = self._start
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _waited, _waiting_since
        if self._outermost:
            super().__exit__(kind, error, trace)
            _waited += now() - self._start
            _waiting_since = None
