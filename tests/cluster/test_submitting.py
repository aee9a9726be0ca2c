"""``allgrad submit`` to hosts over a real sshd: the same guarantees as for ranks on the server's own machine."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from allgrad.server import Client, JobState
from allgrad.server.supervisor import processes
from tests.server.conftest import JOBS, MPICH, ServerProcess, python_beside_no_mpi, served

from .hosts import Lab
from .jobs import WHERE, ended, left, losses, running

pytestmark = pytest.mark.cluster
PATIENCE = 5.0


@pytest.fixture(params=["Open MPI", "MPICH"])
def server(
    request: pytest.FixtureRequest, two_hosts: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServerProcess]:
    """A server on the machine itself, outside of the hosts, with either MPI."""
    monkeypatch.setenv("ALLGRAD_SSH", two_hosts.ssh)
    monkeypatch.setenv("OMPI_MCA_btl_tcp_if_include", "10.77.0.0/24")
    other: dict[str, str] = {}
    if request.param == "MPICH":
        monkeypatch.setenv("MPI4PY_LIBMPI", str(MPICH.parent / "lib" / "libmpi.so.12"))
        other = {"python": python_beside_no_mpi(tmp_path / "python"), "path": str(MPICH)}
    yield from served(tmp_path / "home", **other, host_patience=PATIENCE)


def test_ranks_start_on_the_hosts_and_each_has_its_log(client: Client, where: str, tmp_path: Path) -> None:
    (tmp_path / "where.py").write_text(WHERE)
    job = ended(client, client.submit([str(tmp_path / "where.py")], hosts=where, ranks=3))
    assert (job.state, job.reason) == (JobState.SUCCEEDED, "")
    logs = [b"".join(chunk.data for chunk in client.logs(job.id, rank)).decode() for rank in range(3)]
    assert [log.splitlines()[0] for log in logs] == ["0 3 agh1", "1 3 agh1", "2 3 agh2"]


def test_a_restart_of_the_server_is_invisible_to_ranks_on_hosts(
    server: ServerProcess, two_hosts: Lab, where: str
) -> None:
    with server.client() as client:
        job = running(client, "reporting.py", "40", "0.1", "0", "20", hosts=where)
    server.kill()
    Path(job.output_dir, "go").touch()
    server.start()
    with server.client() as client:
        job = ended(client, job)
        assert (job.state, job.attempt) == (JobState.SUCCEEDED, 1)
        assert losses(client, job) == list(range(1, 41))


def test_cancelling_leaves_nothing_on_any_host(client: Client, two_hosts: Lab, where: str) -> None:
    job = running(client, "stubborn.py", hosts=where)
    assert len(left(two_hosts, job)) >= 8
    begun = time.monotonic()
    client.cancel(job.id)
    assert ended(client, job).state is JobState.CANCELLED
    assert left(two_hosts, job) == []
    assert time.monotonic() - begun < 30


def test_a_rank_that_fails_on_a_host_is_named_with_its_host(client: Client, two_hosts: Lab, where: str) -> None:
    job = ended(client, client.submit([str(JOBS / "failing.py"), "raise", "3"], hosts=where))
    assert (job.state, job.reason) == (JobState.FAILED, "rank 3 on agh2: ValueError: the data are bad")
    assert left(two_hosts, job) == []


def test_a_killed_supervisor_leaves_nothing_on_any_host(client: Client, two_hosts: Lab, where: str) -> None:
    job = running(client, "stubborn.py", hosts=where)
    supervisor = min(processes.tagged(job.id, 1), key=lambda process: process.start)
    os.kill(supervisor.pid, signal.SIGKILL)
    job = ended(client, job)
    assert (job.state, job.exit_code) == (JobState.FAILED, None)
    assert "its supervisor died" in job.reason
    assert left(two_hosts, job) == []


def test_a_host_that_is_cut_off_is_lost_and_ends_its_ranks_by_itself(
    client: Client, two_hosts: Lab, where: str
) -> None:
    job = running(client, "stubborn.py", hosts=where)
    cut_off = two_hosts.hosts[1]
    subprocess.run(["ip", "link", "set", f"{cut_off.name}v", "down"], check=True)
    try:
        job = ended(client, job)
        assert job.state is JobState.FAILED
        assert job.reason.startswith(f"the host {cut_off.address} is lost: nothing is heard of it any more")
        assert left(two_hosts, job) == []
    finally:
        subprocess.run(["ip", "link", "set", f"{cut_off.name}v", "up"], check=True)


def test_a_host_that_is_not_there_is_told(
    client: Client,
) -> None:
    begun = time.monotonic()
    job = ended(client, client.submit(["true"], hosts="no-such-host"))
    assert "cannot reach the host no-such-host; ssh: Could not resolve hostname" in job.reason
    assert time.monotonic() - begun < 30


def test_a_key_that_is_not_known_does_not_make_anybody_wait_for_a_password(
    two_hosts: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALLGRAD_SSH", two_hosts.ssh.replace(str(two_hosts.folder / "id"), "/nonexistent/id"))
    for server in served(tmp_path / "home"):
        with server.client() as client:
            job = client.submit(["true"], hosts=two_hosts.hosts[0].address)
            assert "Permission denied (publickey" in ended(client, job).reason
