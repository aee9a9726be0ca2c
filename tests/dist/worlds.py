"""Worlds of ranks that programs share, as starting one takes longer than most of them: which those are, and how each ended."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from .conftest import PROGRAMS, Outcome

if TYPE_CHECKING:
    from .conftest import Launcher


@dataclass(frozen=True)
class Share:
    """A program, its arguments with {ranks} and {folder} in them, and the numbers of ranks of the worlds it is run in."""

    words: tuple[str, ...]
    ranks: tuple[int, ...]
    env: Mapping[str, str] = field(default_factory=dict)


SHARES = {
    "collectives": Share(("collectives.py", "{ranks}"), (1, 2, 3, 4)),
    "functional": Share(("functional.py", "{ranks}"), (1, 2, 3)),
    "data_parallel": Share(("data_parallel.py", "{ranks}"), (1, 2, 3, 4)),
    "training": Share(("training.py", "{folder}"), (1, 2, 3)),
    "reducer": Share(("reducer.py", "{ranks}"), (2, 3, 4)),
    "reducer-alone": Share(("reducer.py", "{ranks}"), (2,), {"ALLGRAD_RANKS_PER_WINDOW": "1"}),
    "reducer-pairs": Share(("reducer.py", "{ranks}"), (3, 4), {"ALLGRAD_RANKS_PER_WINDOW": "2"}),
    "window": Share(("window.py", "{ranks}"), (2, 3)),
    "sharding": Share(("sharding.py", "{ranks}", "{folder}"), (1, 2, 3, 4)),
}


class World:
    """What becomes of programs in worlds that they share: each number of ranks is started once, by whoever asks first.

    A program that fails ends its world; those after it go on in another, and none is run twice.
    """

    def __init__(self, mpi: Launcher, folder: Path, names: Iterable[str] = tuple(SHARES)) -> None:
        self._mpi, self._names = mpi, tuple(names)
        self._outcomes: dict[int, dict[str, Outcome]] = {}
        self.folder = folder
        """Where the programs leave what their tests look at."""

    def __call__(self, ranks: int, name: str) -> Outcome:
        """How the program of that name ended on *ranks* ranks, and what it printed; when it failed, all that was said."""
        if ranks not in self._outcomes:
            self._outcomes[ranks] = self._run(ranks)
        return self._outcomes[ranks][name]

    def _run(self, ranks: int) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        left = [name for name in self._names if ranks in SHARES[name].ranks]
        while left:
            outcomes.update(self._run_until_one_fails(ranks, left))
            left = [name for name in left if name not in outcomes]
        return outcomes

    def _run_until_one_fails(self, ranks: int, names: list[str]) -> dict[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        programs = json.dumps([self._described(ranks, name) for name in names])
        # Where ranks wait for each other in vain, the world's own watchdog ends it and says who waits where.
        world = self._mpi.run(
            ranks,
            "in_turn.py",
            str(folder),
            programs,
            env={"ALLGRAD_TIMEOUT": "120"},
            timeout=90.0 * len(names) + 150.0,
        )
        for name in names:
            files = sorted(folder.glob(f"{name}-[0-9].*"))
            printed = "".join(file.read_text() for file in files)
            ended = [file.suffix for file in files] == [".ended"] * ranks
            if not ended or (name == names[-1] and world.code != 0):
                outcomes[name] = Outcome(world.code or 1, world.ended, printed + world.output)
                break
            outcomes[name] = Outcome(0, world.ended, printed)
        return outcomes

    def _described(self, ranks: int, name: str) -> tuple[str, Mapping[str, str], list[str]]:
        share = SHARES[name]
        script, *arguments = (word.format(ranks=ranks, folder=self.folder) for word in share.words)
        return name, share.env, [str(PROGRAMS / script), *arguments]
