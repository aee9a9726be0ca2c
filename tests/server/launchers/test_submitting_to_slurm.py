"""Jobs that Slurm starts, with commands in place of Slurm's own: the processes are real, the cluster is not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from allgrad.server import Client, FailureKind, Job, JobState, Metrics
from allgrad.server.errors import InvalidRequest, LauncherMissing
from allgrad.server.launchers.batch import Phase
from allgrad.server.launchers.slurm import sighting
from allgrad.server.supervisor import processes

from .slurm_commands import on_path

if TYPE_CHECKING:
    from tests.server.conftest import ServerProcess

Script = Callable[[str], str]
Finished = Callable[[Client, Job], Job]
Eventually = Callable[[Callable[[], object]], None]


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Slurm's commands on PATH; gives the link that says where the cluster of the test that runs is."""
    with on_path(tmp_path_factory.mktemp("bin")) as place:
        yield place


@pytest.fixture
def cluster(slurm: Path, tmp_path: Path) -> Iterator[Path]:
    slurm.symlink_to(tmp_path)
    yield tmp_path
    slurm.unlink()


@pytest.fixture(scope="module")
def server(slurm: Path, shared_server_with: Callable[..., ServerProcess]) -> ServerProcess:
    return shared_server_with(slots=1)


@pytest.fixture
def client(cluster: Path, server: ServerProcess) -> Iterator[Client]:
    with server.client() as client:
        yield client


def test_ranks_that_slurm_starts_report_and_log_and_take_no_slots(
    cluster: Path, client: Client, job_script: Script, finished: Finished
) -> None:
    here = client.submit([job_script("careful")])
    more = {"launcher": "slurm", "launcher_options": {"mem": "1G"}}
    job = client.submit([job_script("reporting"), "3", "0"], ranks=2, max_runtime=60, threads=3, **more)  # type: ignore[arg-type]
    job = finished(client, job)
    assert (job.state, job.reason) == (JobState.SUCCEEDED, "")
    assert [event.step for event in client.watch(job.id) if isinstance(event, Metrics)] == [1, 2, 3]
    assert b"rank 1 step 3\n" in b"".join(chunk.data for chunk in client.logs(job.id, rank=1))
    words = (cluster / "job-1" / "words").read_text().split()
    assert {"--ntasks=2", "--cpus-per-task=3", "--no-requeue", "--time=3", "--mem=1G"} <= set(words)
    client.cancel(here.id)


def test_why_slurm_has_not_started_a_job_is_told_and_it_can_be_cancelled(
    cluster: Path, client: Client, finished: Finished, eventually: Eventually
) -> None:
    (cluster / "hold").touch()
    job = client.submit(["true"], launcher="slurm")
    eventually(lambda: client.get(job.id).reason == "waits in Slurm as job 1: Resources")
    told = client.explain(job.id)
    assert (told.job.state, told.causes) == (JobState.STARTING, ("waits in Slurm as job 1: Resources",))
    (cluster / "down").touch()
    eventually(lambda: "slurm does not answer: error: Unable to contact" in client.get(job.id).reason)
    (cluster / "down").unlink()
    client.cancel(job.id)
    job = finished(client, job)
    assert (job.state, job.reason, job.exit_code) == (JobState.CANCELLED, "cancelled", None)
    assert (cluster / "job-1" / "cancelled").exists()


def test_a_job_that_somebody_cancels_in_slurm_before_it_starts_has_no_exit_code(
    cluster: Path, client: Client, finished: Finished, eventually: Eventually
) -> None:
    (cluster / "hold").touch()
    job = client.submit(["true"], launcher="slurm")
    eventually(lambda: client.get(job.id).reason == "waits in Slurm as job 1: Resources")
    subprocess.run(["scancel", "1"], check=True)
    job = finished(client, job)
    assert (job.state, job.exit_code) == (JobState.CANCELLED, None)


def test_a_rank_under_slurm_has_its_grace_when_it_is_cancelled(
    client: Client, job_script: Script, finished: Finished
) -> None:
    job = client.submit([job_script("careful")], launcher="slurm")
    for _ in client.logs(job.id, 0, follow=True):
        break
    client.cancel(job.id)
    assert finished(client, job).state is JobState.CANCELLED
    assert Path(job.output_dir, "saved-0").exists()


