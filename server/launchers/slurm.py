"""Slurm: an attempt becomes a batch job, looked at by scontrol and ended by scancel."""

from __future__ import annotations

import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import lru_cache

from ..errors import InvalidRequest, LauncherMissing
from ..jobs.spec import FailureKind, JobSpec, LauncherKind
from .batch import Phase, Sighting, Task, Unavailable, check_options

OPTIONS = ("partition", "account", "qos", "constraint", "reservation", "nodes", "mem", "time")
_PATIENCE = 60.0
_GLANCE = 3.0
_FIELD = re.compile(r"(?:^| )(\w+)=(\S*)")
_UNKNOWN = "Invalid job id"
_WAITING = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"}
)
_ENDS: dict[str, FailureKind | None] = {
    "COMPLETED": None,
    "FAILED": None,
    "CANCELLED": None,
    "TIMEOUT": FailureKind.TIMEOUT,
    "DEADLINE": FailureKind.TIMEOUT,
    "OUT_OF_MEMORY": FailureKind.OUT_OF_MEMORY,
    "NODE_FAIL": FailureKind.LOST,
    "BOOT_FAIL": FailureKind.LOST,
    "PREEMPTED": FailureKind.LOST,
    "REVOKED": FailureKind.LOST,
}
_SAID = {
    FailureKind.TIMEOUT: "its time limit in Slurm is over",
    FailureKind.OUT_OF_MEMORY: "Slurm ended it: it used more memory than it asked for",
}


def check(spec: JobSpec) -> None:
    """Raise LauncherMissing or InvalidRequest if a job cannot go to the Slurm of this machine."""
    if shutil.which("sbatch") is None:
        raise LauncherMissing(
            "the launcher slurm is not configured on this server",
            "there is no sbatch on its PATH",
            "install Slurm's commands on its machine, or submit without --launcher slurm",
        )
    if trouble := _unconfigured(shutil.which("sbatch") or "", int(time.monotonic())):
        raise LauncherMissing(
            "the launcher slurm is not configured on this server",
            trouble,
            "see that its machine belongs to a cluster (allgrad doctor --slurm), or submit without --launcher slurm",
        )
    check_options(LauncherKind.SLURM, spec.launcher_options, OPTIONS)


@lru_cache(maxsize=1)
def _unconfigured(sbatch: str, second: int) -> str:
    """Return what *sbatch* says if it knows no cluster, or nothing; it is asked once a *second*, for a sweep of jobs."""
    try:
        done = subprocess.run([sbatch, "--version"], capture_output=True, text=True, timeout=_GLANCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""  # which may pass: the job waits for that
    return _last_line(done.stderr) if done.returncode else ""


class Slurm:
    """The Slurm that sbatch of this machine submits to."""

    def __repr__(self) -> str:
        return f"Slurm({os.environ.get('SLURM_CONF', '')})"

    def find(self, task: Task) -> str:
        """Return the id of the batch job that bears the task's name, or ""."""
        return self._ask(["squeue", "--noheader", f"--name={task.name}", "--states=all", "--format=%i"]).partition(
            "\n"
        )[0]

    def submit(self, task: Task) -> str:
        """Submit the task; return the id of its batch job. Raises InvalidRequest with what sbatch says against it."""
        words = ["sbatch", "--parsable", f"--job-name={task.name}", f"--ntasks={task.ranks}", f"--chdir={task.folder}"]
        words += [f"--cpus-per-task={max(1, task.threads)}", f"--output={task.log}", "--open-mode=append"]
        words += [
            "--no-requeue",
            "--export=ALL",
        ]  # each attempt is one batch job: trying again is for the server's rules
        if task.max_runtime is not None:
            words.append(f"--time={math.ceil((task.max_runtime + task.grace) / 60) + 1}")
        words += [f"--{name}={value}" for name, value in task.options.items()]
        script = f"#!/bin/sh\nexec {shlex.join(task.argv)}\n"
        done = self._run(words, script, {**os.environ, **task.env})
        if done.returncode != 0:
            said = _last_line(done.stderr)
            if _no_contact(done.stderr):
                raise Unavailable(said)
            raise InvalidRequest("Slurm does not take the job", said, "see: sinfo, scontrol show partition")
        return done.stdout.strip().partition(";")[0]

    def look(self, handle: str) -> Sighting:
        """Return what has become of a batch job."""
        done = self._run(["scontrol", "--oneliner", "show", "job", handle])
        if done.returncode != 0:
            if _UNKNOWN in done.stderr:
                return Sighting(Phase.FORGOTTEN, f"Slurm knows nothing of its job {handle} any more", FailureKind.LOST)
            raise Unavailable(_last_line(done.stderr))
        return sighting(handle, dict(_FIELD.findall(done.stdout)))

    def end(self, handle: str, *, gently: bool) -> None:
        """Send SIGTERM to the batch script, or end the whole batch job."""
        self._ask(["scancel", *(["--batch", "--signal=TERM"] if gently else []), handle])

    def _ask(self, words: Sequence[str]) -> str:
        done = self._run(words)
        if done.returncode != 0 and _no_contact(done.stderr):
            raise Unavailable(_last_line(done.stderr))
        return done.stdout.strip()

    def _run(
        self, words: Sequence[str], text: str = "", env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                words, input=text, env=env, capture_output=True, text=True, timeout=_PATIENCE, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(str(error)) from None


def sighting(handle: str, told: dict[str, str]) -> Sighting:
    """Return what the fields of `scontrol show job` mean.

    >>> sighting("7", {"JobState": "PENDING", "Reason": "Resources"}).words
    'waits in Slurm as job 7: Resources'
    >>> sighting("7", {"JobState": "NODE_FAIL"}).kind
    <FailureKind.LOST: 'lost'>
    """
    state, reason = told.get("JobState", ""), told.get("Reason", "None")
    because = f": {reason}" if reason != "None" else ""
    if state in _WAITING:
        return Sighting(Phase.WAITING, f"waits in Slurm as job {handle}{because}")
    if state not in _ENDS:
        return Sighting(Phase.RUNNING, f"is {state.lower()} in Slurm as job {handle}{because}")
    kind = _ENDS[state]
    said = _SAID.get(kind, "") if kind else ""
    code, _, number = told.get("ExitCode", "0:0").partition(":")
    exit_code = int(code) or (128 + int(number or 0) if number not in ("", "0") else 0)
    words = f"Slurm job {handle} is {state.lower().replace('_', ' ')}{because}" + (f": {said}" if said else "")
    return Sighting(Phase.ENDED, words, kind, state == "CANCELLED", exit_code)


def sweep_nodes(job_id: str, attempt: int, grace: float) -> None:
    """End what ranks left on any node of the allocation that this process is in."""
    nodes = os.environ.get("SLURM_JOB_NUM_NODES", "1")
    words = [
        "srun",
        "--overlap",
        "--quiet",
        f"--nodes={nodes}",
        f"--ntasks={nodes}",
        "--ntasks-per-node=1",
        "--mpi=none",
    ]
    program = [
        sys.executable,
        "-P",
        "-m",
        "allgrad.server.supervisor.sweep",
        job_id,
        str(attempt),
        str(grace),
        "--ranks",
    ]
    done = subprocess.run([*words, *program], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        print(f"cannot look for processes left on the nodes: {_last_line(done.stderr)}", file=sys.stderr)


def _no_contact(text: str) -> bool:
    return any(words in text for words in ("Unable to contact", "Socket timed out", "Connection refused"))


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")
