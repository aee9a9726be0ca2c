"""``allgrad submit`` to hosts that do not see the server's folder: what ranks write there arrives, whatever breaks on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from allgrad.server import Alert, Client, FailureKind, Job, JobState, Metrics, RetryRule
from allgrad.server.delivery.arrivals import LEFT_FREE
from allgrad.server.supervisor import processes
from tests.server.conftest import JOBS, ServerProcess, served, wait_for

from .hosts import Host, Lab
from .jobs import ended, losses, running

pytestmark = pytest.mark.cluster
PATIENCE = 8.0
WRITES = """
import os, socket, sys, time
from pathlib import Path
rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
output = Path(os.environ["ALLGRAD_OUTPUT_DIR"])
(output / "nested").mkdir(exist_ok=True)
(output / "nested" / f"of {rank}.bin").write_bytes(bytes([rank]) * 3_000_000)
print(socket.gethostname(), Path("data.txt").read_text(), flush=True)
"""
LAST_WORDS = """
import os, signal
print("x" * 50_000 + " last words", flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""

FILLS = """
import os, sys
output = os.environ["ALLGRAD_OUTPUT_DIR"]
print("begins", flush=True)
with open(output + "/large.bin", "wb", buffering=0) as file:
    for _ in range(64):
        file.write(b"x" * (1 << 20))
"""
WRITES_ONE = """
import os, time
from pathlib import Path
output = Path(os.environ["ALLGRAD_OUTPUT_DIR"])
print("begins", flush=True)
while not (output / "go").exists():
    time.sleep(0.02)
(output / "weights.bin").write_bytes(bytes(range(256)) * 20_000)
"""


@pytest.fixture
def server(
    request: pytest.FixtureRequest, two_hosts: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ServerProcess]:
    """A server on the machine itself; on the hosts its folder is another one."""
    monkeypatch.setenv("ALLGRAD_SSH", two_hosts.ssh)
    monkeypatch.setenv("OMPI_MCA_btl_tcp_if_include", "10.77.0.0/24")
    home = tmp_path / "home"
    home.mkdir(exist_ok=True)
    for host in two_hosts.hosts:
        assert host.run("mount", "-t", "tmpfs", "apart", str(home)).returncode == 0
    yield from served(home, host_patience=getattr(request, "param", PATIENCE))
    for host in two_hosts.hosts:
        host.run("umount", "--lazy", str(home))


def remains(two_hosts: Lab, server: ServerProcess) -> list[str]:
    """What there is of jobs on the hosts."""
    looked = [host.run("find", str(server.home / "jobs"), "-mindepth", "1").stdout for host in two_hosts.hosts]
    return "".join(looked).split()


def let_go_on(host: Host, output_dir: str) -> None:
    assert host.run("touch", f"{output_dir}/go").returncode == 0


def test_what_ranks_write_arrives_and_nothing_stays_on_the_hosts(
    server: ServerProcess, client: Client, two_hosts: Lab, where: str, tmp_path: Path
) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "writes.py").write_text(WRITES)
    (work / "data.txt").write_text("brought along")
    job = ended(client, client.submit(["writes.py"], hosts=where, archive=client.files.upload(work)))
    assert (job.state, job.reason) == (JobState.SUCCEEDED, "")
    logs = [b"".join(chunk.data for chunk in client.logs(job.id, rank)).decode() for rank in range(4)]
    assert logs == [f"{name} brought along\n" for name in ("agh1", "agh1", "agh2", "agh2")]
    for rank in range(4):
        assert Path(job.output_dir, "nested", f"of {rank}.bin").read_bytes() == bytes([rank]) * 3_000_000
    assert remains(two_hosts, server) == []


