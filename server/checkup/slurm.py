"""What a job of ``allgrad submit --launcher slurm`` needs: a controller, a partition, nodes that see the server's folder."""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Iterator
from importlib.metadata import version

from ..home import Home
from ..launchers import find_mpi
from ..launchers.reach import PROBE
from .finding import Finding, Verdict, last_line, run

COMMANDS = ("sbatch", "srun", "squeue", "sinfo", "scontrol", "scancel")
SECONDS_FOR_A_NODE = 10
_AT_WORK = ("idle", "mix", "alloc", "comp")


def check_up(home: Home) -> Iterator[Finding]:
    """Run every check in turn, those of jobs only where a controller answers."""
    found = controller()
    yield found
    if found.verdict is not Verdict.PROBLEM:
        yield partitions()
        yield admission()
        yield node(home)
        yield plugin()


def controller() -> Finding:
    """Look for Slurm's commands, and ask whether its controller is up."""
    missing = [name for name in COMMANDS if shutil.which(name) is None]
    if missing:
        fix = "install Slurm's commands (Debian: slurm-client), or run this where you submit from"
        return Finding("slurm", Verdict.PROBLEM, f"not on the PATH: {', '.join(missing)}", fix)
    done = run(["scontrol", "ping"])
    up = [line for line in done.stdout.splitlines() if line.endswith(" is UP")]
    if done.returncode or not up:
        fix = "see SLURM_CONF, and on the controller's machine: systemctl status slurmctld munge"
        return Finding("slurm", Verdict.PROBLEM, last_line(done.stderr or done.stdout), fix)
    return Finding("slurm", Verdict.OK, up[0])


def partitions() -> Finding:
    """Count the nodes of each partition that can take jobs, now or later."""
    done = run(["sinfo", "--noheader", "--format=%P|%a|%D|%t"])
    nodes: dict[str, list[int]] = {}
    for line in done.stdout.split():
        name, available, count, state = line.split("|")
        known = nodes.setdefault(name, [0, 0])
        known[0] += int(count) if available == "up" and state.rstrip("~#%@+-") in _AT_WORK else 0
        known[1] += int(count)
    told = ", ".join(f"{name} with {able} of {all_} nodes" for name, (able, all_) in nodes.items())
    if not any(able for able, _ in nodes.values()):
        fix = "see why: sinfo --list-reasons"
        return Finding("slurm nodes", Verdict.PROBLEM, told or "there is no partition", fix)
    return Finding("slurm nodes", Verdict.OK, told)


def admission() -> Finding:
    """Ask whether a job of two ranks would be taken, without submitting one."""
    done = run(["sbatch", "--test-only", "--ntasks=2", "--wrap=true"])
    if done.returncode:
        fix = "what it misses goes with each job: allgrad submit --launcher-option partition=NAME (or account, qos)"
        return Finding("slurm job", Verdict.PROBLEM, last_line(done.stderr), fix)
    starts = re.search(r"to start at (\S+)", done.stderr)
    return Finding("slurm job", Verdict.OK, f"two ranks would start at {starts[1]}" if starts else "would be taken")


def node(home: Home) -> Finding:
    """Start a process on a node that is free, and ask whether it has the same allgrad and sees the server's folder."""
    folder = str(home.path) if home.path.exists() else ""
    words = ["srun", f"--immediate={SECONDS_FOR_A_NODE}", "--ntasks=1", "--mpi=none", "--quiet", "--chdir=/"]
    done = run([*words, sys.executable, "-P", "-c", PROBE, "", folder, "comes"])
    if "nable to allocate resources" in done.stderr:
        fix = f"once one is free: allgrad doctor --slurm; it said: {last_line(done.stderr)}"
        return Finding("slurm node", Verdict.WARNING, f"none within {SECONDS_FOR_A_NODE} s, so none was asked", fix)
    told = last_line(done.stdout).split()
    if done.returncode or len(told) != 3:
        fix = f"nodes must have {sys.executable} with allgrad at the same path, or share it over the network"
        return Finding("slurm node", Verdict.PROBLEM, _reason(done.stderr), fix)
    if told[1] != version("allgrad"):
        found = f"there is allgrad {told[1]}, and here {version('allgrad')}"
        return Finding("slurm node", Verdict.PROBLEM, found, "install the same on all nodes, or share it")
    if told[2] == "apart":
        fix = "serve from a folder that all nodes share: allgrad serve --home FOLDER"
        return Finding("slurm node", Verdict.PROBLEM, f"it does not see {folder}, where jobs lie", fix)
    return Finding("slurm node", Verdict.OK, "has the same allgrad" + (f", sees {folder}" if folder else ""))


def plugin() -> Finding:
    """Look whether srun connects ranks of the MPI of this machine: not needed by allgrad's jobs, but by ``srun train.py``."""
    launcher = find_mpi()
    if launcher is None:
        return Finding("slurm srun", Verdict.WARNING, "there is no MPI whose ranks it could start", "see mpi, above")
    needed = "pmix" if launcher.name.startswith("Open MPI") else "pmi2"
    done = run(["srun", "--mpi=list"])
    if needed in (done.stdout + done.stderr).split():
        return Finding("slurm srun", Verdict.OK, f"connects ranks of {launcher.name} by --mpi={needed}")
    found = f"knows no {needed}, so it would start each rank of {launcher.name} alone"
    return Finding("slurm srun", Verdict.WARNING, found, "start ranks with: sbatch, and in it allgrad run train.py")


def _reason(text: str) -> str:
    """Return what a process said before srun told of its exit code."""
    return last_line("\n".join(line for line in text.splitlines() if not line.startswith("srun: error: ")) or text)
