"""What a check says, and how checks ask other programs."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

PATIENCE = 30
"""Seconds that a program started by a check may take."""


class Verdict(StrEnum):
    """How a check came out; only a problem makes ``allgrad doctor`` fail."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """What a check found, and what to do about it (empty when there is nothing to do)."""

    name: str
    verdict: Verdict
    found: str
    fix: str = ""


def run(command: list[str], env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Return what *command* says; one that cannot be started, or takes too long, has failed and says so."""
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
            env=env,
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no answer within {PATIENCE} s")
    except OSError as error:
        return subprocess.CompletedProcess(command, 1, "", f"{command[0]}: {error.strerror}")


def last_line(text: str) -> str:
    """Return the last line of *text* that says something.

    >>> last_line("error: a\\nerror: b\\n\\n")
    'error: b'
    """
    return (text.strip().splitlines() or ["no message"])[-1]
