"""Ranks in the foreground, without a server: passes their lines on and leaves no process of theirs behind."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from types import FrameType, TracebackType
from typing import BinaryIO, NoReturn, Self

from .display.prefix import RankLines
from .display.tail import Tail
from .jobs.job import LAUNCHER_LOG
from .launchers import Command, Ending, Launcher, elsewhere, reach
from .supervisor import processes

READ_SIZE = 64 * 1024
GRACE = 2.0
"""Seconds between SIGTERM and SIGKILL."""
_FAILURE = b"allgrad: rank "
"""How the line begins with which a rank tells that it failed."""
LAST_WORDS = 40
"""Lines kept of what the launcher itself prints."""


class EndedBySignal(SystemExit):
    """SIGTERM or SIGHUP, signal *number*, has come for the one who waits; its exit code is the shell's for that."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = signal.Signals(number)


def become(command: Command) -> NoReturn:
    """Let *command*, one rank that needs no launcher, take the place of this process."""
    sys.stdout.flush()
    os.execve(command.argv[0], command.argv, dict(command.env))  # noqa: S606 -- argv, never a shell


def tags(attempt: int) -> dict[str, str]:
    """Return the variables by which the processes of attempt number *attempt* of a run are found, on every host."""
    return {processes.JOB_TAG: f"run-{uuid.uuid4().hex[:12]}", processes.ATTEMPT_TAG: str(attempt)}


class Foreground:
    """The ranks of one launcher, as a context manager at whose end all of them have ended.

    On this machine each rank writes to a pipe of its own: lines never mix, and a process that a rank leaves in the
    background cannot hold the launcher's output open. The pipes, and what the ranks tell of a failure, are in *folder*.
    From other hosts lines come through the launcher, which says whose they are.
    Ctrl-C, SIGTERM and SIGHUP end the block, and so the ranks. *attempt* counts the starts of one run, from 1, and
    the environment of *command* has its `tags`.
    """

    def __init__(
        self, launcher: Launcher, command: Command, ranks: int, folder: Path, out: BinaryIO, attempt: int = 1
    ) -> None:
        self._launcher, self._command, self._ranks, self._folder = launcher, command, ranks, folder
        self._attempt = attempt
        self._tag = command.env[processes.JOB_TAG]
        self._lines = RankLines(out, prefixed=ranks > 1)
        self._last_words = Tail(LAST_WORDS, prefixed=False)
        self._selector = selectors.DefaultSelector()
        self._elsewhere = elsewhere(launcher)
        self._rest = b""
        self._told = False

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            for number in (signal.SIGTERM, signal.SIGHUP):
                stack.callback(signal.signal, number, signal.signal(number, _leave))
            for rank in range(0 if self._elsewhere else self._ranks):
                self._read_from(_own_pipe(self._folder / f"rank-{rank}.log"), rank, stack)
            self._process = self._start()
            assert self._process.stdout is not None
            os.set_blocking(self._process.stdout.fileno(), False)
            self._read_from(os.dup(self._process.stdout.fileno()), LAUNCHER_LOG, stack)
            self._read_from(os.pidfd_open(self._process.pid), None, stack)
            self._clean_up = stack.pop_all()
        return self

    def _read_from(self, source: int, rank: int | None, stack: contextlib.ExitStack) -> None:
        stack.callback(os.close, source)
        self._selector.register(source, selectors.EVENT_READ, rank)

    def _start(self) -> subprocess.Popen[bytes]:
        places = {} if self._elsewhere else dict.fromkeys(("ALLGRAD_LOG_DIR", processes.RUN_DIR), str(self._folder))
        return subprocess.Popen(
            self._command.argv,
            env={**self._command.env, **places},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C comes to us alone, and we end the ranks in order
        )

    def wait(self) -> Ending:
        """Pass the ranks' lines on until the launcher has ended; return how."""
        while self._pass_on():
            pass
        returncode = self._process.wait()
        self._drain()
        return self._launcher.ending(returncode, "\n".join(self._last_words.lines()))

    def last_words(self) -> list[str]:
        """What the launcher itself printed last; nothing if a rank has already told of its failure."""
        if self._told or (self._folder / "failure.json").exists():
            return []
        return [line for line in self._last_words.lines() if line.strip(" -")]

    def _pass_on(self, timeout: float | None = None) -> bool:
        """Hand on what has been printed, waiting for it if need be; return whether the launcher goes on."""
        going_on = True
        for key, _ in self._selector.select(timeout):
            if key.data is None:
                going_on = False
            else:
                self._read(key)
        return going_on

    def _catch_up(self) -> None:
        self._pass_on(timeout=0)

    def _read(self, key: selectors.SelectorKey) -> bool:
        try:
            data = os.read(key.fd, READ_SIZE)
        except BlockingIOError:
            return False
        if not data:
            self._selector.unregister(key.fd)
        elif key.data == LAUNCHER_LOG:
            self._hear(data)
        else:
            self._lines.feed(key.data, data)
        return bool(data)

    def _hear(self, data: bytes) -> None:
        """Take what comes through the launcher: its own words, and the lines of ranks on other hosts."""
        if not self._elsewhere:
            self._last_words.feed(LAUNCHER_LOG, data)
            return
        *whole, self._rest = (self._rest + data).split(b"\n")
        for line in whole:
            rank, text = self._launcher.told(line)
            if rank is None:
                self._last_words.feed(LAUNCHER_LOG, text + b"\n")
            else:
                self._told = self._told or text.startswith(_FAILURE)
                self._lines.feed(rank, text + b"\n")

    def _drain(self) -> None:
        for key in [key for key in self._selector.get_map().values() if key.data is not None]:
            while self._read(key):
                pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._clean_up:
            ctrl_c = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one must not leave ranks behind
            self._clean_up.callback(signal.signal, signal.SIGINT, ctrl_c)
            if isinstance(error, BrokenPipeError):
                self._lines.silence()
            processes.end(
                lambda: processes.tagged(self._tag, self._attempt),
                GRACE,
                spare=lambda process: process.name in self._launcher.helpers,
                meanwhile=self._catch_up,
            )
            self._process.wait()
            self._drain()
            self._hear(b"\n" if self._rest else b"")
            self._lines.close()
            for trouble in reach.sweep(self._launcher.hosts, self._tag, self._attempt, GRACE, self._command.env):
                sys.stderr.write(f"allgrad: {trouble}\n")


def _own_pipe(path: Path) -> int:
    os.mkfifo(path, 0o600)
    # Open for writing too: it then opens at once, and has no end while ranks come and go.
    return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)


def _leave(number: int, frame: FrameType | None) -> NoReturn:
    raise EndedBySignal(number)
