"""Jobs under another account than the server's: real ranks of it, which the server's account may neither see into nor end.

The server runs as one account and the jobs as another, both without rights over processes that are not theirs; where
sudo would let it change accounts, setpriv does.
"""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from allgrad.server import Client, Job, JobState, Metrics, RetryRule
from allgrad.server.supervisor import processes
from tests.server.conftest import ServerProcess

SERVER, USER = "daemon", "nobody"
# Reading all files lets both use this Python, wherever it is.
_READ = "+dac_read_search"
_CHANGE = f"{_READ},+setuid,+setgid,+setpcap"


def _as(user: str, group: str, rights: str) -> list[str]:
    # securebits: or access(2), by which Open MPI looks for programs, would not know of the right to read.
    ids = [f"--reuid={user}", f"--regid={group}", "--clear-groups", "--securebits=+no_setuid_fixup"]
    return ["setpriv", *ids, f"--inh-caps=-all,{rights}", f"--ambient-caps=-all,{rights}", "--"]


def _is_possible() -> bool:
    if os.geteuid() != 0 or not shutil.which("setpriv"):
        return False
    nested = [
        *_as(SERVER, "daemon", _CHANGE),
        *_as(USER, "nogroup", _READ),
        sys.executable,
        "-c",
        "import allgrad.dist",
    ]
    return subprocess.run(nested, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not _is_possible(), reason="changing accounts needs root, setpriv, daemon and nobody")


class _ServerOf(ServerProcess):
    """A server that runs under the account SERVER."""

    lead = (*_as(SERVER, "daemon", _CHANGE), "env", "SECRET=hidden")


@pytest.fixture(scope="module")
def place() -> Iterator[Path]:
    """A folder that both accounts may enter, with one of their own in it for each."""
    with tempfile.TemporaryDirectory(prefix="allgrad-accounts-") as name:
        path = Path(name)
        path.chmod(0o755)
        for user in (SERVER, USER):
            (path / user).mkdir(mode=0o700)
            shutil.chown(path / user, user)
        yield path


@pytest.fixture(scope="module")
def server(place: Path) -> Iterator[ServerProcess]:
    command = shlex.join(_as("{user}", "nogroup", _READ))
    made = _ServerOf(
        place / SERVER / "home",
        run_as_command=command,
        run_as_folder=f"{place}/{{user}}",
        slots=4,
        bind=False,
        host_patience=5.0,
    )
    made.start()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def user(server: ServerProcess) -> Iterator[Client]:
    """The client of somebody who has an account."""
    with server.client() as admin:
        _, secret = admin.access.create_token(USER, scope="submit")
    with Client(home=server.home, token=secret) as client:
        yield client


@pytest.fixture
def submit(user: Client, place: Path) -> Callable[..., Job]:
    """Submits the script of a text."""

    def make(text: str, *, ranks: int = 1, **given: object) -> Job:
        folder = Path(tempfile.mkdtemp(dir=place))
        folder.chmod(0o755)
        (folder / "script.py").write_text(textwrap.dedent(text))
        return user.submit(["script.py"], ranks=ranks, workdir=str(folder), **given)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="module")
def of_user() -> Callable[[], list[str]]:
    """The names of the account's living processes that were not there before."""

    def living() -> dict[int, str]:
        number = pwd.getpwnam(USER).pw_uid
        return {each.pid: each.name for each in processes.everything() if processes.owner(each) == number}

    before = living()
    return lambda: [name for pid, name in living().items() if pid not in before]


def log_of(client: Client, job: Job) -> str:
    return b"".join(chunk.data for chunk in client.logs(job.id, rank=None)).decode()


def log_of_running(client: Client, job: Job) -> str:
    return log_of(client, job) if client.get(job.id).state is JobState.RUNNING else ""


@pytest.mark.parametrize("ranks", [1, 2])
def test_ranks_run_under_the_account_and_what_they_write_comes_to_the_server(
    submit: Callable[..., Job], user: Client, finished: Callable[[Client, Job], Job], place: Path, ranks: int
) -> None:
    job = finished(
        user,
        submit(
            """
            import os, pwd
            from pathlib import Path
            from allgrad import dist
            dist.init()
            print(pwd.getpwuid(os.getuid()).pw_name, os.environ.get("SECRET"), os.environ["USER"])
            dist.report(1, loss=0.5)
            Path(os.environ["ALLGRAD_OUTPUT_DIR"], f"of-{dist.rank()}").write_text("kept")
            """,
            ranks=ranks,
        ),
    )
    assert job.exit_code == 0, job.reason
    assert log_of(user, job).count(f"{USER} None {USER}") == ranks
    names = {artifact.path for artifact in user.files.artifacts(job.id)[0]}
    assert {f"of-{rank}" for rank in range(ranks)} <= names
    assert list((place / USER).iterdir()) == []
    owner = (place / SERVER / "home" / "jobs" / job.id / "output" / "of-0").stat().st_uid
    assert pwd.getpwuid(owner).pw_name == SERVER


