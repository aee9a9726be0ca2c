"""Carries what ranks write on a host without the server's folder to the supervisor, and what they need to the host."""

from __future__ import annotations

import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

from ..delivery.arrivals import Arrivals, Refused, mark_of
from ..delivery.channel import Channel, Message
from ..delivery.departures import Departures
from ..errors import AllgradError
from ..files import archive
from .cargo import FAILURE, JOURNAL, OUTPUT, READY, SCRATCH, TROUBLE, Cargo
from .journal import CheckpointLine, parse
from .linux import data_from
from .logs import Trimmer

LOOK = 0.5
"""Seconds between looks for new logs, reports and files."""
SETTLED = 2.0
"""Seconds that a file in the output folder must stay as it is to be sent; twice as long each time that it has been."""


class Carrier:
    """The side of the keeper: what *cargo* names leaves over *channel*."""

    def __init__(self, cargo: Cargo, channel: Channel) -> None:
        self._cargo, self._channel = cargo, channel
        self._folder = Path(cargo.folder)
        self._run = self._folder / cargo.attempt
        self._arrivals = Arrivals(self._folder, cargo.going, self._folder / cargo.aside("here"))
        self._departures = Departures(self._folder, channel)
        self._reports = Reports(self._run / JOURNAL)
        self._output = _Output(self._folder)
        self._trimmers: dict[str, Trimmer] = {}
        self._prepared: Message | None = None
        self._looked = -math.inf
        self._final = False

    def __repr__(self) -> str:
        return f"Carrier({self._run}, {self._departures})"

    def take(self, message: Message) -> None:
        """Take a file that comes to this host."""
        try:
            answer = self._arrivals.take(message)
        except (OSError, Refused) as error:
            self._channel.say(TROUBLE, str(error))
        else:
            if answer is not None:
                self._channel.say(answer.verb, *answer.words)

    def begin(self) -> None:
        """Make what the ranks need of what has come, and say when it is ready, or why it will never be."""
        Thread(target=self._prepare, name="preparation", daemon=True).start()

    def move(self, *, final: bool = False) -> None:
        """Send as much as there is room for; *final*: nothing is written any more."""
        if self._prepared is not None:
            self._channel.say(self._prepared.verb, *self._prepared.words)
            self._prepared = None
        if final > self._final or time.monotonic() > self._looked + LOOK:
            self._final = self._final or final
            self._look(final=self._final)
            self._looked = time.monotonic()
        self._departures.move()

    def hear(self, message: Message) -> None:
        """Take an answer of the supervisor."""
        self._departures.hear(message)

    def is_done(self) -> bool:
        """Return whether the supervisor has all that there is, now that nothing is written any more."""
        if self._departures.done:
            self._look(final=True)  # a report that had to wait for its checkpoint may go now
        return self._departures.done

    def forget(self) -> None:
        """Remove what has been sent from this host; the job's folder too, unless another attempt has something left in it."""
        if not self.is_apart:
            return
        shutil.rmtree(self._run, ignore_errors=True)
        if not any(self._folder.glob("attempt-*")):
            shutil.rmtree(self._folder, ignore_errors=True)

    @property
    def room(self) -> int:
        """The bytes that ranks could still have written here."""
        try:
            found = os.statvfs(self._folder)
        except OSError:  # it has been sent, and is gone
            return 1 << 62
        return found.f_bavail * found.f_frsize

    @property
    def is_apart(self) -> bool:
        """Whether this is not the server's own folder, which orders are written into."""
        return not any(self._folder.glob("attempt-*/order.json"))

    def _prepare(self) -> None:
        try:
            if not self.is_apart:
                raise FileExistsError(f"{self._folder} is the server's own, and was not seen before")
            (self._run / "logs").mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._folder / OUTPUT).mkdir(mode=0o700, exist_ok=True)
            (self._run / SCRATCH).mkdir(mode=0o700, exist_ok=True)
            if self._cargo.archive:
                packed, root = self._folder / self._cargo.archive, self._folder / self._cargo.root
                if not root.exists():
                    archive.unpack(packed, root)
                packed.unlink()
        except (AllgradError, OSError) as error:
            self._prepared = Message(TROUBLE, (str(error) or type(error).__name__,))
        else:
            self._prepared = Message(READY)

    def _look(self, *, final: bool) -> None:
        """Look for what is new, and keep within the limits."""
        cargo = self._cargo
        for path in sorted(self._run.glob("logs/rank-*.log")):
            if cargo.coming(str(path.relative_to(self._folder))) is not None:
                self._departures.grow(self._trimmed(path, cargo.log_limit))
        if (self._run / FAILURE).exists():
            self._departures.offer(f"{cargo.attempt}/{FAILURE}")
        self._output.look(self._departures, final=final)
        upto = self._reports.upto(self._is_there)
        self._departures.grow(f"{cargo.attempt}/{JOURNAL}", upto)
        self._trimmed(self._run / JOURNAL, cargo.journal_limit, head=0)

    def _trimmed(self, path: Path, limit: int, **head: int) -> str:
        name = str(path.relative_to(self._folder))
        if name not in self._trimmers:
            self._trimmers[name] = Trimmer(path, limit, **head)
        self._trimmers[name].trim()
        return name

    def _is_there(self, checkpoint: str) -> bool:
        """Have a checkpoint sent at once, unless it is none of this host; return whether all of it is there."""
        path = Path(checkpoint)
        if not path.is_relative_to(self._folder / OUTPUT):
            return True
        files = _files(path) if path.is_dir() else [path]
        there = [self._departures.offer(str(file.relative_to(self._folder))) for file in files]
        return all(there)


