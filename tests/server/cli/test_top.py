"""``allgrad top`` on a terminal: it shows the job that one goes to, and leaves the terminal as it was."""

from __future__ import annotations

import os
import subprocess
import termios
import time

import pytest

from .conftest import CommandLine


class Screen:
    """A terminal in which a command runs."""

    def __init__(self, client: CommandLine, *arguments: str) -> None:
        self._ours, self.theirs = os.openpty()
        env = {**client.env, "COLUMNS": "100", "LINES": "30", "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        self.before = termios.tcgetattr(self.theirs)
        tty = self.theirs
        self.process = subprocess.Popen(
            client.command(*arguments), cwd=client.folder, env=env, stdin=tty, stdout=tty, stderr=tty
        )

    def press(self, keys: str) -> None:
        """Type *keys*."""
        os.write(self._ours, keys.encode())

    def until(self, text: str) -> None:
        """Read until *text* has been drawn."""
        seen, deadline = "", time.monotonic() + 60
        while text not in seen:
            assert time.monotonic() < deadline, f"{text!r} was not drawn"
            seen += os.read(self._ours, 65536).decode(errors="replace")

    def close(self) -> None:
        """End the command if it still runs."""
        self.process.kill()
        self.process.wait()
        os.close(self._ours)
        os.close(self.theirs)


@pytest.fixture
def jobs(server: CommandLine) -> list[str]:
    """Jobs that have printed their number, the newest first."""
    made: list[str] = []
    for number in range(3):
        made.insert(0, server("submit", "echo", f"said by {number}").stdout.strip())
    server("wait", *made)
    return made


def test_arrows_go_to_another_job_and_q_leaves_the_terminal_as_it_was(server: CommandLine, jobs: list[str]) -> None:
    screen = Screen(server, "top", "--every", "60", "--job", jobs[0])
    try:
        screen.until("said by 2")
        screen.press("\x1b[B")
        screen.until(f"log of {jobs[1]}")
        screen.until("said by 1")
        screen.press("jk\x1b[A\x1b[A")
        screen.until(f"log of {jobs[0]}")
        screen.until("said by 2")
        screen.press("q")
        screen.until("\x1b[?1049l")
        assert screen.process.wait(timeout=60) == 0
        assert termios.tcgetattr(screen.theirs) == screen.before
    finally:
        screen.close()


def test_ctrl_c_leaves_too(server: CommandLine, jobs: list[str]) -> None:
    screen = Screen(server, "top")
    try:
        screen.until("slots in use")
        screen.process.send_signal(2)
        assert screen.process.wait(timeout=60) == 130
        assert termios.tcgetattr(screen.theirs) == screen.before
    finally:
        screen.close()
