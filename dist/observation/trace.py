"""The timeline of a run: what every rank did when, on one clock, as a file that browsers and Perfetto show."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ..communication.agreement import agree
from ..failure import is_rank_process
from ..world import current
from . import clocks, spans
from .clocks import Reading
from .spans import Recording

_TRACKS = (spans.SCRIPT, spans.EXCHANGE)


@contextmanager
def trace(path: str | os.PathLike[str]) -> Iterator[None]:
    """Record what every rank does within this context, and write one timeline of it to *path*, on rank 0.

    All ranks enter and leave it together. The file is Chrome's trace format: open it in ui.perfetto.dev or
    chrome://tracing. Each rank is a process with two tracks: its script (forward and backward passes, collectives, what
    `span` names), and the reductions of gradients that go on meanwhile. The clocks of several hosts are brought
    together to within half the time of the quickest message between them, about 10 µs. At most a million spans a rank
    are kept.

    The environment variable ALLGRAD_TRACE=FILE, which ``allgrad run --trace FILE`` sets, does it for a whole run, from
    `init` to its end in good order.

    Raises RuntimeError if a timeline is being recorded already, and OSError where *path* cannot be written.

    >>> import json, pathlib, tempfile
    >>> from allgrad import dist
    >>> path = pathlib.Path(tempfile.mkdtemp(), "trace.json")
    >>> with dist.trace(path), dist.span("load"):
    ...     batch = list(range(8))
    >>> [event["name"] for event in json.loads(path.read_text())["traceEvents"] if event["ph"] == "X"]
    ['load']
    """
    running = _Trace(path)
    try:
        yield
    finally:
        running.stop()


_run: _Trace | None = None


def begin_run(path: str) -> None:
    """Record this run, which all ranks have just begun; `end_run` writes the timeline to *path*."""
    global _run
    if spans.recording() is None:
        _run = _Trace(path)


def end_run() -> None:
    """Write the timeline of the run that ends, unless this process is a child of the rank's."""
    global _run
    if _run is not None and is_rank_process():
        running, _run = _run, None
        running.stop()


class _Trace:
    """A timeline that is being recorded, from now until `stop`."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if spans.recording() is not None:
            raise RuntimeError(f"trace({os.fspath(path)!r}): a timeline is being recorded already; end that one first")
        self._path, self._world = Path(path), current()
        agree(self._world, "trace: begin")
        self._first = clocks.read_together(self._world.comm)
        self._recording = Recording()
        spans.record(self._recording)

    def stop(self) -> None:
        """Stop recording and, on rank 0, write what all ranks did."""
        spans.record(None)
        agree(self._world, "trace: end")
        last = clocks.read_together(self._world.comm)
        mine = socket.gethostname(), self._first, last, self._recording
        everyones = [mine] if self._world.comm is None else self._world.comm.gather(mine)
        if everyones is not None:
            self._path.write_text(json.dumps(timeline(everyones)), encoding="utf-8")


def timeline(ranks: Sequence[tuple[str, Reading, Reading, Recording]]) -> dict[str, Any]:
    """Return the recordings of all *ranks* (host, first and last reading of the clock, spans) in Chrome's trace format.

    Times are microseconds since the first span of all.
    """
    events: list[dict[str, Any]] = []
    for rank, (host, first, last, recording) in enumerate(ranks):
        events += _names(rank, host)
        for name, track, start, end in recording.spans:
            at = clocks.on_rank_0(start, first, last)
            place = {"pid": rank, "tid": _TRACKS.index(track)}
            events.append({"ph": "X", "name": name, **place, "ts": at / 1000, "dur": (end - start) / 1000})
    shown = [event for event in events if event["ph"] == "X"]
    beginning = min((event["ts"] for event in shown), default=0.0)
    for event in shown:
        event["ts"] -= beginning
    dropped = {f"rank {rank}": found.dropped for rank, (*_, found) in enumerate(ranks) if found.dropped}
    return {"traceEvents": events, "displayTimeUnit": "ms", "otherData": {"dropped spans": dropped}}


def _names(rank: int, host: str) -> list[dict[str, Any]]:
    """Return the events that name a rank and its tracks."""
    named = [("process_name", 0, {"name": f"rank {rank} on {host}"}), ("process_sort_index", 0, {"sort_index": rank})]
    named += [("thread_name", number, {"name": track}) for number, track in enumerate(_TRACKS)]
    return [{"ph": "M", "name": name, "pid": rank, "tid": track, "args": what} for name, track, what in named]