def test_losses_arrive_while_the_connection_is_cut_again_and_again(
    client: Client, two_hosts: Lab, where: str, server: ServerProcess
) -> None:
    job = running(client, "reporting.py", "200", "0.02", "0", "150", hosts=where)
    for _ in range(3):
        wait_for(lambda: len(sshs := ssh_of(job.id)) >= 2 and all(cut(pid) for pid in sshs))
        time.sleep(1.0)
    wait_for(lambda: two_hosts.hosts[0].run("test", "-d", job.output_dir).returncode == 0)
    let_go_on(two_hosts.hosts[0], job.output_dir)
    let_go_on(two_hosts.hosts[1], job.output_dir)
    job = ended(client, job)
    assert (job.state, job.reason) == (JobState.SUCCEEDED, "")
    assert losses(client, job) == list(range(1, 201))
    log = b"".join(chunk.data for chunk in client.logs(job.id, 3)).decode()
    assert log == "".join(f"rank 3 step {step}\n" for step in range(1, 201))


def ssh_of(job_id: str) -> list[int]:
    """The ssh by which the keepers of a job are spoken with."""
    found = subprocess.run(
        ["pgrep", "-f", f"^ssh .*supervisor.keeper {job_id} "], capture_output=True, text=True, check=False
    )
    return [int(pid) for pid in found.stdout.split()]


def cut(pid: int) -> bool:
    os.kill(pid, signal.SIGKILL)
    return True


def test_the_tail_of_the_log_of_a_killed_rank_arrives(
    server: ServerProcess, client: Client, two_hosts: Lab, tmp_path: Path
) -> None:
    (tmp_path / "last_words.py").write_text(LAST_WORDS)
    job = ended(client, client.submit([str(tmp_path / "last_words.py")], hosts=f"{two_hosts.hosts[0].address}:2"))
    assert job.state is JobState.FAILED
    log = b"".join(chunk.data for chunk in client.logs(job.id, 0)) or b"".join(c.data for c in client.logs(job.id, 1))
    assert log == b"x" * 50_000 + b" last words\n"
    assert remains(two_hosts, server) == []


def test_a_rank_that_fails_is_named_by_the_record_that_it_left_on_its_host(
    server: ServerProcess, client: Client, two_hosts: Lab, where: str
) -> None:
    job = ended(client, client.submit([str(JOBS / "failing.py"), "raise", "3"], hosts=where))
    assert (job.state, job.reason) == (JobState.FAILED, "rank 3 on agh2: ValueError: the data are bad")
    assert remains(two_hosts, server) == []


def test_a_server_that_is_killed_meanwhile_has_all_losses_afterwards(
    server: ServerProcess, two_hosts: Lab, where: str
) -> None:
    with server.client() as client:
        job = running(client, "reporting.py", "40", "0.02", "0", "20", hosts=where)
    server.kill()
    for host in two_hosts.hosts:
        let_go_on(host, job.output_dir)
    server.start()
    with server.client() as client:
        job = ended(client, job)
        assert (job.state, job.attempt) == (JobState.SUCCEEDED, 1)
        assert losses(client, job) == list(range(1, 41))


@contextmanager
def cut_off(host: Host) -> Iterator[None]:
    """No network for *host*, until the block ends."""
    subprocess.run(["ip", "link", "set", f"{host.name}v", "down"], check=True)
    try:
        yield
    finally:
        subprocess.run(["ip", "link", "set", f"{host.name}v", "up"], check=True)


def reported(client: Client, job: Job, step: int) -> None:
    """Wait until the loss of *step* has arrived."""
    for event in client.watch(job.id):
        if isinstance(event, Metrics) and event.step >= step:
            return
    raise AssertionError(f"{job.id} has ended before step {step}")


