"""The whole server on one screen: its slots, its jobs with their losses, and what one of them prints."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from ..jobs.job import Job, ServerInfo
from .colours import COLOURS
from .progress import Progress
from .series import ASCII_BARS, BARS, short, sparkline
from .tables import NAME_WIDTH, printable, running_time, shortened

LOG_LINES = 200


@dataclass
class Overview:
    """What is known of a server at this moment; threads fill it, drawing reads it."""

    info: ServerInfo | None = None
    jobs: Sequence[Job] = ()
    progress: Mapping[str, Progress] = field(default_factory=dict)
    shown: str = ""
    """The job whose log is shown."""
    log: deque[str] = field(default_factory=lambda: deque(maxlen=LOG_LINES))
    trouble: str = ""
    """Why what is shown may be old."""


def screen(overview: Overview, console: Console) -> RenderableType:
    """Everything there is to see, as wide and high as *console*."""
    room = console.height - 4
    rows = min(len(overview.jobs), max(3, room * 2 // 3))
    bars = BARS if console.encoding.lower().startswith("utf") else ASCII_BARS
    below = next((number for number, job in enumerate(overview.jobs) if job.id == overview.shown), 0) + 1
    jobs = overview.jobs[max(0, below - rows) :][:rows]  # such that the one whose log is shown is among them
    parts: list[RenderableType] = [_head(overview, bars), _jobs(overview, jobs, console.width, bars)]
    left = room - rows - 1
    if overview.shown and left >= 3:
        lines = [printable(line) for line in list(overview.log)[-(left - 2) :]]
        text = Text("\n".join(lines), no_wrap=True, overflow="ellipsis")
        parts.append(Panel(text, title=f"log of {overview.shown}", height=left, border_style="dim"))
    return Group(*parts)


def _head(overview: Overview, bars: str) -> Text:
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("allgrad", style="bold")
    if info := overview.info:
        text.append(f"  {info.slots - info.free_slots} of {info.slots} slots in use")
        for host in info.hosts:
            text.append(f", {host.slots - host.free_slots} of {host.slots} on {host.name}")
        text.append(f"  {info.running_jobs} running, {info.queued_jobs} queued")
    text.append(f"  {'↑ ↓' if bars is BARS else 'j k'} another job, q leaves", style="dim")
    if overview.trouble:
        text.append(f"  {overview.trouble}", style="red")
    return text


def _jobs(overview: Overview, jobs: Sequence[Job], width: int, bars: str) -> Table:
    table = Table(box=None, expand=True, padding=(0, 1), header_style="dim")
    table.add_column("JOB", no_wrap=True, min_width=max((len(job.id) for job in jobs), default=0))  # to be typed again
    for name in ("STATE", "NAME", "RANKS", "TIME", "STEP", "LOSS"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    table.add_column("COURSE", no_wrap=True, ratio=1)
    for job in jobs:
        progress = overview.progress.get(job.id)
        name = progress.main_series() if progress else ""
        values: list[RenderableType] = ["", "", Text(printable(job.reason), style="dim")]
        if progress and name:
            series = progress.series[name]
            course = sparkline(series.values, max(4, width // 3), bars)
            values = [str(progress.step), Text(short(series.last), style="bold"), Text(course, style="cyan")]
        state = Text(job.state.value.lower(), style=COLOURS[job.state])
        told = (shortened(printable(job.name), NAME_WIDTH), str(job.ranks), running_time(job))
        table.add_row(job.id, state, *told, *values, style="reverse" if job.id == overview.shown else "")
    return table
