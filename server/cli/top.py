"""``allgrad top``: a full-screen view of the server's jobs, their losses and a log."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

from ..errors import AllgradError, InvalidRequest, ServerUnreachable
from .connection import Connection, connection_options
from .job_ids import JobId

if TYPE_CHECKING:
    from ..client.client import Client
    from ..display.overview import Overview
    from ..display.progress import Progress

INTERRUPTED = 130
FOLLOWED = 16
"""Jobs whose losses are followed at once."""


@click.command(short_help="Show jobs, losses and a log on the full screen, live.")
@click.option("--job", type=JobId(), metavar="JOB", help="Show this one's log.  [default: the newest that runs]")
@click.option("--every", type=click.FloatRange(0.1), default=1.0, show_default=True, help="Seconds between looks.")
@connection_options
def top(job: str | None, every: float, connection: Connection) -> int:
    """Show the server's jobs, live, until Ctrl-C. What ends or breaks meanwhile is shown, never acted on."""
    from rich.console import Console
    from rich.live import Live

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
            with Live(console=console, screen=True, get_renderable=lambda: screen(overview, console)):
                while True:
                    time.sleep(every)
                    watching.look_again(client)
    except KeyboardInterrupt:
        return INTERRUPTED


class Watching:
    """Keeps an overview up to date; each job that runs is followed by a thread that dies with the command."""

    def __init__(self, connection: Connection, overview: Overview, wanted: str) -> None:
        self._connection = connection
        self._overview = overview
        self._wanted = wanted
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
        if shown != overview.shown:
            overview.shown = shown
            overview.log.clear()
            self._spawn(self._read, shown)

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

    def _read(self, client: Client, job_id: str) -> None:
        for chunk in client.logs(job_id, rank=0, follow=True):
            if self._overview.shown != job_id:
                return
            self._overview.log.extend(chunk.data.decode(errors="replace").splitlines())