@pytest.mark.parametrize("server", [3.0], indirect=True)
def test_an_outage_that_is_longer_than_the_patience_loses_the_host_and_nothing_that_was_written_there(
    server: ServerProcess, client: Client, two_hosts: Lab
) -> None:
    host = two_hosts.hosts[0]
    job = client.submit([str(JOBS / "reporting.py"), "100000", "0.02"], hosts=f"{host.address}:2")
    reported(client, job, 20)
    journal = Path(job.output_dir).parent / "attempt-1" / "journal.jsonl"
    with cut_off(host):
        job = ended(client, job)
        assert (job.state, job.exit_code) == (JobState.FAILED, 255)
        lost = f"the host {host.address} is lost: nothing is heard of it any more (for the 3 s of serve --host-patience"
        assert job.reason.startswith(lost)
        assert job.warning == f"what ranks wrote last on {host.address} is still there, and fetched once it can be"
        arrived = losses(client, job)
        wait_for(lambda: not host.processes_with(f"ALLGRAD_JOB_ID={job.id}"))
        written = len(host.run("cat", str(journal)).stdout.splitlines())
    assert arrived == list(range(1, len(arrived) + 1))
    assert written > len(arrived)
    wait_for(lambda: client.get(job.id).warning == "")
    assert losses(client, job) == list(range(1, written + 1))
    assert [event.message for event in client.watch(job.id) if isinstance(event, Alert)][-1] == (
        f"what ranks had written on {host.address} has been fetched"
    )
    assert remains(two_hosts, server) == []


@pytest.mark.parametrize("server", [4.0], indirect=True)
@pytest.mark.parametrize("with_its_server", [False, True])
def test_what_was_written_under_a_killed_supervisor_arrives_and_nothing_stays(
    server: ServerProcess, two_hosts: Lab, where: str, with_its_server: bool
) -> None:
    with server.client() as client:
        job = client.submit([str(JOBS / "reporting.py"), "100000", "0.02"], hosts=where)
        reported(client, job, 20)
    if with_its_server:
        server.kill()
    supervisor = min(processes.tagged(job.id, 1), key=lambda process: process.start)
    os.kill(supervisor.pid, signal.SIGKILL)
    if with_its_server:
        server.start()
    with server.client() as client:
        job = ended(client, job)
        assert (job.state, job.exit_code) == (JobState.FAILED, None)
        assert job.reason == "its supervisor died without a record of the end; its processes are gone"
        wait_for(lambda: remains(two_hosts, server) == [])
        log = b"".join(chunk.data for chunk in client.logs(job.id, 0)).decode().splitlines()
        steps = losses(client, job)
        assert steps == list(range(1, len(steps) + 1))
        assert len(steps) >= 20
        assert len(steps) - len(log) in (0, 1)  # it may have been ended between the two
    assert [line for host in two_hosts.hosts for line in host.processes_with(f"ALLGRAD_JOB_ID={job.id}")] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MB in the place of the jobs' folder of the server."""
    folder = tmp_path / "home" / "jobs"
    folder.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "small", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_outputs_for_which_the_server_has_no_room_are_told_and_come_when_it_has(
    small_disk: Path, server: ServerProcess, client: Client, two_hosts: Lab, tmp_path: Path
) -> None:
    (tmp_path / "writes_one.py").write_text(WRITES_ONE)
    host = two_hosts.hosts[0]
    job = client.submit([str(tmp_path / "writes_one.py")], hosts=host.address)
    for _ in client.logs(job.id, 0, follow=True):
        break
    ballast = small_disk / "ballast"
    room = os.statvfs(small_disk)
    ballast.write_bytes(bytes(room.f_bavail * room.f_frsize - LEFT_FREE))
    let_go_on(host, job.output_dir)
    job = ended(client, job)
    assert job.state is JobState.SUCCEEDED
    assert job.warning == (
        f"what ranks wrote last on {host.address} is still there (No space left on device), and fetched once it can be"
    )
    assert not Path(job.output_dir, "weights.bin").exists()
    ballast.unlink()
    wait_for(lambda: client.get(job.id).warning == "")
    assert Path(job.output_dir, "weights.bin").read_bytes() == bytes(range(256)) * 20_000
    assert remains(two_hosts, server) == []


