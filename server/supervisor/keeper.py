"""Keeps the ranks of an attempt on another host: ``python -m allgrad.server.supervisor.keeper JOB ATTEMPT GRACE PATIENCE``.

The supervisor starts it there over ssh and says `beat` again and again, which it answers. When it is told `end GRACE`, or has heard
nothing for PATIENCE seconds, it ends every process of the attempt on its host. So no rank outlives its supervisor by
more, whatever became of that, of its machine, or of the network between.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import time
from functools import partial
from pathlib import Path

from . import processes

BEAT = "beat"
END = "end"
ENDED = "ended"
_EVERY = 0.5
_MODULE = b"allgrad.server.supervisor.keeper"


def main() -> None:
    """Keep the attempt that the arguments name."""
    job_id, attempt = sys.argv[1], int(sys.argv[2])
    grace, patience = float(sys.argv[3]), float(sys.argv[4])
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    told = _time_to_end(patience)
    if told is not None or not _relieved():
        ranks = partial(processes.started_ranks, job_id, attempt)
        processes.end(ranks, grace if told is None else told, meanwhile=_Beats().keep_up)
        _say(ENDED)


class _Beats:
    """Beats while there is something else to do."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def keep_up(self) -> None:
        """Beat if it is time to."""
        if time.monotonic() - self._last > _EVERY:
            self._last = time.monotonic()
            _say(BEAT)


def _time_to_end(patience: float) -> float | None:
    """Answer what the supervisor says until it says `end`; return the grace, or None once it has been silent for too long."""
    deadline = time.monotonic() + patience
    rest = b""
    with selectors.DefaultSelector() as selector:
        selector.register(0, selectors.EVENT_READ)
        while (left := deadline - time.monotonic()) > 0:
            if not selector.get_map():
                time.sleep(left)
            elif selector.select(left):
                data = os.read(0, 1 << 12)
                if not data:
                    selector.unregister(0)
                *words, rest = (rest + data).split(b"\n")
                for word in words:
                    if word.startswith(END.encode()):
                        return float(word.split()[1])
                if words:
                    deadline = time.monotonic() + patience
                    _say(BEAT)
    return None


def _relieved() -> bool:
    """Return whether the supervisor has come back since, and has a younger keeper here."""
    own = processes.find(os.getpid())
    assert own is not None
    words = [_MODULE, *map(os.fsencode, sys.argv[1:3])]
    younger = (each for each in processes.everything() if (each.start, each.pid) > (own.start, own.pid))
    return any(words == _command_of(each.pid)[-5:-2] for each in younger)


def _command_of(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:-1]
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return []


def _say(word: str) -> None:
    try:
        os.write(1, word.encode() + b"\n")
    except OSError:  # nobody listens any more, which the silence will tell
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


if __name__ == "__main__":
    main()
