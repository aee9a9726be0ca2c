"""``allgrad submit --launcher slurm`` to a real Slurm of two nodes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from allgrad.server import Client, Job, JobState, Metrics
from allgrad.server.checkup import Verdict, slurm
from allgrad.server.home import Home
from allgrad.server.supervisor import processes
from tests.server.conftest import JOBS, ServerProcess, served, wait_for

from .hosts import Lab
from .jobs import WHERE, ended, left, running

pytestmark = pytest.mark.cluster
ON_TWO_NODES: dict[str, Any] = {"ranks": 2, "launcher": "slurm", "launcher_options": {"nodes": "2"}}


@pytest.fixture
def server(slurm_variables: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ServerProcess]:
    for name, value in slurm_variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMPI_MCA_btl_tcp_if_include", "10.77.0.0/24")
    yield from served(tmp_path / "home", slots=1)


def asked(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.strip()


def batch_job(client: Client, job: Job) -> str:
    return asked("squeue", "--noheader", f"--name=allgrad-{job.id}-{client.get(job.id).attempt}", "--format=%i")


def test_ranks_start_on_the_nodes_and_report(client: Client, tmp_path: Path) -> None:
    (tmp_path / "where.py").write_text(WHERE + "dist.report(1, loss=0.5)\n")
    job = client.submit([str(tmp_path / "where.py")], **ON_TWO_NODES)
    job = ended(client, job)
    assert (job.state, job.reason) == (JobState.SUCCEEDED, "")
    logs = [b"".join(chunk.data for chunk in client.logs(job.id, rank)).decode() for rank in range(2)]
    assert sorted(log.splitlines()[0].split()[2] for log in logs) == ["agh1", "agh2"]
    assert [event.values for event in client.watch(job.id) if isinstance(event, Metrics)] == [{"loss": 0.5}]


def test_a_rank_that_fails_is_named(client: Client, two_hosts: Lab) -> None:
    job = client.submit([str(JOBS / "failing.py"), "raise", "1"], ranks=2, launcher="slurm")
    job = ended(client, job)
    assert job.state is JobState.FAILED
    assert job.reason.startswith("rank 1 on agh")
    assert job.reason.endswith("ValueError: the data are bad")
    assert left(two_hosts, job) == []


def test_what_slurm_holds_back_says_why_and_is_cancelled(client: Client) -> None:
    subprocess.run(["scontrol", "update", "PartitionName=main", "State=DOWN"], check=True)
    try:
        job = client.submit(["true"], launcher="slurm")
        wait_for(lambda: "PartitionDown" in client.get(job.id).reason)
        told = client.explain(job.id)
        assert told.job.state is JobState.STARTING
        assert told.causes == (f"waits in Slurm as job {batch_job(client, job)}: PartitionDown",)
        client.cancel(job.id)
        job = ended(client, job)
        assert (job.state, job.exit_code) == (JobState.CANCELLED, None)
        assert batch_job(client, job) == ""
    finally:
        subprocess.run(["scontrol", "update", "PartitionName=main", "State=UP"], check=True)


def test_cancelling_leaves_nothing_on_any_node(client: Client, two_hosts: Lab) -> None:
    job = running(client, "stubborn.py", **ON_TWO_NODES)
    assert len(left(two_hosts, job)) >= 4
    begun = time.monotonic()
    client.cancel(job.id)
    assert ended(client, job).state is JobState.CANCELLED
    assert left(two_hosts, job) == []
    assert time.monotonic() - begun < 30


def test_a_server_that_is_killed_finds_its_jobs_in_slurm_again(server: ServerProcess, two_hosts: Lab) -> None:
    with server.client() as client:
        job = running(client, "reporting.py", "30", "0.05", "0", "10", **ON_TWO_NODES)
        number = batch_job(client, job)
    server.kill()
    for process in processes.tagged(job.id, 1):  # its supervisor too, as if the machine had been switched off
        if process.name.startswith("python") and b"--inside" not in Path(f"/proc/{process.pid}/cmdline").read_bytes():
            os.kill(process.pid, signal.SIGKILL)
            break
    server.start()
    Path(job.output_dir, "go").touch()
    with server.client() as client:
        assert batch_job(client, job) == number
        job = ended(client, job)
        assert (job.state, job.attempt) == (JobState.SUCCEEDED, 1)
        assert [event.step for event in client.watch(job.id) if isinstance(event, Metrics)] == list(range(1, 31))


def test_what_a_person_cancels_in_slurm_is_cancelled_and_its_time_limit_is_a_timeout(client: Client) -> None:
    job = running(client, "careful.py", **ON_TWO_NODES)
    asked("scancel", batch_job(client, job))
    job = ended(client, job)
    assert job.state is JobState.CANCELLED
    waits = client.submit([str(JOBS / "careful.py")], launcher="slurm", max_runtime=3.0)
    waits = ended(client, waits)
    assert (waits.state, waits.exit_code) == (JobState.FAILED, 124)


def test_a_node_that_fails_is_a_loss_and_is_tried_again(client: Client, two_hosts: Lab) -> None:
    job = client.submit([str(JOBS / "careful.py")], launcher="slurm", launcher_options={"nodes": "1"}, retries=1)
    wait_for(lambda: client.get(job.id).state is JobState.RUNNING)
    node = asked("squeue", "--noheader", f"--jobs={batch_job(client, job)}", "--format=%N")
    asked("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=broken")
    try:
        wait_for(lambda: client.get(job.id).failures == {"lost": 1})
        assert "after: Slurm job " in client.get(job.id).reason
        assert "is node fail" in client.get(job.id).reason
    finally:
        subprocess.run(
            ["scontrol", "update", f"NodeName={node}", "State=RESUME"], check=False
        )  # unless it is back already
        client.cancel(job.id)
        ended(client, job)


def test_what_slurm_does_not_take_is_told_in_its_words(client: Client) -> None:
    job = ended(client, client.submit(["true"], launcher="slurm", launcher_options={"partition": "nowhere"}))
    assert (job.state, job.exit_code) == (JobState.FAILED, 127)
    assert "Slurm does not take the job; sbatch: error: " in job.reason


@pytest.fixture
def folder_of_its_own(two_hosts: Lab) -> Iterator[Path]:
    """A folder that no other host of the lab sees: each has its own /dev/shm."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


def test_the_doctor_says_whether_nodes_see_the_folder_of_the_server(
    slurm_variables: dict[str, str], two_hosts: Lab, folder_of_its_own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in slurm_variables.items():
        monkeypatch.setenv(name, value)
    shared = {each.name: each for each in slurm.check_up(Home(two_hosts.folder))}
    assert {each.verdict for each in shared.values()} == {Verdict.OK}, shared
    assert shared["slurm nodes"].found == "main* with 2 of 2 nodes"
    assert shared["slurm node"].found == f"has the same allgrad, sees {two_hosts.folder}"
    (node,) = [each for each in slurm.check_up(Home(folder_of_its_own)) if each.verdict is not Verdict.OK]
    assert (node.name, node.found) == ("slurm node", f"it does not see {folder_of_its_own}, where jobs lie")
