"""A job that is being followed, drawn in place: state, last values, sparklines and the plot of the loss."""

from __future__ import annotations

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .chart import HEIGHT, chart
from .colours import COLOURS
from .progress import Progress
from .series import ASCII_BARS, BARS, short, sparkline
from .tables import printable

REDRAWS_A_SECOND = 5


def can_draw() -> bool:
    """Whether standard output is a terminal that can be drawn on, and wide enough for it."""
    console = Console()
    return console.is_terminal and not console.is_dumb_terminal and console.width >= 20


def live(progress: Progress) -> Live:
    """A context in which one block of lines is redrawn in place; its last form is left standing."""
    console = Console(highlight=False)
    return Live(
        console=console,
        get_renderable=lambda: picture(progress, console),
        refresh_per_second=REDRAWS_A_SECOND,
        vertical_overflow="crop",
    )


def picture(progress: Progress, console: Console) -> RenderableType:
    """Everything there is to see of a job now, as wide as *console* and no higher than it."""
    unicode = console.encoding.lower().startswith("utf")
    parts: list[RenderableType] = [headline(progress)]
    if progress.reason and not progress.state.terminal:
        parts.append(Text(f"  {printable(progress.reason)}", style=COLOURS[progress.state]))
    parts += [Text(f"  warning: {printable(alert)}", style="red") for alert in progress.alerts[-3:]]
    if progress.series:
        parts.append(values_table(progress, console.width, BARS if unicode else ASCII_BARS))
    room = console.height - len(progress.series) - len(parts) - 3
    name = progress.main_series()
    if name and unicode:
        drawn = chart(printable(name), progress.series[name], console.width - 2, min(HEIGHT, room))
        if drawn:
            parts.append(Text(drawn, no_wrap=True, overflow="crop"))
    return Group(*parts)


def headline(progress: Progress) -> Text:
    """Name, id, ranks, state, time and step on one line."""
    job = progress.job
    ranks = "1 rank" if job.ranks == 1 else f"{job.ranks} ranks"
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append(progress.state.value.lower(), style=f"bold {COLOURS[progress.state]}")
    text.append(f"  {printable(job.name)}", style="bold")
    text.append(f"  {job.id}  {ranks}", style="dim")
    started = job.started or job.created
    text.append(f"  {(job.finished or time.time()) - started:.0f} s")
    if progress.series:
        text.append(f"  step {progress.step}")
    return text


def values_table(progress: Progress, width: int, bars: str) -> Table:
    """One row for each series: name, last value, its course, the range it has covered."""
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=max(8, width // 4))
    table.add_column(no_wrap=True, justify="right")
    room = width - 50
    for name, series in progress.series.items():
        low, high = series.best()
        odd = name in progress.diverged()
        value = Text(short(series.last), style="bold red" if odd else "bold")
        row: list[RenderableType] = [Text(f"  {printable(name)}"), value]
        if room >= 8:
            row += [Text(sparkline(series.values, min(room, 40), bars), style="cyan")]
            row += [Text(f"{short(low)} .. {short(high)}", style="dim")]
        table.add_row(*row)
    return table