def test_how_it_ended_is_told(submit: Callable[..., Job], user: Client, finished: Callable[[Client, Job], Job]) -> None:
    assert finished(user, submit("import sys; sys.exit(3)")).exit_code == 3
    assert "no such luck" in finished(user, submit("raise ValueError('no such luck')", ranks=2)).reason
    killed = finished(user, submit("import os; os.kill(os.getpid(), 9)", ranks=2))
    assert killed.exit_code == 137


def test_what_ignores_sigterm_and_hides_is_ended(
    submit: Callable[..., Job],
    user: Client,
    finished: Callable[[Client, Job], Job],
    eventually: Callable[..., None],
    of_user: Callable[[], list[str]],
) -> None:
    job = submit(
        """
        import signal, subprocess, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen(["setsid", "env", "-i", "sleep", "600"])
        print("up", flush=True)
        time.sleep(600)
        """,
        ranks=2,
    )
    eventually(lambda: log_of_running(user, job).count("up") == 2)
    user.cancel(job.id)
    assert finished(user, job).state is JobState.CANCELLED
    assert of_user() == []


@pytest.mark.parametrize("killed", ["supervisor.shim", "supervisor.keeper"])
def test_nothing_stays_when_what_holds_the_ranks_is_killed(
    submit: Callable[..., Job],
    user: Client,
    finished: Callable[[Client, Job], Job],
    eventually: Callable[..., None],
    of_user: Callable[[], list[str]],
    killed: str,
) -> None:
    job = submit(
        "import time\nfrom allgrad import dist\ndist.report(0, loss=1.0)\nprint('up', flush=True)\ntime.sleep(8)",
        ranks=2,
    )
    eventually(lambda: log_of_running(user, job).count("up") == 2)
    told = f"{killed}\0".encode(), job.id.encode()
    for process in processes.everything():
        line = Path(f"/proc/{process.pid}/cmdline").read_bytes()
        if all(word in line for word in told):
            os.kill(process.pid, signal.SIGKILL)
    ended = finished(user, job)
    expected = JobState.FAILED if killed == "supervisor.shim" else JobState.SUCCEEDED
    assert ended.state is expected, ended.reason
    eventually(lambda: of_user() == [])
    assert [event.values for event in user.watch(job.id) if isinstance(event, Metrics)] == [{"loss": 1.0}]


def test_a_later_attempt_goes_on_from_the_checkpoint(
    submit: Callable[..., Job], user: Client, finished: Callable[[Client, Job], Job], place: Path
) -> None:
    job = finished(
        user,
        submit(
            """
            import os, sys
            import allgrad as torch
            from allgrad import dist
            if resume := os.environ.get("ALLGRAD_RESUME"):
                print("goes on from", torch.load(resume)["step"], resume)
                sys.exit(0)
            path = os.path.join(os.environ["ALLGRAD_OUTPUT_DIR"], "checkpoint.pt")
            torch.save({"step": 7}, path)
            dist.report_checkpoint(path, 7)
            sys.exit(5)
            """,
            retries=[RetryRule(1, backoff=0.0)],
        ),
    )
    assert job.exit_code == 0, job.reason
    assert job.checkpoint == str(place / SERVER / "home" / "jobs" / job.id / "output" / "checkpoint.pt")
    assert f"goes on from 7 {place / USER / job.id}" in log_of(user, job)


def test_what_cannot_start_says_why(server: ServerProcess, finished: Callable[[Client, Job], Job], place: Path) -> None:
    with server.client() as admin:
        _, secret = admin.access.create_token("bin", scope="submit")
    with Client(home=server.home, token=secret) as client:
        job = finished(client, client.submit(["true"], workdir=str(place)))
    assert job.exit_code == 127
    assert "the account bin" in job.reason
    assert "Permission denied" in job.reason
