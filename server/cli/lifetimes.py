"""Lengths of time and counts as people write them on a command line: 90s, 2h, lr=0.1,0.01."""

from __future__ import annotations

import re
from typing import Any

import click

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


class Span(click.ParamType):  # type: ignore[type-arg]  # generic in new click only
    """A length of time: a number of seconds, or one with a unit, s, m, h or d.

    >>> Span().convert("1.5h", None, None)
    5400.0
    """

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return the seconds."""
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"(\d+(?:\.\d*)?)\s*([smhd]?)", value.strip())
        if found is None:
            self.fail(f"{value!r} is no length of time: write 90, 90s, 15m, 2h or 7d", param, ctx)
        return float(found[1]) * _UNITS[found[2]]


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