def test_a_disk_of_a_host_that_is_full_is_told(
    server: ServerProcess, client: Client, two_hosts: Lab, tmp_path: Path
) -> None:
    (tmp_path / "fills.py").write_text(FILLS)
    host = two_hosts.hosts[0]
    assert host.run("mount", "-o", "remount,size=8m", str(server.home)).returncode == 0
    job = ended(client, client.submit([str(tmp_path / "fills.py")], hosts=host.address))
    assert (job.state, job.exit_code) == (JobState.FAILED, 1)
    assert job.reason.endswith(f"the disk of {host.address} is full")
    assert b"".join(chunk.data for chunk in client.logs(job.id, 0)).startswith(b"begins\n")
    assert remains(two_hosts, server) == []


def test_each_attempt_goes_on_from_the_last_checkpoint_wherever_it_lies(
    server: ServerProcess, client: Client, two_hosts: Lab, tmp_path: Path
) -> None:
    """From an uploaded one, after a failure, and after a pause; what the attempt before left there is not needed."""
    (tmp_path / "start").write_text("100")
    job = client.submit(
        [str(JOBS / "resuming.py"), "100000", "0.02", "103"],
        hosts=two_hosts.hosts[0].address,
        resume_from=client.files.upload_file(tmp_path / "start"),
        retries=[RetryRule(1, backoff=0.1)],
    )
    wait_for(lambda: client.get(job.id).attempt == 2)
    reported(client, job, 110)
    client.pause(job.id)
    wait_for(lambda: client.get(job.id).state is JobState.PAUSED)
    assert remains(two_hosts, server) == []
    paused = client.get(job.id).checkpoint
    client.resume(job.id)
    wait_for(lambda: client.get(job.id).attempt == 3 and client.get(job.id).state is JobState.RUNNING)
    begins = [b"".join(chunk.data for chunk in client.logs(job.id, 0, attempt=number)) for number in (1, 2)]
    assert begins == [b"attempt 1 from step 100\n", b"attempt 2 from step 103\n"]
    (third,) = next(chunk.data for chunk in client.logs(job.id, 0, attempt=3, follow=True)).decode().splitlines()
    assert third == f"attempt 3 from step {Path(paused).read_text()}"
    client.cancel(job.id)
    assert ended(client, job).state is JobState.CANCELLED
    steps = losses(client, job)
    assert steps == list(range(101, steps[-1] + 1))
    assert remains(two_hosts, server) == []


CHECKPOINTS = """
import os, signal
import allgrad as torch
from allgrad import dist
dist.init()
model = torch.nn.Linear(3, 1)
with dist.Checkpointer() as checkpointer:
    restored = checkpointer.restore(model=model)
    step = restored.step if restored else 0
    print("from", step, flush=True)
    checkpointer.save(step + 1, model=model)
if step == 0 and dist.rank() == 0:
    os.kill(os.getpid(), signal.SIGKILL)
dist.barrier()
"""


def test_a_checkpointer_goes_on_where_its_ranks_are_on_one_host_and_refuses_two_that_share_nothing(
    client: Client, two_hosts: Lab, where: str, tmp_path: Path
) -> None:
    (tmp_path / "checkpoints.py").write_text(CHECKPOINTS)
    one = client.submit(
        [str(tmp_path / "checkpoints.py")],
        hosts=f"{two_hosts.hosts[0].address}:2",
        retries=[RetryRule(1, FailureKind.SIGNAL, backoff=0.1)],
    )
    one = ended(client, one)
    assert (one.state, one.attempt, one.reason) == (JobState.SUCCEEDED, 2, "")
    assert b"".join(chunk.data for chunk in client.logs(one.id, 1)) == b"from 1\n"
    two = ended(client, client.submit([str(tmp_path / "checkpoints.py")], hosts=where))
    assert two.state is JobState.FAILED
    assert "RuntimeError: Checkpointer: ranks 2, 3 do not see what rank 0 has put into" in two.reason
