"""The real command line in processes of its own, and one real server for each module that asks for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ALLGRAD = Path(sys.executable).with_name("allgrad")
Result = subprocess.CompletedProcess[str]


class CommandLine:
    """``allgrad`` as a person runs it: in a folder, with an environment."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self.folder = folder
        self.env = env

    def command(self, *arguments: str) -> list[str]:
        return [str(ALLGRAD), *arguments]

    def __call__(self, *arguments: str, **env: str) -> Result:
        """Run it to its end."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert "Traceback" not in done.stderr or "allgrad/server" not in done.stderr, done.stderr
        return done

    def start(self, *arguments: str, **env: str) -> subprocess.Popen[str]:
        """Start it, with both outputs on one pipe."""
        return subprocess.Popen(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.env, **env},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def script(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        return path


def clean_environment() -> dict[str, str]:
    """This environment without what would point the command line at a server or colour its output."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("ALLGRAD_", "OMPI_", "PMI", "PRTE_", "NO_COLOR", "FORCE_COLOR"))
    }


@pytest.fixture
def allgrad(tmp_path: Path) -> CommandLine:
    """The command line in an empty folder, with an empty home and no server."""
    return CommandLine(tmp_path, {**clean_environment(), "ALLGRAD_HOME": str(tmp_path / "home")})


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandLine]:
    """The command line in the folder of a server of two slots, which is really running."""
    folder = tmp_path_factory.mktemp("server")
    client = CommandLine(folder, {**clean_environment(), "ALLGRAD_HOME": str(folder / "home")})
    with serving(client, "--slots", "2", "--grace", "1"):
        yield client


@contextmanager
def serving(client: CommandLine, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A server on a free port, from its first line to its end."""
    process = client.start("serve", "--port", "0", *options)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line.startswith("allgrad serves at 127.0.0.1:"), line + process.stdout.read()
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=60)


@pytest.fixture
def processes_of() -> Callable[[Path], Sequence[str]]:
    """Looks for living processes whose command line or environment names a path."""

    def living(path: Path) -> Sequence[str]:
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit() or int(entry.name) == os.getpid():
                continue
            try:
                command = (entry / "cmdline").read_bytes()
                folder = os.readlink(entry / "cwd")
                state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            except OSError:
                continue
            named = str(path).encode() in command or Path(folder).is_relative_to(path)
            if named and state != "Z":
                found.append(f"{entry.name} {command.replace(bytes(1), b' ').decode(errors='replace')}")
        return found

    return living
