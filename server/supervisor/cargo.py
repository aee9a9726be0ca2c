"""What goes to and comes from a host that does not share the server's folder, and under which names."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ..delivery.arrivals import Kind
from .attempt import Order, RunDir

CARRY, BEGIN, READY, TROUBLE, REST, ALL, SAFE = "carry", "begin", "ready", "trouble", "rest", "all", "safe"
"""What supervisor and keeper say besides: what is to be carried, that all has been brought that the ranks need, that they
can start, why not, that they have ended and how much room is left, that all has been sent, that it is safe to forget it."""
JOURNAL = "journal.jsonl"
FAILURE = "failure.json"
OUTPUT = "output"
SCRATCH = "scratch"
"""The folder of the attempt for the launcher's own files."""
_LOG = re.compile(r"logs/rank-\d+\.log")


@dataclass(frozen=True, slots=True)
class Cargo:
    """What a keeper carries. All names are within *folder*, the job's as the ranks see it, and the same on every host."""

    folder: str
    attempt: str
    """The name of the attempt's folder."""
    log_limit: int
    journal_limit: int
    archive: str = ""
    """The name of an archive to unpack; empty: there is none."""
    root: str = ""
    """The name of the folder to unpack it into."""
    brought: list[str] = field(default_factory=list)
    """The names of the files that the host gets before its ranks start."""
    late: bool = False
    """Whether the attempt has ended, so that a later one may have written the same files since."""

    @classmethod
    def of(cls, order: Order, run: RunDir, archive: str = "", brought: Sequence[str] = ()) -> Cargo:
        """Return what is carried for the attempt of *order* in *run*."""
        folder = run.path.parent
        root = str(Path(order.root).relative_to(folder)) if archive else ""
        return cls(
            str(order.ranks_folder(folder)),
            run.path.name,
            order.log_limit,
            order.journal_limit,
            archive,
            root,
            list(brought),
        )

    def to_word(self) -> str:
        """Return it as one word."""
        return json.dumps(asdict(self))

    @classmethod
    def from_word(cls, word: str) -> Cargo:
        """Return what *word* says."""
        return cls(**json.loads(word))

    def aside(self, host: str) -> str:
        """Return the name of the folder for what has not arrived from, or on, *host* as a whole."""
        return f"{self.attempt}/arriving-{host}"

    def coming(self, name: str) -> Kind | None:
        """Return how the file *name* may come from a host: nothing else than what ranks write may."""
        first, _, rest = name.partition("/")
        if first == OUTPUT and rest:
            return Kind.NEWER if self.late else Kind.WHOLE
        if first == self.attempt and (rest == JOURNAL or _LOG.fullmatch(rest)):
            return Kind.GROWING
        return Kind.FIRST if name == f"{self.attempt}/{FAILURE}" else None

    def going(self, name: str) -> Kind | None:
        """Return how the file *name* may come to a host."""
        return Kind.WHOLE if name in self.brought else None
