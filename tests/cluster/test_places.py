"""``allgrad run`` where it finds itself: hosts behind ssh, the launcher of an MPIJob, a Slurm allocation."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.dist.conftest import ROOT, Launcher

from .hosts import Lab

pytestmark = pytest.mark.cluster
HELLO = "import socket\nfrom allgrad import dist\ndist.init()\nprint(dist.rank(), dist.world_size(), socket.gethostname())\n"
STUBBORN = """
import signal, subprocess, time
from allgrad import dist
signal.signal(signal.SIGTERM, signal.SIG_IGN)
dist.init()
subprocess.Popen(["setsid", "sleep", "300"])
print("up", flush=True)
time.sleep(100)
"""
Result = subprocess.CompletedProcess[str]


@pytest.fixture(params=["openmpi", "mpich"])
def either(request: pytest.FixtureRequest) -> Launcher:
    found: Launcher = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "hello.py"
    path.write_text(HELLO)
    return path


def allgrad(mpi: Launcher) -> list[str]:
    return [mpi.python, "-m", "allgrad.server.cli"]


def run(command: list[str], **env: str) -> Result:
    given = {name: value for name, value in os.environ.items() if not name.startswith(("ALLGRAD_", "OMPI_"))}
    return subprocess.run(
        command,
        env={**given, **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_ranks_run_on_hosts_over_ssh(two_hosts: Lab, either: Launcher, script: Path) -> None:
    command = [*allgrad(either), "run", "--hosts", "agh1:1,agh2:2", str(script)]
    done = run(two_hosts.hosts[0].command(command), ALLGRAD_SSH=two_hosts.ssh)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["[0] 0 3 agh1", "[1] 1 3 agh2", "[2] 2 3 agh2"]


def test_cancelling_leaves_nothing_on_any_host(two_hosts: Lab, either: Launcher, tmp_path: Path) -> None:
    path = tmp_path / "stubborn.py"
    path.write_text(STUBBORN)
    # A shell in the host passes the signal on: nsenter itself would be ended in place of what it has started.
    command = " ".join([*allgrad(either), "run", "--hosts", "agh1:1,agh2:2", str(path)])
    line = f"{command} & child=$!; sleep 10; kill $child; wait $child"
    done = run(two_hosts.hosts[0].command(["bash", "-c", line]), ALLGRAD_SSH=two_hosts.ssh)
    assert done.stdout.count("up") == 3, done.stderr
    assert done.returncode == 143
    for host in two_hosts.hosts:
        assert host.processes_with("ALLGRAD_JOB_ID=run-") == []


def test_an_mpijob_runs_on_its_workers_and_a_plain_mpirun_is_refused(
    two_hosts: Lab, script: Path, tmp_path: Path
) -> None:
    hostfile = tmp_path / "hostfile"
    hostfile.write_text("agh2.job.ns.svc slots=2\n")
    env = {
        "ALLGRAD_SSH": two_hosts.ssh,
        "OMPI_MCA_orte_default_hostfile": str(hostfile),
        "OMPI_MCA_orte_keep_fqdn_hostnames": "true",
    }
    launcher = two_hosts.hosts[0]
    done = run(launcher.command([sys.executable, "-m", "allgrad.server.cli", "run", str(script)]), **env)
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["[0] 0 2 agh2", "[1] 1 2 agh2"]
    root = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_btl": "^ofi"}
    mpirun = str(Path(sys.executable).with_name("mpirun"))
    done = run(launcher.command([mpirun, "-n", "2", sys.executable, str(script)]), **env, **root)
    assert done.returncode != 0
    assert "all 2 ranks run on agh1, but the hostfile" in done.stderr


@pytest.mark.parametrize("plugin", ["pmix", "pmi2", "none"])
def test_srun_starts_one_world_or_is_told_how(
    slurm_variables: dict[str, str], either: Launcher, script: Path, plugin: str
) -> None:
    env = {**slurm_variables, "MPIR_CVAR_CH4_NETMOD": "ofi"}
    right = "pmix" if either.name == "openmpi" else "pmi2"
    for command in ([either.python, str(script)], [*allgrad(either), "run", str(script)]):
        done = run(["srun", f"--mpi={plugin}", "-N", "2", "-n", "4", "--overcommit", *command], **env)
        if plugin == right:
            assert done.returncode == 0, done.stderr
            assert sorted(line[:3] for line in done.stdout.splitlines()) == ["0 4", "1 4", "2 4", "3 4"]
        else:
            assert done.returncode != 0
            assert "rank 0 of 1" not in done.stdout
            assert f"srun --mpi={right}" in done.stderr or "Error" in done.stderr or "error" in done.stderr


def test_a_rank_that_fails_early_ends_the_whole_step(
    slurm_variables: dict[str, str], either: Launcher, tmp_path: Path
) -> None:
    path = tmp_path / "early.py"
    path.write_text("import os\nif os.environ['SLURM_PROCID'] == '1': raise ValueError('too early')\n" + HELLO)
    plugin = "pmix" if either.name == "openmpi" else "pmi2"
    begun = time.monotonic()
    done = run(["srun", f"--mpi={plugin}", "-n", "4", *allgrad(either), "run", str(path)], **slurm_variables)
    assert done.returncode != 0
    assert done.stderr.count("ValueError: too early") == 1
    assert time.monotonic() - begun < 30


@pytest.mark.parametrize("name", ["srun.sbatch", "run.sbatch"])
def test_the_batch_scripts_that_we_give_away_work(
    slurm_variables: dict[str, str], either: Launcher, script: Path, tmp_path: Path, name: str
) -> None:
    beside = tmp_path / "bin"
    beside.mkdir()
    (beside / "allgrad").write_text(f'#!/bin/sh\nexec {" ".join(allgrad(either))} "$@"\n')
    (beside / "allgrad").chmod(0o755)
    env = {
        **slurm_variables,
        "PATH": f"{beside}:{os.environ['PATH']}",
        "ALLGRAD_SRUN_MPI": "pmix" if either.name == "openmpi" else "pmi2",
        "MPIR_CVAR_CH4_NETMOD": "ofi",
    }
    log = tmp_path / "log"
    batch = str(ROOT / "deploy" / "slurm" / name)
    done = run(["sbatch", "--wait", f"--output={log}", f"--chdir={tmp_path}", batch, str(script)], **env)
    assert done.returncode == 0, log.read_text()
    assert {host for line in log.read_text().splitlines() for host in ("agh1", "agh2") if line.endswith(host)} == {
        "agh1",
        "agh2",
    }
    assert log.read_text().count(" 4 agh") == 4