def test_a_supervisor_that_is_killed_is_followed_by_one_that_finds_the_job_in_slurm(
    cluster: Path, server: ServerProcess, job_script: Script, finished: Finished, eventually: Eventually
) -> None:
    with server.client() as client:
        job = client.submit([job_script("reporting"), "4", "0", "0", "2"], launcher="slurm")
        eventually(lambda: client.get(job.id).state is JobState.RUNNING)
        record = server.home / "jobs" / job.id / "attempt-1" / "pid.json"
        first = record.read_text()
        outside = [each for each in processes.tagged(job.id, 1) if f'"pid": {each.pid},' in first]
        os.kill(outside[0].pid, signal.SIGKILL)
        eventually(lambda: record.read_text() != first)
        server.kill()
        server.start()
    with server.client() as client:
        Path(job.output_dir, "go").touch()
        job = finished(client, job)
        assert (job.state, job.attempt) == (JobState.SUCCEEDED, 1)
        assert [event.step for event in client.watch(job.id) if isinstance(event, Metrics)] == [1, 2, 3, 4]
    assert len(list(cluster.glob("job-*"))) == 1


@pytest.mark.parametrize(
    ("state", "failure", "code"),
    [("NODE_FAIL", "lost", 1), ("OUT_OF_MEMORY", "oom", 137), ("TIMEOUT", "timeout", 124)],
)
def test_what_slurm_does_to_a_job_is_a_failure_of_its_own_kind(
    cluster: Path, client: Client, finished: Finished, eventually: Eventually, state: str, failure: str, code: int
) -> None:
    (cluster / "hold").touch()
    job = client.submit(["true"], launcher="slurm", retries=1)
    eventually(lambda: client.get(job.id).reason)
    (cluster / "state").write_text(f"{state} None")
    eventually(lambda: client.get(job.id).failures == {failure: 1})
    assert f"Slurm job 1 is {state.lower().replace('_', ' ')}" in client.get(job.id).reason
    client.cancel(job.id)
    (cluster / "hold").unlink()
    assert finished(client, job).state is JobState.CANCELLED


def test_what_slurm_cannot_take_is_told(cluster: Path, client: Client, finished: Finished) -> None:
    job = finished(client, client.submit(["true"], launcher="slurm", launcher_options={"partition": "nowhere"}))
    assert (job.state, job.exit_code) == (JobState.FAILED, 127)
    assert "Slurm does not take the job; sbatch: error: invalid partition specified: nowhere" in job.reason
    with pytest.raises(InvalidRequest, match=r"cannot tell slurm output=/etc/passwd; it can be told partition, "):
        client.submit(["true"], launcher="slurm", launcher_options={"output": "/etc/passwd"})
    with pytest.raises(InvalidRequest, match="cannot tell mpirun partition=long; it can be told nothing"):
        client.submit(["true"], launcher_options={"partition": "long"})
    with pytest.raises(InvalidRequest, match="slurm chooses the hosts by itself"):
        client.submit(["true"], launcher="slurm", hosts="a")


def test_a_server_without_slurm_says_so(
    server_with: Callable[..., ServerProcess], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    with server_with().client() as client, pytest.raises(LauncherMissing, match="there is no sbatch on its PATH"):
        client.submit([sys.executable], launcher="slurm")


def test_a_server_whose_sbatch_knows_no_cluster_refuses_at_once(cluster: Path, client: Client) -> None:
    (cluster / "unconfigured").touch()
    time.sleep(1)  # for so long counts what was found before
    with pytest.raises(LauncherMissing, match=r"Could not establish a configuration source; see .*doctor --slurm"):
        client.submit(["true"], launcher="slurm")


@pytest.mark.parametrize(
    ("told", "phase", "kind"),
    [
        ("PENDING", Phase.WAITING, None),
        ("CONFIGURING", Phase.WAITING, None),
        ("RUNNING", Phase.RUNNING, None),
        ("COMPLETING", Phase.RUNNING, None),
        ("SUSPENDED", Phase.RUNNING, None),
        ("COMPLETED", Phase.ENDED, None),
        ("FAILED", Phase.ENDED, None),
        ("CANCELLED", Phase.ENDED, None),
        ("TIMEOUT", Phase.ENDED, FailureKind.TIMEOUT),
        ("DEADLINE", Phase.ENDED, FailureKind.TIMEOUT),
        ("OUT_OF_MEMORY", Phase.ENDED, FailureKind.OUT_OF_MEMORY),
        ("NODE_FAIL", Phase.ENDED, FailureKind.LOST),
        ("PREEMPTED", Phase.ENDED, FailureKind.LOST),
    ],
)
def test_every_state_of_slurm_means_something(told: str, phase: Phase, kind: FailureKind | None) -> None:
    seen = sighting("7", {"JobState": told})
    assert (seen.phase, seen.kind, seen.cancelled) == (phase, kind, told == "CANCELLED")
