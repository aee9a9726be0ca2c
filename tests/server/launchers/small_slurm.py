"""Stands in for Slurm's commands on one machine: each batch job is a real process, its record a folder under $SMALL_SLURM.

A file `hold` there keeps jobs pending; with `unconfigured` there is no cluster; `down` makes the controller
unreachable; `state` is what all jobs are said to be;
`nodes` is what sinfo tells, `busy` leaves no node free, `refusal` is what sbatch says to a job
that is only a question, `unshared` a path that nodes do not see, and `plugins` are those of srun.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

HOME = Path(os.environ["SMALL_SLURM"]).resolve()


def sbatch(words: list[str]) -> int:
    if words == ["--version"]:
        if (HOME / "unconfigured").exists():
            sys.stderr.write("sbatch: fatal: Could not establish a configuration source\n")
            return 1
        return 0
    options = dict(word.removeprefix("--").partition("=")[::2] for word in words)
    if options.get("partition", "main") != "main":
        sys.stderr.write("sbatch: error: invalid partition specified: nowhere\n")
        return 1
    if "--test-only" in words:
        if (HOME / "refusal").exists():
            sys.stderr.write((HOME / "refusal").read_text())
            return 1
        sys.stderr.write(
            "sbatch: Job 1 to start at 2026-11-23T20:04:34 using 2 processors on nodes n1 in partition main\n"
        )
        return 0
    number = len(list(HOME.glob("job-*"))) + 1
    job = HOME / f"job-{number}"
    job.mkdir()
    (job / "script").write_text(sys.stdin.read())
    (job / "name").write_text(options["job-name"])
    (job / "words").write_text("\n".join(words))
    with open(options["output"], "ab") as log:
        line = (
            f"while [ -e {HOME}/hold ]; do sleep 0.05; done; touch {job}/begun; sh {job}/script; echo $? > {job}/code"
        )
        process = subprocess.Popen(
            ["sh", "-c", f"trap : TERM; ({line}) & wait $!; wait"],
            cwd=options["chdir"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    (job / "pid").write_text(str(process.pid))
    sys.stdout.write(f"{number}\n")
    return 0


def squeue(words: list[str]) -> int:
    name = next(word.partition("=")[2] for word in words if word.startswith("--name="))
    for job in HOME.glob("job-*"):
        if (job / "name").read_text() == name:
            sys.stdout.write(job.name.removeprefix("job-") + "\n")
    return 0


def sinfo(words: list[str]) -> int:
    told = HOME / "nodes"
    sys.stdout.write(told.read_text() if told.exists() else "main*|up|2|idle\nmain*|up|1|down*\n")
    return 0


def srun(words: list[str]) -> int:
    if "--mpi=list" in words:
        told = HOME / "plugins"
        names = told.read_text().split() if told.exists() else ["pmix", "pmi2"]
        sys.stdout.write("MPI plugin types are...\n" + "".join(f"\t{name}\n" for name in ["none", *names]))
        return 0
    if (HOME / "busy").exists():
        sys.stderr.write("srun: error: Unable to allocate resources: Requested nodes are busy\n")
        return 1
    program = next(number for number, word in enumerate(words) if not word.startswith("--"))
    hidden = (HOME / "unshared").read_text() if (HOME / "unshared").exists() else ""
    there = ["/nowhere" if hidden and word == hidden else word for word in words[program:]]
    try:
        code = subprocess.run(there, cwd="/", check=False).returncode
    except OSError as error:
        sys.stderr.write(f"slurmstepd: error: execve(): {there[0]}: {error.strerror}\n")
        code = 2
    if code:
        sys.stderr.write(f"srun: error: n1: task 0: Exited with exit code {code}\n")
    return code


def scontrol(words: list[str]) -> int:
    if words == ["ping"]:
        sys.stdout.write("Slurmctld(primary) at head is UP\n")
        return 0
    job = HOME / f"job-{words[-1]}"
    if not job.exists():
        sys.stderr.write("slurm_load_jobs error: Invalid job id specified\n")
        return 1
    code = (job / "code").read_text().strip() if (job / "code").exists() else ""
    if (HOME / "state").exists():
        state, reason = (HOME / "state").read_text().split()
    elif (job / "cancelled").exists():
        state, reason = "CANCELLED", "None"
    elif code:
        state, reason = ("COMPLETED" if code == "0" else "FAILED"), "None"
    else:
        state, reason = ("RUNNING", "None") if (job / "begun").exists() else ("PENDING", "Resources")
    sys.stdout.write(f"JobId={words[-1]} JobState={state} Reason={reason} ExitCode={code or 0}:0\n")
    return 0


def scancel(words: list[str]) -> int:
    job = HOME / f"job-{words[-1]}"
    children = Path(f"/proc/{(job / 'pid').read_text()}/task/{(job / 'pid').read_text()}/children")
    if "--batch" not in words:
        (job / "cancelled").touch()
        os.killpg(int((job / "pid").read_text()), signal.SIGKILL)
    else:
        for pid in _script_of(children):
            os.kill(pid, signal.SIGTERM)
    return 0


def _script_of(children: Path) -> list[int]:
    """The innermost process of the batch script: what it has executed in its place."""
    found = [int(pid) for pid in children.read_text().split()] if children.exists() else []
    inner = [pid for each in found for pid in _script_of(Path(f"/proc/{each}/task/{each}/children"))]
    supervisors = [pid for pid in found if b"--inside" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")]
    return supervisors or inner


if __name__ == "__main__":
    if (HOME / "down").exists():
        sys.stderr.write("error: Unable to contact slurm controller (connect failure)\n")
        sys.exit(1)
    sys.exit(globals()[Path(sys.argv[1]).name](sys.argv[2:]))
