"""MPICH and Intel MPI, which share their process manager, Hydra, and differ in how hosts are named to it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..jobs.hosts import Host
from .hosts import ssh
from .interface import Ending, by_signal, plain_ending

INTEL = "Intel MPI"
MPICH = "MPICH"
_SIGNAL = re.compile(r"EXIT STRING: .*\(signal (\d+)\)|KILLED BY SIGNAL: (\d+)")
_TAGGED = re.compile(rb"\[(\d+)\] ?")


@dataclass(frozen=True, slots=True)
class Hydra:
    """MPICH or Intel MPI on this machine, on *hosts* over ssh, or on the nodes of a Slurm allocation."""

    path: str
    implementation: str
    version: str
    helpers: frozenset[str] = frozenset({"mpirun", "mpiexec", "mpiexec.hydra", "hydra_pmi_proxy", "hydra_bstrap_proxy"})
    hosts: tuple[Host, ...] = ()
    """How many ranks each host gets; empty: all are on this machine, or where Slurm says."""
    slurm: bool = False
    """Whether the ranks are started on the nodes of the allocation that this is in."""

    @property
    def name(self) -> str:
        """Return implementation and version."""
        return f"{self.implementation} {self.version}"

    def argv(self, program: Sequence[str], ranks: int, forward: Sequence[str] = ()) -> list[str]:
        """Return the argv; ranks may exceed the cores."""
        if not self.hosts and not self.slurm:
            return [self.path, "-launcher", "fork", "-n", str(ranks), *program]
        kind = "-bootstrap" if self.implementation == INTEL else "-launcher"
        words = [self.path, kind, "ssh" if self.hosts else "slurm", "-prepend-rank"]
        if self.hosts:
            words += [f"{kind}-exec", ssh()[0]]
        words += ["-genvlist", ",".join(forward)] if forward else []
        if self.hosts and self.implementation == INTEL:
            return words + self._in_sets(program)
        if self.hosts:
            words += ["-hosts", ",".join(map(str, self.hosts))]
        return [*words, "-n", str(ranks), *program]

    def _in_sets(self, program: Sequence[str]) -> list[str]:
        """Return one set of arguments for each host: Intel's list of hosts does not say how many ranks each gets."""
        words: list[str] = []
        for host in self.hosts:
            words += [*([":"] if words else []), "-host", host.name, "-n", str(host.slots), *program]
        return words

    def env(self, scratch: Path | None) -> Mapping[str, str]:
        """Return its settings: the options of ssh, and for Intel MPI that ranks are not bound to one core each."""
        settings = {"I_MPI_PIN": "0"} if self.implementation == INTEL else {}
        if self.hosts:
            name = (
                "I_MPI_HYDRA_BOOTSTRAP_EXEC_EXTRA_ARGS" if self.implementation == INTEL else "HYDRA_LAUNCHER_EXTRA_ARGS"
            )
            settings[name] = " ".join(ssh()[1:])
        elsewhere = self.hosts or self.slurm
        if self.implementation == MPICH and elsewhere and self.version.startswith("5.0"):
            # Seen in 5.0.2: over UCX and TCP ranks of several hosts wait for ever for messages that were sent.
            settings["MPIR_CVAR_CH4_NETMOD"] = "ofi"
            if len({host.slots for host in self.hosts}) > 1:
                # Seen in 5.0.2: with more ranks on one host than on another they hang within MPI_Init, or later.
                settings["MPIR_CVAR_NOLOCAL"] = "1"
        # Seen in MPICH 5.0.2: the last variable of its environment does not reach other hosts.
        return {**settings, **({"HYDRA_PASSED_OVER": ""} if elsewhere else {})}

    def ending(self, returncode: int, output: str) -> Ending:
        """Return how the first rank that failed ended, as mpirun tells it."""
        told = _SIGNAL.search(output)
        return by_signal(int(told[1] or told[2])) if told and returncode else plain_ending(returncode)

    def told(self, line: bytes) -> tuple[int | None, bytes]:
        r"""Return which rank printed *line*, and what; None: mpirun itself.

        >>> Hydra("mpirun", "MPICH", "5").told(b"[12] hello")
        (12, b'hello')
        """
        found = _TAGGED.match(line)
        return (int(found[1]), line[found.end() :]) if found else (None, line)
