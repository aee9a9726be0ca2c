"""A real Slurm over the hosts of a lab: munge, a controller on the machine itself, and a node on each host."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from .hosts import HEAD, WITH_US, Lab

_CONF = """\
ClusterName=lab
SlurmctldHost={head}({address})
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
MpiDefault=none
ReturnToService=2
KillWait=3
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
"""


@contextmanager
def slurm(lab: Lab) -> Iterator[dict[str, str]]:
    """A cluster that runs while the block does; gives the variables by which its commands are told of it."""
    folder = lab.folder / "slurm"
    (folder / "state").mkdir(parents=True, exist_ok=True)
    conf = folder / "slurm.conf"
    cores = os.cpu_count() or 1
    nodes = [
        f"NodeName={host.name} NodeAddr={host.address} CPUs={cores} Boards=1 SocketsPerBoard=1 CoresPerSocket={cores} "
        "ThreadsPerCore=1 RealMemory=2000 State=UNKNOWN"
        for host in lab.hosts
    ]
    head = os.uname().nodename.partition(".")[0]
    partition = "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
    conf.write_text(_CONF.format(head=head, address=HEAD, folder=folder) + "\n".join(nodes) + "\n" + partition)
    # Two nodes that share /tmp would make the same folder for PMIx there.
    (folder / "mpi.conf").write_text("PMIxCliTmpDirBase=/dev/shm\n")
    env = {"SLURM_CONF": str(conf)}
    with ExitStack() as stack:
        stack.enter_context(_munge(folder))
        stack.enter_context(_daemon(["slurmctld", "-D", "-c", "-f", str(conf)], env))
        for host in lab.hosts:
            (folder / f"spool.{host.name}").mkdir(exist_ok=True)
            stack.enter_context(_daemon(host.command(["slurmd", "-D", "-N", host.name, "-f", str(conf)]), env))
        _wait_for_nodes(env, len(lab.hosts))
        yield env


@contextmanager
def _munge(folder: Path) -> Iterator[None]:
    key = folder / "munge.key"
    key.unlink(missing_ok=True)
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    places = {"socket": "munge.socket", "key-file": "munge.key", "pid-file": "munge.pid", "log-file": "munge.log"}
    options = [f"--{name}={folder / file}" for name, file in places.items()]
    with _daemon(["munged", "--foreground", "--force", f"--seed-file={folder / 'munge.seed'}", *options], {}):
        while not (folder / "munge.socket").exists():
            time.sleep(0.05)
        yield


@contextmanager
def _daemon(command: list[str], env: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        [*WITH_US, *command],
        env={**os.environ, **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for_nodes(env: dict[str, str], count: int) -> None:
    found = ""
    for _ in range(120):
        done = subprocess.run(
            ["sinfo", "-h", "-N", "-o", "%T"], env={**os.environ, **env}, capture_output=True, text=True, check=False
        )
        found = done.stdout + done.stderr
        if done.stdout.split().count("idle") == count:
            return
        time.sleep(0.25)
    raise TimeoutError(f"the nodes are not idle: {found}")
