"""The plot of one series in a terminal, drawn by plotext."""

from __future__ import annotations

from .series import Series

HEIGHT = 13
FRAME = 4
"""Lines of title, axes and labels around the drawing."""
MIN_WIDTH, MAX_WIDTH = 40, 100


def chart(name: str, series: Series, width: int, height: int = HEIGHT) -> str:
    """A plot of *series* over its steps, *width* columns wide and *height* lines high, without colours.

    Empty when there are fewer than two points that can be drawn, or no room for them.
    """
    steps, values = series.finite()
    rows = (height - FRAME - 1) // 2 * 2 + 1  # an odd number, so that every second row can bear a label
    if len(steps) < 2 or width < MIN_WIDTH or rows < 3:
        return ""
    import plotext  # type: ignore[import-untyped]  # it ships no types

    plotext.clear_figure()
    plotext.theme("clear")
    plotext.plot_size(min(width, MAX_WIDTH), rows + FRAME)
    plotext.title(name)
    plotext.plot(steps, values, marker="braille")
    plotext.yfrequency((rows + 1) // 2)
    plotext.xticks(*_step_ticks(steps))
    return str(plotext.uncolorize(plotext.build())).rstrip("\n")


def _step_ticks(steps: list[int]) -> tuple[list[int], list[str]]:
    first, last = steps[0], steps[-1]
    ticks = sorted({first + (last - first) * part // 4 for part in range(5)})
    return ticks, [str(tick) for tick in ticks]
