"""Checkpoints of a run: written by all ranks while training goes on, and resumed on any number of them."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import allgrad
from allgrad.serialization import SerializationError
from allgrad.serialization.sharded import Plan, plan, read_manifest

from ..communication.agreement import agree, by_rank
from ..communication.objects import broadcast_object, gather_objects
from ..world import World, current
from .folder import CheckpointFolder
from .state import compression_of, put_back, put_back_random, random_state, restorable, state_of
from .writer import Write


class CheckpointError(RuntimeError):
    """A checkpoint that could not be written, or cannot be taken back; the message says why, on every rank."""


@dataclass(frozen=True)
class Restored:
    """What was taken back: the step after which it was saved, what was measured there, and the plain values saved."""

    step: int
    path: Path
    metrics: dict[str, float] = field(default_factory=dict)
    values: dict[str, Any] = field(default_factory=dict)


class Checkpointer:
    """Saves what a run needs to go on, each rank its part, and takes it back on any number of ranks.

    Every rank makes one, with a folder that all of them see, and calls its methods at the same places. `save` copies
    what is to be saved and lets a thread write it, so that training goes on. A checkpoint counts only once all parts
    and, last of all, its manifest are on disk: whenever a process is killed, or the disk is full, the checkpoint before
    it stays good. ``allgrad.load(path)`` reads one without ranks.

    Args:
        folder: for the checkpoints, made if need be; default: ``$ALLGRAD_OUTPUT_DIR/checkpoints``, or
            ``checkpoints``.
        keep_last: how many of the latest to keep (default 3).
        keep_best: a name among the metrics and how many of the best to keep besides, such as ``("loss", 1)``; a third
            word, "max", says that more is better. Default: none.
        asynchronous: write in a thread (default), or within `save`.
        timeout: seconds that the parts of other ranks may take, once this rank's is written (default 600).

    Raises ValueError for options that keep nothing, and RuntimeError on every rank if they do not see one folder.

    >>> import allgrad as torch, tempfile
    >>> from allgrad import dist
    >>> model = torch.nn.Linear(2, 1)
    >>> with tempfile.TemporaryDirectory() as folder, dist.Checkpointer(folder) as checkpointer:
    ...     checkpointer.save(10, model=model, epoch=2)
    ...     checkpointer.wait()
    ...     restored = checkpointer.restore(model=model)
    >>> restored.step, restored.values
    (10, {'epoch': 2})
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        keep_last: int = 3,
        keep_best: tuple[str, int] | tuple[str, int, str] | None = None,
        asynchronous: bool = True,
        timeout: float = 600.0,
    ) -> None:
        if keep_last < 1:
            raise ValueError(f"Checkpointer(keep_last={keep_last}): at least the last one must be kept")
        if keep_best is not None and (keep_best[1] < 1 or keep_best[2:] not in ((), ("min",), ("max",))):
            raise ValueError(f'Checkpointer(keep_best={keep_best!r}): expected ("loss", 1) or ("accuracy", 1, "max")')
        default = Path(os.environ.get("ALLGRAD_OUTPUT_DIR", ".")) / "checkpoints"
        self._folder = CheckpointFolder(Path(folder or default).absolute(), keep_last, keep_best)
        self._best = keep_best
        self._asynchronous, self._timeout = asynchronous, timeout
        self._writing: Write | None = None
        self._written_by: World | None = None
        self._copies: dict[str, Any] = {}
        self._require_one_folder()

    @property
    def _world(self) -> World:
        return current()  # which is another one after a rank has died

    @property
    def folder(self) -> Path:
        """Where the checkpoints are."""
        return self._folder.path

    def save(self, step: int, *, metrics: Mapping[str, Any] | None = None, **state: Any) -> None:
        """Save *state* as that after *step*: modules, optimizers, schedulers, loaders, and plain values.

        What has a ``state_dict`` is saved by it, a `DataParallel` by that of its module; the rest is what
        ``allgrad.save`` takes. The states of all random numbers come along. The step stalls for copying this rank's
        part, and for the end of the save before, if that is still going on.

        Args:
            step: how many steps have been made.
            metrics: numbers by which to tell the best, the same on every rank.
            state: by the names under which `restore` finds it.

        Raises CheckpointError on every rank if the save before failed on any (or this one, unless *asynchronous*),
        ValueError without the metric that ``keep_best`` names, and TypeError for what cannot be saved.
        """
        numbers = (metrics or {}).items()
        measured = {name: float(value.item() if hasattr(value, "item") else value) for name, value in numbers}
        if self._best is not None and self._best[0] not in measured:
            raise ValueError(
                f"save: keep_best goes by {self._best[0]!r}, so give it: metrics={{{self._best[0]!r}: ...}}"
            )
        # One message for all there is to say: each costs time within the step.
        said = gather_objects((self._end_of_writing(), random_state(), secrets.token_hex(4)))
        self._raise_failure([failure for failure, _, _ in said])
        prepared = plan(_whole(state, [numbers for _, numbers, _ in said], self._world.rank), self._world.size)
        agree(self._world, f"a checkpoint of step {step} with {_layout(prepared)}")
        self._writing = self._write(prepared, said[0][2], {"step": step, "metrics": measured})
        if not self._asynchronous:
            self.wait()

    def _write(self, prepared: Plan, token: str, details: Mapping[str, Any]) -> Write:
        """Copy this rank's part, and start the thread that writes it."""
        writing = Write(
            self._folder,
            details,
            token,
            self._world.rank,
            self._copy(prepared),
            [f"part-{rank}-of-{self._world.size}-{token}.safetensors" for rank in range(self._world.size)],
            prepared.structure,
            self._timeout,
        )
        writing.start()
        self._written_by = self._world
        return writing

    def wait(self) -> None:
        """Wait until what was saved last is on disk on all ranks; CheckpointError on every rank if that failed."""
        if self._writing is not None:
            self._raise_failure(gather_objects(self._end_of_writing()))

    def _end_of_writing(self) -> str:
        """Wait until this rank's part is written, and return why it is not, or nothing."""
        if self._writing is None:
            return ""
        if self._written_by is not self._world:
            self._writing.abandon()
        self._writing.join()
        return self._writing.failure

    def _raise_failure(self, failures: list[str]) -> None:
        writing, self._writing = self._writing, None
        if writing is not None and self._written_by is not self._world:
            # A rank has died since: training goes on, and so does saving, with the checkpoint after this one.
            if self._world.rank == 0:
                self._folder.tidy()
            return
        if writing is not None and any(failures):
            if self._world.rank == 0:
                self._folder.tidy()
            said = by_rank([failure or "its part is written" for failure in failures])
            raise CheckpointError(
                f"the checkpoint of step {writing.step} was not saved ({said}); the one before it stays good: "
                "make room, or catch this and train on"
            )

    def restore(self, *, step: int | None = None, **state: Any) -> Restored | None:
        """Take back the latest good checkpoint, or that of *step*; None if there is none yet.

        *state* names what is to be taken back as in `save`: modules, optimizers and all else with a
        ``load_state_dict``. Values saved that are not named here are in the result. A damaged checkpoint is told on
        stderr and the one before it is taken. The number of ranks need not be that of the save.

        Raises CheckpointError on every rank for a checkpoint of another model, naming what differs, for *state* that
        was not saved, and where *step* is missing or damaged.
        """
        self.wait()
        found = self._load(broadcast_object([str(path) for path in self._folder.good()]), step)
        if found is None:
            return None
        path, saved = found
        self._refuse_what_does_not_fit(path, saved, state)
        for name, target in state.items():
            compression = saved.get("compression", {}).get(name)
            put_back(target, saved["state"][name], saved["reproducible"].get(name), compression)
        put_back_random(saved["random"], self._world.rank, reproducible=bool(saved["reproducible"]))
        details = read_manifest(path)["details"]
        values = {name: value for name, value in saved["state"].items() if name not in state}
        return Restored(details["step"], path, details["metrics"], values)

    def __enter__(self) -> Checkpointer:
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        if kind is None:
            self.wait()

    def _copy(self, prepared: Plan) -> dict[str, Any]:
        """Copy this rank's arrays, into the memory of the copies before where they fit, which saves half of the time."""
        copies = {}
        for name in prepared.parts[self._world.rank]:
            array = prepared.arrays[name]
            memory = self._copies.get(name)
            if memory is None or (memory.shape, memory.dtype) != (array.shape, array.dtype):
                memory = np.empty(array.shape, array.dtype)
            np.copyto(memory, array)
            copies[name] = memory
        self._copies = copies
        return copies

    def _load(self, paths: list[str], step: int | None) -> tuple[Path, Any] | None:
        wanted = [path for path in paths if step is None or Path(path).name == CheckpointFolder.name(step)]
        if step is not None and not wanted:
            raise CheckpointError(f"there is no checkpoint of step {step} in {self.folder}, but these: {paths}")
        for path in wanted:
            found, failure = None, ""
            try:
                found = allgrad.load(path)
            except (SerializationError, OSError) as error:
                failure = str(error)
            failures = gather_objects(failure)
            if not any(failures):
                return Path(path), found
            told = by_rank([failure or "it is good" for failure in failures])
            if step is not None:
                raise CheckpointError(f"{path} cannot be taken back: {told}")
            if self._world.rank == 0:
                sys.stderr.write(f"allgrad: {path} cannot be taken back, so the one before it is tried: {told}\n")
        if wanted:
            raise CheckpointError(f"none of the {len(wanted)} checkpoints in {self.folder} can be taken back")
        return None

    def _refuse_what_does_not_fit(self, path: Path, saved: Any, state: Mapping[str, Any]) -> None:
        problems = []
        for name, target in state.items():
            if name in saved["state"]:
                problems += restorable(name, target, saved["state"][name])
            else:
                problems.append(f"it has no {name!r}, but {', '.join(sorted(saved['state'])) or 'nothing'}")
        everyones = gather_objects("; ".join(problems))
        if any(everyones):
            raise CheckpointError(f"{path} does not fit: {by_rank([found or 'it fits' for found in everyones])}")

    def _require_one_folder(self) -> None:
        """Raise unless all ranks see what rank 0 makes, and remove what an earlier run did not finish."""
        token = broadcast_object(secrets.token_hex(4))
        mark = self.folder / f".{token}"
        if self._world.rank == 0:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._folder.tidy()
            mark.touch()
        agree(self._world, "the making of a Checkpointer")
        seen = gather_objects(mark.exists())
        if self._world.rank == 0:
            mark.unlink()
        if not all(seen):
            blind = ", ".join(str(rank) for rank, sees in enumerate(seen) if not sees)
            raise RuntimeError(
                f"Checkpointer: ranks {blind} do not see what rank 0 has put into {self.folder}: "
                "use a folder on a file system that all hosts share"
            )


def _whole(state: Mapping[str, Any], numbers: list[dict[str, Any]], rank: int) -> dict[str, Any]:
    """All that is saved by this *rank* and the others: the states by name, what is beside them, and every rank's random numbers."""
    states = {name: state_of(value) for name, value in state.items()}
    compression = {name: compression_of(value, rank) for name, value in state.items()}
    return {
        "state": {name: found for name, (found, _) in states.items()},
        "reproducible": {name: beside for name, (_, beside) in states.items() if beside is not None},
        "compression": {name: found for name, found in compression.items() if found is not None},
        "random": numbers,
    }


def _layout(prepared: Plan) -> str:
    arrays = [f"{name} {array.dtype} {array.shape}" for name, array in sorted(prepared.arrays.items())]
    digest = hashlib.blake2b("\n".join(arrays).encode(), digest_size=8).hexdigest()
    return f"{len(arrays)} arrays, {sum(a.nbytes for a in prepared.arrays.values())} bytes, layout {digest}"
