"""Real servers in processes of their own, and the jobs they run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from allgrad.server import AsyncClient, Client, Job
from allgrad.server.supervisor import processes

JOBS = Path(__file__).parent / "programs"
MPICH = Path(__file__).parents[2] / ".venv-mpich" / "bin"
PATIENCE = 60.0
"""Seconds to wait for what comes at once when all is well."""
_SERVE = "import json, sys; from allgrad.server import serve; serve(**json.loads(sys.argv[1]))"


class ServerProcess:
    """A server on a folder of its own and a free port."""

    lead: tuple[str, ...] = ()
    """What leads the command that starts it."""

    def __init__(self, home: Path, python: str = sys.executable, path: str = "", **settings: object) -> None:
        self.home = home
        self._python = python
        self._env = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"} if path else None
        self._settings = {"home": str(home), "port": 0, "slots": 4, "grace": 1.0, **settings}
        self._process: subprocess.Popen[str] | None = None
        self.announced = ""

    def start(self) -> ServerProcess:
        """Start it, and return once it serves."""
        command = [*self.lead, self._python, "-c", _SERVE, json.dumps(self._settings)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=self._env)
        assert self._process.stdout is not None
        self.announced = self._process.stdout.readline()
        assert "serves at" in self.announced
        return self

    def next_line(self) -> str:
        """Wait for the next line that it prints, and return it."""
        assert self._process is not None
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()

    def stop(self) -> str:
        """End it as an administrator would; return what it said."""
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        said, _ = self._process.communicate(timeout=PATIENCE)
        assert self._process.returncode == 0
        return said

    @property
    def pid(self) -> int:
        """Its process, which is there."""
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    def client(self) -> Client:
        """Return a client of it."""
        return Client(home=self.home)

    def async_client(self) -> AsyncClient:
        """Return an asynchronous client of it."""
        return AsyncClient(home=self.home)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server that the tests of a module share."""
    yield from served(tmp_path_factory.mktemp("home"))


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ServerProcess]:
    """A server that a test may kill."""
    yield from served(tmp_path / "home")


@pytest.fixture
def server_with(tmp_path: Path) -> Iterator[Callable[..., ServerProcess]]:
    """Starts a server with settings of one's own."""
    yield from starter(tmp_path / "home")


@pytest.fixture(scope="module")
def shared_server_with(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServerProcess]]:
    """Starts a server with settings of one's own, which the tests of a module share."""
    yield from starter(tmp_path_factory.mktemp("shared") / "home")


@pytest.fixture(scope="module", params=["Open MPI", "MPICH"])
def any_client(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a server that starts its ranks with one MPI, then with the other."""
    folder = tmp_path_factory.mktemp("any-mpi")
    other: dict[str, str] = {}
    if request.param == "MPICH":
        assert (MPICH / "mpirun").is_file(), "there is no MPICH in .venv-mpich: run make mpich (make test does)"
        other = {"python": python_beside_no_mpi(folder / "python"), "path": str(MPICH)}
    for server in served(folder / "home", **other):
        with server.client() as client:
            assert client.info().mpi.startswith(request.param)
            yield client


def python_beside_no_mpi(folder: Path) -> str:
    """Make an environment that has all of this one's packages, but not its mpirun, which would come before that on PATH."""
    venv.create(folder, symlinks=True)
    packages = sysconfig.get_path("purelib", vars={"base": str(folder)})
    (Path(packages) / "all.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return str(folder / "bin" / "python")


def starter(home: Path) -> Iterator[Callable[..., ServerProcess]]:
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(contextmanager(served)(home, **settings))


def served(home: Path, python: str = sys.executable, path: str = "", **settings: object) -> Iterator[ServerProcess]:
    server = ServerProcess(home, python, path, **settings).start()
    yield server
    if server.running:
        with server.client() as client:
            for job in client.list():
                if not job.state.terminal:
                    client.cancel(job.id)
                    wait_for(lambda job=job: client.get(job.id).state.terminal)  # type: ignore[misc]
        server.stop()


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    """A client of the shared server."""
    with server.client() as client:
        yield client


@pytest.fixture
def job_script() -> Callable[[str], str]:
    """The path of one of the scripts in programs/."""
    return lambda name: str(JOBS / f"{name}.py")


@pytest.fixture
def finished() -> Callable[[Client, Job], Job]:
    """Waits for the end of a job, and returns it as it is then."""

    def finish(client: Client, job: Job) -> Job:
        for _ in client.watch(job.id):
            pass
        return client.get(job.id)

    return finish


@pytest.fixture
def eventually() -> Callable[[Callable[[], object]], None]:
    """Waits for a condition, and fails if it does not come to be within PATIENCE."""
    return wait_for


def wait_for(condition: Callable[[], object]) -> None:
    """Wait for a condition, and fail if it does not come to be within PATIENCE."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        time.sleep(0.02)


@pytest.fixture
def survivors() -> Callable[[Job], list[str]]:
    """The names of the living processes of a job."""

    def find(job: Job) -> list[str]:
        return [process.name for process in processes.tagged(job.id, 1) if process.pid != os.getpid()]

    return find


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, in turn, by its name at that moment."""
    names: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        names.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")).name)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    return names
