"""The command line, ``allgrad``: one module per verb or family of verbs."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line with *arguments* (default: this process's) and return its exit code."""
    try:
        from .entry import main as enter

        return enter(arguments)
    except KeyboardInterrupt:  # while loading; inside, each verb has its own answer
        return 130
    except ModuleNotFoundError as error:
        # The script is there after a plain `pip install allgrad` too, which brings NumPy only.
        if error.name is None or error.name.startswith("allgrad"):
            raise
        sys.stderr.write(f"allgrad: {error.name} is not installed; get it: pip install 'allgrad[server]'\n")
        return 2