class Reports:
    """Reads a journal for where it may be sent up to: a checkpoint is told of only when it is there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = 0
        self._waiting: list[tuple[int, str]] = []
        """Where the lines of checkpoints begin, and the paths in them."""

    def __repr__(self) -> str:
        return f"Reports({self._path}, {len(self._waiting)} checkpoints waiting)"

    def upto(self, is_there: Callable[[str], bool]) -> int:
        """Return the end of the last whole line before that of a checkpoint which *is_there* denies."""
        self._read_on()
        while self._waiting and is_there(self._waiting[0][1]):
            del self._waiting[0]
        return self._waiting[0][0] if self._waiting else self._read

    def _read_on(self) -> None:
        try:
            with self._path.open("rb") as file:
                self._read = data_from(file.fileno(), self._read)
                file.seek(self._read)
                for raw in file:
                    if not raw.endswith(b"\n"):
                        return
                    if b'"kind":"checkpoint"' in raw and isinstance(line := parse(raw[:-1]), CheckpointLine):
                        self._waiting.append((self._read, line.path))
                    self._read += len(raw)
        except FileNotFoundError:
            return


class _Output:
    """The output folder of the job in *folder*: files are sent when they have settled, and withdrawn when they are gone."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seen: dict[str, tuple[str, float]] = {}
        """The mark of each file, and since when it has had it."""
        self._times: dict[str, int] = {}
        """How many times each file has been offered."""

    def look(self, departures: Departures, *, final: bool) -> None:
        """Offer to *departures* what has settled; *final*: everything."""
        now, before = time.monotonic(), self._seen
        self._seen = {}
        for name, mark in _marks(self._folder, OUTPUT):
            since = before[name][1] if name in before and before[name][0] == mark else now
            self._seen[name] = mark, since
            settled = now - since >= SETTLED * 2 ** self._times.get(name, 0)
            if (final or settled) and not departures.offer(name):
                self._times[name] = self._times.get(name, 0) + settled
        for name in reversed(list(departures.there)):  # a checkpoint's manifest came last, and goes first
            if name.startswith(f"{OUTPUT}/") and name not in self._seen:
                departures.withdraw(name)


def _files(folder: Path) -> Iterator[Path]:
    """Yield the plain files under *folder*."""
    for within, _, names in os.walk(folder):
        yield from (path for name in names if (path := Path(within, name)).is_file() and not path.is_symlink())


def _marks(folder: Path, under: str) -> list[tuple[str, str]]:
    """Return names and marks of the plain files of *folder* that lie under *under*, those that were written first first."""
    found = []
    for path in _files(folder / under):
        try:
            seen = path.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue  # it is gone since
        found.append((seen.st_mtime_ns, str(path.relative_to(folder)), mark_of(seen)))
    return [(name, mark) for _, name, mark in sorted(found)]
