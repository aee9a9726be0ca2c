"""The folder of a run's checkpoints: which are good, which are kept, and what is left of those that were not finished."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from allgrad.serialization import SerializationError
from allgrad.serialization.sharded import MANIFEST, read_manifest

_PREFIX = "step-"


class CheckpointFolder:
    """The checkpoints in *path*, of which the last *keep_last* are kept, and the best by a metric."""

    def __init__(self, path: Path, keep_last: int, keep_best: tuple[Any, ...] | None) -> None:
        self.path = path
        self._keep_last, self._keep_best = keep_last, keep_best

    @staticmethod
    def name(step: int) -> str:
        """The name of the folder for the checkpoint of *step*."""
        return f"{_PREFIX}{step:010}"

    def good(self) -> list[Path]:
        """Return the checkpoints that were saved to the end, the latest first."""
        return sorted((path.parent for path in self.path.glob(f"{_PREFIX}*/{MANIFEST}")), reverse=True)

    def prune(self) -> None:
        """Remove what is not to be kept."""
        good = self.good()
        kept = {*good[: self._keep_last], *self._best(good)}
        for path in good:
            if path not in kept:
                # Without its manifest it is no checkpoint any more, however far the removal gets.
                (path / MANIFEST).unlink()
                shutil.rmtree(path)

    def tidy(self) -> None:
        """Remove what saves have left that did not come to their end; none must be going on."""
        for path in self.path.glob(f"{_PREFIX}*"):
            if not (path / MANIFEST).exists():
                shutil.rmtree(path)
            else:
                self.remove_strangers(path)

    def remove_strangers(self, checkpoint: Path) -> None:
        """Remove the files in *checkpoint* that its manifest does not name: parts of another save of the same step."""
        try:
            named = {part["file"] for part in read_manifest(checkpoint)["parts"]}
        except SerializationError:
            return
        for path in checkpoint.iterdir():
            if path.name not in {MANIFEST, *named}:
                path.unlink()

    def _best(self, good: list[Path]) -> list[Path]:
        if self._keep_best is None:
            return []
        name, number, *order = self._keep_best
        sign = -1.0 if order == ["max"] else 1.0
        measured = []
        for path in good:
            try:
                value = sign * read_manifest(path)["details"]["metrics"][name]
            except (SerializationError, KeyError):
                continue
            if value == value:
                measured.append((value, path))
        return [path for _, path in sorted(measured)[:number]]
