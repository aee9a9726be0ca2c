"""Lengths of time and counts as people write them on a command line: 90s, 2h, lr=0.1,0.01."""

from __future__ import annotations

import re
from typing import Any

import click

LONGEST = 315_576_000_000.0
"""Seconds in 10,000 years, the longest that can be sent (google.protobuf.Duration)."""
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Span(click.ParamType):  # type: ignore[type-arg]  # generic in new click only
    """A length of time: a number of seconds, or one with a unit, s, m, h or d.

    >>> Span().convert("1.5h", None, None)
    5400.0
    """

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([smhd]?)", str(value).strip())
        if found is None:
            self.fail(f"{value!r} is no length of time: write 90, 90s, 15m, 2h or 7d", param, ctx)
        seconds = float(found[1]) * _UNITS[found[2]]
        if seconds > LONGEST:
            self.fail(f"{value!r} is too long: 10,000 years are the most", param, ctx)
        return seconds


class Count(click.IntRange):
    """A whole number from *least* on that can be sent, in *bits* with its sign.

    >>> Count(1).convert("4", None, None)
    4
    """

    def __init__(self, least: int = 0, bits: int = 32) -> None:
        super().__init__(least)
        self._most = 2 ** (bits - 1) - 1

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number."""
        number: int = super().convert(value, param, ctx)
        if number > self._most:
            self.fail(f"{number} is too large: {self._most} is the most", param, ctx)
        return number


class Pair(click.ParamType):  # type: ignore[type-arg]
    """Two words with an equals sign between them.

    >>> Pair().convert("lr=0.1,0.01", None, None)
    ('lr', '0.1,0.01')
    """

    name = "key=value"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        """Return both."""
        if isinstance(value, tuple):
            return value
        key, equals, rest = value.partition("=")
        if not key or not equals:
            self.fail(
                f"{value!r} has no {'key before' if equals else ''} '=': write KEY=VALUE".replace("  ", " "), param, ctx
            )
        return key, rest
