"""Jobs whose ranks are on other hosts, with an ssh that reaches all of them here: the processes are real, the network is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from allgrad.server import Alert, Client, Host, HostSlots, Job, JobState, Metrics, RetryRule, checkup
from allgrad.server.errors import InvalidRequest
from allgrad.server.launchers import reach
from allgrad.server.supervisor import keeper, processes
from allgrad.server.supervisor.attempt import RunDir

if TYPE_CHECKING:
    from tests.server.conftest import ServerProcess

Script = Callable[[str], str]
Finished = Callable[[Client, Job], Job]
Survivors = Callable[[Job], list[str]]
Eventually = Callable[[Callable[[], object]], None]
PATIENCE = 5.0
_SSH = """#!/bin/sh
while [ "${{1#-}}" != "$1" ]; do case $1 in -o) shift 2;; *) shift;; esac; done
[ "$1" = closed ] && {{ echo "closed: Permission denied (publickey)." >&2; exit 255; }}
[ -e {down} ] && {{ echo "ssh: connect to host $1 port 22: No route to host" >&2; exit 255; }}
shift
exec env -i HOME="$HOME" PATH=/usr/local/bin:/usr/bin:/bin sh -c "$*"
"""


@dataclass
class Network:
    """Hosts of any name, all of them here; *down*: a file that, while it exists, keeps ssh from getting anywhere."""

    ssh: Path
    down: Path


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("network")
    made = Network(folder / "ssh", folder / "down")
    made.ssh.write_text(_SSH.format(down=made.down))
    made.ssh.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ALLGRAD_SSH", str(made.ssh))
        yield made


@pytest.fixture(scope="module")
def client(network: Network, shared_server_with: Callable[..., ServerProcess]) -> Iterator[Client]:
    with shared_server_with(host_patience=PATIENCE, slots=1).client() as client:
        yield client


def until_all_print(client: Client, job: Job) -> None:
    for rank in range(job.ranks):
        for _ in client.logs(job.id, rank, follow=True):
            break


def keepers(job: Job) -> list[int]:
    """The keepers of a job, as they run on its hosts."""
    found = subprocess.run(
        ["pgrep", "-f", f"^[^ ]*python.*{keeper.__name__} {job.id} "], capture_output=True, check=False
    )
    return [int(pid) for pid in found.stdout.split()]


def test_ranks_on_a_host_report_and_log_and_take_no_slots_here(
    client: Client, job_script: Script, finished: Finished
) -> None:
    here = client.submit([job_script("careful")])
    job = client.submit([job_script("reporting"), "3", "0"], hosts="far:2", env={"COLOUR": "green"})
    assert (job.ranks, job.spec.hosts) == (2, (Host("far", 2),))
    job = finished(client, job)
    assert (job.state, job.reason) == (JobState.SUCCEEDED, "")
    assert [event.step for event in client.watch(job.id) if isinstance(event, Metrics)] == [1, 2, 3]
    logs = {chunk.rank: chunk.data for chunk in client.logs(job.id, rank=None)}
    assert logs[1].startswith(b"rank 1 step 1\n")
    client.cancel(here.id)


def test_slots_of_hosts_that_the_server_was_told_of_are_counted(
    network: Network, server_with: Callable[..., ServerProcess], job_script: Script, finished: Finished
) -> None:
    with server_with(hosts="far:2,near:1", slots=1).client() as client:
        first = client.submit([job_script("careful")], hosts="far:2")
        until_all_print(client, first)
        second = client.submit(["true"], hosts="far:1")
        assert client.get(second.id).reason == "waits for 1 slot of far: 0 of 2 free"
        elsewhere = client.submit(["true"], hosts="near")
        assert finished(client, elsewhere).state is JobState.SUCCEEDED
        assert client.info().hosts == (HostSlots("far", 2, 0), HostSlots("near", 1, 1))
        with pytest.raises(InvalidRequest, match="3 ranks cannot run on far; it has 2 slots"):
            client.submit(["true"], hosts="far:3")
        with pytest.raises(InvalidRequest, match="ranks cannot run on other; the server counts the slots of far, near"):
            client.submit(["true"], hosts="far:1,other:1")
        client.cancel(first.id)
        assert finished(client, second).state is JobState.SUCCEEDED


def test_cancelling_ends_ranks_on_hosts_that_ignore_it_and_their_daemons(
    client: Client, job_script: Script, finished: Finished, survivors: Survivors
) -> None:
    job = client.submit([job_script("stubborn")], hosts=[Host("far", 2)])
    until_all_print(client, job)
    client.cancel(job.id)
    job = finished(client, job)
    assert job.state is JobState.CANCELLED
    assert survivors(job) == []
    assert keepers(job) == []
    assert (job.finished or 0.0) - (job.started or 0.0) < 300, "the job itself would go on for ten minutes"


def test_a_host_that_lets_nobody_in_is_told_at_once_and_can_be_tried_again(client: Client, finished: Finished) -> None:
    job = finished(client, client.submit(["true"], hosts="closed"))
    assert (job.state, job.exit_code) == (JobState.FAILED, 127)
    assert "cannot reach the host closed; closed: Permission denied (publickey)." in job.reason
    assert "BatchMode=yes" in job.reason
    rule = RetryRule(1, backoff=0.0)
    again = finished(client, client.submit(["true"], hosts="closed", retries=[rule]))
    assert (again.attempt, again.failures) == (2, {"lost": 1})


def test_whether_a_host_shares_the_servers_folder_is_seen_and_what_it_lacks_is_told(
    network: Network, tmp_path: Path
) -> None:
    (tmp_path / "order.json").touch()
    (shared,) = reach.look([Host("far")], "/", shared=str(tmp_path / "order.json"))
    (apart,) = reach.look([Host("far")], "/nonexistent", shared=str(tmp_path / "none" / "order.json"), comes=True)
    (lacks,) = reach.look([Host("far")], "/nonexistent", shared=str(tmp_path / "none" / "order.json"))
    assert (shared.trouble, shared.apart, apart.trouble, apart.apart) == (None, False, None, True)
    assert "No such file or directory: '/nonexistent'" in str(lacks.trouble)
    assert "allgrad submit --workdir" in str(lacks.trouble)


def test_another_version_on_a_host_is_told(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "version", lambda package: "9.9")
    (found,) = reach.look([Host("far")], "/")
    assert "and here 9.9; install allgrad there" in str(found.trouble)


def test_a_host_of_which_nothing_is_heard_is_lost(
    network: Network, client: Client, job_script: Script, finished: Finished, survivors: Survivors
) -> None:
    job = client.submit([job_script("careful")], hosts="far:2")
    until_all_print(client, job)
    network.down.touch()
    try:
        for pid in keepers(job):
            os.kill(pid, signal.SIGKILL)
        lost = finished(client, job)
    finally:
        network.down.unlink()
    assert (lost.state, lost.exit_code) == (JobState.FAILED, 255)
    assert lost.reason.startswith("the host far is lost: nothing is heard of it any more (")
    assert survivors(job) == []


def test_a_connection_that_breaks_and_comes_back_costs_nothing(
    client: Client, job_script: Script, finished: Finished, eventually: Eventually
) -> None:
    job = client.submit([job_script("reporting"), "2", "0", "0", "2"], hosts="far:2")
    eventually(lambda: len(keepers(job)) == 1)
    until_all_print(client, job)
    (first,) = keepers(job)
    os.kill(first, signal.SIGKILL)
    eventually(lambda: keepers(job) and first not in keepers(job))
    Path(job.output_dir, "go").touch()
    job = finished(client, job)
    assert (job.state, job.reason) == (JobState.SUCCEEDED, "")
    assert [event for event in client.watch(job.id) if isinstance(event, Alert)] == []


def test_what_a_host_still_owes_is_fetched_by_the_next_server_and_told_also_of_a_job_that_is_over(
    network: Network,
    server_with: Callable[..., ServerProcess],
    job_script: Script,
    finished: Finished,
    eventually: Eventually,
) -> None:
    server = server_with(host_patience=PATIENCE)
    with server.client() as client:
        job = finished(client, client.submit([job_script("reporting"), "3", "0"], hosts="far:2"))
    server.kill()
    run = RunDir(server.home / "jobs" / job.id / "attempt-1")
    run.note_owed(["far"])
    (run.path / "exit.json").unlink()  # its supervisor may have been killed
    body = '{"seq":4,"time":1.5,"kind":"metrics","step":4,"values":{"loss":0.25}'
    with run.journal.open("a") as journal:
        journal.write(f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\n')
    network.down.touch()
    try:
        server.start()
        with server.client() as client:
            assert client.get(job.id).state is JobState.SUCCEEDED
            assert run.owed() == ["far"]
    finally:
        network.down.unlink()
    eventually(lambda: run.owed() == [])
    with server.client() as client:
        events = list(client.watch(job.id))
        assert [event.step for event in events if isinstance(event, Metrics)] == [1, 2, 3, 4]
        assert isinstance(events[-1], Alert)
        assert events[-1].message == "what ranks had written on far has been fetched"
        assert client.get(job.id).state is JobState.SUCCEEDED


def test_doctor_looks_at_hosts(network: Network) -> None:
    found = list(checkup.hosts([Host("far"), Host("far", 100_000), Host("closed")]))
    assert [finding.verdict.value for finding in found] == ["ok", "warning", "problem"]
    assert "Permission denied" in found[2].found


@pytest.mark.parametrize(
    ("hosts", "ranks", "message"),
    [
        ("a:2,b", 4, r"4 ranks do not fit on the hosts a:2,b:1; they have 3 slots"),
        ([Host("-oProxyCommand=x")], 1, "cannot use the host"),
        ([Host("a", 0)], 1, "cannot use the host"),
        ([Host("a"), Host("a")], 1, "each named once"),
        ("localhost:2", 2, "the server has 1 slot"),
    ],
)
def test_hosts_that_cannot_be_used_are_refused(
    client: Client, hosts: str | list[Host], ranks: int, message: str
) -> None:
    with pytest.raises(InvalidRequest, match=message):
        client.submit(["true"], hosts=hosts, ranks=ranks)


@pytest.fixture
def rank() -> Iterator[subprocess.Popen[bytes]]:
    """A process that bears the tags of a rank of the first attempt of job `kept`, and ignores SIGTERM."""
    tags = {processes.JOB_TAG: "kept", processes.ATTEMPT_TAG: "1", processes.RUN_DIR: "/nowhere"}
    code = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", code], env={**os.environ, **tags}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def keep(patience: float) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", keeper.__name__, "kept", "1", "0.2", str(patience)]
    started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.write(b"beat\n")
    assert started.stdout.readline() == b"beat\n"
    return started


@pytest.mark.parametrize("how", ["end", "silence", "hanging up"])
def test_a_keeper_ends_the_ranks_when_told_to_and_when_nobody_speaks_with_it_any_more(
    rank: subprocess.Popen[bytes], how: str
) -> None:
    with keep(1.0) as kept:
        assert kept.stdin is not None
        assert kept.stdout is not None
        if how == "end":
            kept.stdin.write(b"end 0.1\n")
        elif how == "hanging up":
            kept.stdin.close()
        assert rank.wait(timeout=60) == -signal.SIGKILL
        assert kept.stdout.read().endswith(b"ended\n")


def test_a_keeper_whose_supervisor_has_come_back_leaves_the_ranks_to_the_younger_one(
    rank: subprocess.Popen[bytes],
) -> None:
    with keep(0.5) as older, keep(30.0) as younger:
        assert older.wait(timeout=60) == 0
        assert rank.poll() is None
        assert younger.stdin is not None
        younger.stdin.write(b"end 0\n")
        assert rank.wait(timeout=60) == -signal.SIGKILL
