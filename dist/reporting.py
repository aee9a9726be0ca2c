"""What a training script tells the server that started it: losses and checkpoints, by way of the journal."""

from __future__ import annotations

import operator
import os
import sys
from typing import Any

from .journal import Journal, JournalError, JournalTakenError
from .launch import launch

_LAST_STEP = (1 << 63) - 1


def report(step: int, **values: Any) -> None:
    """Report what was measured at *step*, such as ``dist.report(step, loss=loss, accuracy=0.9)``.

    Only rank 0's report counts, so average over ranks first (`mean`). Values are numbers or one-element Tensors;
    NaN and infinities are reported as such. Outside of the server this checks its arguments and does nothing.

    Raises TypeError or ValueError for a *step* that is no integer from 0 to 2**63 - 1, for a value that is no number, and where
    there is no value at all. A full disk is told on stderr and does not stop the training.

    >>> from allgrad import dist
    >>> dist.report(10, loss=0.25)
    """
    if not values:
        raise TypeError("report: nothing to report: give values by name, as in dist.report(step, loss=loss)")
    checked = _step(step, "report"), {name: _number(name, value) for name, value in values.items()}
    journal = _journal()
    if journal is not None:
        _write(journal.metrics, *checked)


def report_checkpoint(path: str | os.PathLike[str], step: int) -> None:
    """Report that the state after *step* has been saved at *path*, for the server to resume from.

    Only rank 0's report counts. Outside of the server this checks its arguments and does nothing.
    """
    checked = _step(step, "report_checkpoint"), os.path.abspath(os.fspath(path))
    journal = _journal()
    if journal is not None:
        _write(journal.checkpoint, *checked)


class _Open:
    """The journal this process writes, for the folder and the process that opened it."""

    key: tuple[str, int] | None = None
    journal: Journal | None = None


def _journal() -> Journal | None:
    folder = os.environ.get("ALLGRAD_RUN_DIR", "")
    key = (folder, os.getpid())
    if _Open.key != key:
        if _Open.key is not None and _Open.key[1] != key[1]:
            # A forked child, such as a data loader's worker: rank 0 is its parent.
            return None
        _Open.key, _Open.journal = key, _open(folder)
    return _Open.journal


def _open(folder: str) -> Journal | None:
    seen = launch()
    if not folder or (seen is not None and seen.rank != 0):
        return None
    try:
        return Journal(os.path.join(folder, "journal.jsonl"))
    except (OSError, JournalError, JournalTakenError) as reason:
        _complain(reason)
        return None


def _write(append: Any, step: int, what: Any) -> None:
    try:
        append(step, what)
    except OSError as reason:
        _complain(reason)


def _complain(reason: Exception) -> None:
    sys.stderr.write(f"allgrad: this report does not reach the server: {reason}\n")


def _step(step: Any, name: str) -> int:
    try:
        number = operator.index(step)
    except TypeError:
        raise TypeError(f"{name}: step is {step!r}; it must be an integer, as in {name}(step=10, ...)") from None
    if number < 0:
        raise ValueError(f"{name}: step is {number}; steps count from 0")
    if number > _LAST_STEP:
        raise ValueError(f"{name}: step is {number}; {_LAST_STEP} is the last that the server can write down")
    return number


def _number(name: str, value: Any) -> float:
    try:
        return float(value.item() if hasattr(value, "item") else value)
    except (TypeError, ValueError, RuntimeError) as reason:
        raise TypeError(
            f"report: {name} is a {type(value).__name__}, not a number or one-element Tensor ({reason}): "
            f"report one number, such as its mean"
        ) from None
