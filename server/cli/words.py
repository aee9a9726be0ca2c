"""Texts and paths on a command line: one that is empty, as an unset variable of the shell leaves it, is refused."""

from __future__ import annotations

import os
from typing import Any

import click

_EMPTY = "it is empty: give it a value, or leave it away"


class Word(click.ParamType):  # type: ignore[type-arg]  # generic in new click only
    """A text that is not empty.

    >>> Word().convert("trainer:7447", None, None)
    'trainer:7447'
    """

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text."""
        return str(value) if value else self.fail(_EMPTY, param, ctx)


class FilePath(click.Path):
    """A path that is not empty, which would mean this folder."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path."""
        if not isinstance(value, str | os.PathLike):  # as a configuration file may have it
            self.fail(f"{value!r} is no path", param, ctx)
        return super().convert(value, param, ctx) if os.fspath(value) else self.fail(_EMPTY, param, ctx)
