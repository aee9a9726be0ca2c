"""``allgrad top``: a full-screen view of the server's jobs, their losses and a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import click

from ..errors import AllgradError, InvalidRequest, ServerUnreachable
from .connection import Connection, connection_options
from .job_ids import JobId

if TYPE_CHECKING:
    from rich.live import Live

    from ..client.client import Client
    from ..display.keys import Keys
    from ..display.overview import Overview
    from ..display.progress import Progress

INTERRUPTED = 130
FOLLOWED = 16
"""Jobs whose losses are followed at once."""
SETTLED = 0.2
"""Seconds without a key after which the log of the job that was gone to is asked for."""
_MOVES = {"up": -1, "k": -1, "down": 1, "j": 1}


@click.command(short_help="Show jobs, losses and a log on the full screen, live.")
@click.option("--job", type=JobId(), metavar="JOB", help="Show this one's log.  [default: the newest that runs]")
@click.option("--every", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between looks.")
@connection_options
def top(job: str | None, every: float, connection: Connection) -> int:
    """Show the server's jobs, live, until q or Ctrl-C. What ends or breaks meanwhile is shown, never acted on.

    The arrows (or j and k) go to another job, whose log is shown from then on.
    """
    from rich.console import Console
    from rich.live import Live

    from ..display.keys import Keys
    from ..display.live import can_draw
    from ..display.overview import Overview, screen

    if not can_draw():
        raise InvalidRequest("cannot draw", "standard output is no terminal", "use: allgrad list --json")
    console = Console(highlight=False)
    overview = Overview()
    watching = Watching(connection, overview, job or "")
    try:
        with connection.open() as client:
            watching.look(client)
            drawing = Live(console=console, screen=True, get_renderable=lambda: screen(overview, console))
            with Keys() as keys, drawing:
                while _moved(watching, keys, drawing, every):
                    watching.look_again(client)
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _moved(watching: Watching, keys: Keys, drawing: Live, seconds: float) -> bool:
    """Obey keys for so long, or until shortly after the last move; return whether to go on."""
    due = time.monotonic() + seconds
    while (left := due - time.monotonic()) > 0:
        key = keys.next(left)
        if key == "q":
            return False
        if key in _MOVES:
            watching.move(_MOVES[key])
            drawing.refresh()
            due = time.monotonic() + min(seconds, SETTLED)
    return True


class Watching:
    """Keeps an overview up to date; each job that runs is followed by a thread that dies with the command."""

    def __init__(self, connection: Connection, overview: Overview, wanted: str) -> None:
        self._connection = connection
        self._overview = overview
        self._wanted = wanted
        self._reading = ""
        self._turn = 0
        self._progress: dict[str, Progress] = {}
        overview.progress = self._progress

    def look(self, client: Client) -> None:
        """Ask for the jobs, and follow those that are new."""
        from ..display.progress import Progress

        overview = self._overview
        overview.info = client.info()
        jobs, _ = client.page(page_size=100)
        overview.jobs = sorted(jobs, key=lambda job: (not job.state.holds_slots, job.state.terminal, -job.created))
        for job in overview.jobs[:FOLLOWED]:
            if job.id not in self._progress:
                self._progress[job.id] = Progress.of(job)
                self._spawn(self._follow, job.id)
        running = [job.id for job in overview.jobs if job.state.holds_slots]
        shown = self._wanted or (overview.shown if overview.shown in running else next(iter(running), overview.shown))
        overview.shown = shown
        if shown != self._reading:
            self._reading = shown
            self._turn += 1
            overview.log.clear()
            self._spawn(partial(self._read, self._turn), shown)

    def move(self, steps: int) -> None:
        """Go to the job so many lines below the one that is shown; its log comes with the next look."""
        ids = [job.id for job in self._overview.jobs]
        if ids:
            at = ids.index(self._overview.shown) + steps if self._overview.shown in ids else 0
            self._wanted = self._overview.shown = ids[min(max(at, 0), len(ids) - 1)]

    def look_again(self, client: Client) -> None:
        """The same, through outages."""
        try:
            self.look(client)
        except ServerUnreachable as error:
            self._overview.trouble = error.what
        else:
            self._overview.trouble = ""

    def _spawn(self, work: Callable[[Client, str], None], job_id: str) -> None:
        threading.Thread(target=self._quietly, args=(work, job_id), daemon=True).start()

    def _quietly(self, work: Callable[[Client, str], None], job_id: str) -> None:
        try:
            with self._connection.open() as client:
                work(client, job_id)
        except AllgradError as error:
            self._overview.trouble = error.what

    def _follow(self, client: Client, job_id: str) -> None:
        for event in client.watch(job_id):
            self._progress[job_id].absorb(event)

    def _read(self, turn: int, client: Client, job_id: str) -> None:
        from ..display.overview import LOG_LINES

        for chunk in client.logs(job_id, rank=0, follow=True, tail=LOG_LINES):
            if turn != self._turn:
                return
            self._overview.log.extend(chunk.data.decode(errors="replace").splitlines())
