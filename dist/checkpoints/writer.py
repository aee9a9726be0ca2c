"""The thread that writes one rank's part of a checkpoint and, on rank 0, makes all of it valid."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from allgrad.serialization.sharded import write_manifest, write_part

from ..reporting import report_checkpoint
from .folder import CheckpointFolder


class Write(threading.Thread):
    """Writes *arrays* as the part of *rank* among *parts*, of the checkpoint that *details* tell the step of.

    *failure* says why it did not succeed, or is empty.

    Ranks meet in the file system, not through MPI, which only the main thread uses: a part is whole as soon as its
    file is there, and a rank that fails leaves a file that says so.
    """

    def __init__(
        self,
        folder: CheckpointFolder,
        details: Mapping[str, Any],
        token: str,
        rank: int,
        arrays: Mapping[str, Any],
        parts: Sequence[str],
        structure: Any,
        timeout: float,
    ) -> None:
        # Not a daemon: a script that ends lets its last checkpoint come to its end.
        self.step, self.failure = int(details["step"]), ""
        super().__init__(name=f"checkpoint of step {self.step}")
        self._folder, self._token, self._rank = folder, token, rank
        self._arrays, self._parts, self._structure, self._details = arrays, parts, structure, details
        self._timeout = timeout
        self._abandoned = threading.Event()
        self._path = folder.path / folder.name(self.step)

    def run(self) -> None:
        """Write, and commit on rank 0; an error is kept, and told on stderr."""
        try:
            self._path.mkdir(exist_ok=True)
            write_part(self._path / self._parts[self._rank], self._arrays)
            if self._rank == 0:
                self._commit()
        except (OSError, RuntimeError) as error:
            self.failure = f"{type(error).__name__}: {error}"
            with suppress(OSError):
                self._mark(self._rank).touch()
            sys.stderr.write(f"allgrad: the checkpoint of step {self.step} was not saved: {self.failure}\n")

    def abandon(self) -> None:
        """Wait for no part that is not there yet: the rank that was to write it may have died."""
        self._abandoned.set()

    def _commit(self) -> None:
        self._wait_for_parts()
        write_manifest(self._path, self._parts, self._structure, self._details)
        report_checkpoint(self._path, self.step)
        self._folder.remove_strangers(self._path)
        self._folder.prune()

    def _wait_for_parts(self) -> None:
        end = time.monotonic() + self._timeout
        pause = 0.001
        for rank, part in enumerate(self._parts):
            while not (self._path / part).exists():
                if self._mark(rank).exists():
                    raise RuntimeError(f"rank {rank} has not written its part")
                if self._abandoned.is_set():
                    raise RuntimeError(f"a rank has died, and there is no part of rank {rank}")
                if time.monotonic() > end:
                    raise RuntimeError(f"after {self._timeout} s there is no part of rank {rank} in {self._path}")
                time.sleep(pause)
                pause = min(2 * pause, 0.1)

    def _mark(self, rank: int) -> Path:
        """The file by which a rank says that it has failed."""
        return self._path / f"failed-{rank}-{self._token}"
