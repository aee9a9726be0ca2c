"""Several hosts on one machine: each a process with a network, a name, processes, and a /dev/shm of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

BRIDGE = "allgrad0"
NETWORK = "10.77.0"
HEAD = f"{NETWORK}.254"
"""The address of the machine itself."""
SSH_PORT = 2222
_INIT = """
set -e
hostname "$0"
mount --bind "$1" /etc/hosts
mount -t tmpfs -o size=1g shm /dev/shm
ip link set lo up
touch "$2"
while :; do sleep 3600 & wait; done
"""
WITH_US = ("setpriv", "--pdeathsig", "KILL")
"""What leads a command that is not to outlive this process."""
_PLAIN = {"HOME": "/root", "USER": "root", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


@dataclass
class Host:
    """One imitated host; *pid* is its first process, with which all others on it end."""

    name: str
    address: str
    pid: int

    def command(self, argv: Sequence[str]) -> list[str]:
        """The command that runs *argv* on this host."""
        return ["nsenter", "-t", str(self.pid), "-n", "-u", "-i", "-m", "-p", "--", *argv]

    def run(self, *argv: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run *argv* on this host, with a clean environment as ssh gives it, to its end."""
        return subprocess.run(
            self.command(argv), env={**_PLAIN, **(env or {})}, capture_output=True, text=True, timeout=60, check=False
        )

    def processes_with(self, word: str) -> list[str]:
        """The command lines on this host with *word* in their environment."""
        looked = self.run("bash", "-c", f"grep -lasz {word} /proc/[0-9]*/environ | cut -d/ -f3")
        found = [self.run("ps", "-o", "stat=,args=", "-p", pid).stdout.strip() for pid in looked.stdout.split()]
        return [line for line in found if line and not line.startswith("Z")]


@dataclass
class Lab:
    """Hosts on a bridge of their own, all of which see this machine's files."""

    folder: Path
    hosts: list[Host] = field(default_factory=list)

    @property
    def agent(self) -> Path:
        """A program used as ssh is, HOST COMMAND..., that enters a host."""
        return self.folder / "agent"

    @property
    def ssh(self) -> str:
        """The ssh that reaches the hosts on which `sshd` serves."""
        options = {
            "Port": SSH_PORT,
            "IdentityFile": self.folder / "id",
            "StrictHostKeyChecking": "no",
            "UserKnownHostsFile": "/dev/null",
            "LogLevel": "ERROR",
        }
        return "ssh " + " ".join(f"-o {name}={value}" for name, value in options.items())

    def names(self, slots: int) -> str:
        """All hosts with *slots* each, as ``--hosts`` takes them."""
        return ",".join(f"{host.name}:{slots}" for host in self.hosts)


@contextmanager
def lab(folder: Path, count: int) -> Iterator[Lab]:
    """*count* hosts named agh1, agh2, ... that live as long as the block."""
    made = Lab(folder)
    table = [f"{NETWORK}.{number} agh{number} agh{number}.job.ns.svc" for number in range(1, count + 1)]
    (folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", f"{HEAD} {os.uname().nodename}", *table]) + "\n")
    with ExitStack() as stack:
        stack.enter_context(_bridge())
        for number in range(1, count + 1):
            made.hosts.append(stack.enter_context(_host(folder, f"agh{number}", f"{NETWORK}.{number}")))
        _write_agent(made)
        yield made


@contextmanager
def _bridge() -> Iterator[None]:
    subprocess.run(["ip", "link", "del", BRIDGE], stderr=subprocess.DEVNULL, check=False)  # of a lab that was killed
    _ip("link", "add", BRIDGE, "type", "bridge")
    try:
        _ip("addr", "add", f"{HEAD}/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")
        yield
    finally:
        _ip("link", "del", BRIDGE)


@contextmanager
def _host(folder: Path, name: str, address: str) -> Iterator[Host]:
    ready = folder / f"{name}.ready"
    namespaces = ["--net", "--uts", "--mount", "--ipc", "--pid", "--fork", "--kill-child", "--mount-proc"]
    started = subprocess.Popen(
        [*WITH_US, "unshare", *namespaces, "bash", "-c", _INIT, name, str(folder / "hosts"), str(ready)],
        start_new_session=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_for(ready)
        pid = int(Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text().split()[0])
        _ip("link", "add", f"{name}v", "type", "veth", "peer", "name", "eth0", "netns", str(pid))
        _ip("link", "set", f"{name}v", "master", BRIDGE, "up")
        host = Host(name, address, pid)
        for words in (["addr", "add", f"{address}/24", "dev", "eth0"], ["link", "set", "eth0", "up"]):
            subprocess.run(host.command(["ip", *words]), check=True)
        yield host
    finally:
        started.send_signal(signal.SIGKILL)
        started.wait()


def _write_agent(lab: Lab) -> None:
    cases = "\n".join(f"{host.name}|{host.name}.job.ns.svc) p={host.pid};;" for host in lab.hosts)
    plain = " ".join(f"{name}={value}" for name, value in _PLAIN.items())
    lab.agent.write_text(
        f"""#!/bin/bash
while [[ $1 == -* ]]; do case $1 in -l|-p|-o|-i|-F) shift 2;; *) shift;; esac; done
case $1 in
{cases}
*) echo "agent: no host $1" >&2; exit 255;;
esac
shift
exec env -i {plain} nsenter -t $p -n -u -i -m -p -- bash -c "$*"
"""
    )
    lab.agent.chmod(0o755)


@contextmanager
def sshd(lab: Lab) -> Iterator[None]:
    """An sshd on every host, on the port on which the MPI Operator's workers have theirs, for one key."""
    folder = lab.folder
    for key in ("id", "host_key"):
        if not (folder / key).exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    (folder / "authorized_keys").write_bytes((folder / "id.pub").read_bytes())
    (folder / "sshd_config").write_text(
        f"Port {SSH_PORT}\nHostKey {folder}/host_key\nAuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\n"
        "PasswordAuthentication no\nUsePAM no\nPermitRootLogin prohibit-password\nPidFile none\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    with ExitStack() as stack:
        for host in lab.hosts:
            process = subprocess.Popen(
                host.command(["/usr/sbin/sshd", "-D", "-f", str(folder / "sshd_config")]),
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            stack.callback(process.wait)
            stack.callback(process.terminate)
        for host in lab.hosts:
            _wait_for_port(host)
        yield


def _wait_for_port(host: Host) -> None:
    for _ in range(100):
        if host.run("bash", "-c", f"echo > /dev/tcp/{host.address}/{SSH_PORT}").returncode == 0:
            return
        time.sleep(0.1)
    raise TimeoutError(f"no sshd on {host.name}")


def _wait_for(path: Path) -> None:
    for _ in range(200):
        if path.exists():
            return
        time.sleep(0.05)
    raise TimeoutError(f"{path} has not appeared")


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
