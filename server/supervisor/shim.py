"""The supervisor of one attempt: a small process that starts the ranks, ends them all, and records how.

It outlives the server. Run as `python -m allgrad.server.supervisor.shim RUN_DIR`; SIGTERM asks it to end the attempt.
"""

from __future__ import annotations

import errno
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from .. import launchers
from ..errors import AllgradError, HostUnreachable
from ..files import archive
from ..jobs import alerts
from ..jobs.job import LAUNCHER_LOG
from ..jobs.spec import FailureKind, LauncherKind
from ..launchers import Ending, Launcher, reach
from ..launchers.slurm import sweep_nodes
from . import entry, linux, processes
from .attempt import Exit, Order, RunDir
from .batch import INSIDE, BatchSupervisor
from .cargo import FAILURE, SCRATCH
from .elsewhere import BUSY_TICK, Elsewhere
from .logs import Trimmer
from .provisions import ARCHIVE, provide
from .sender import Sender
from .tensorboard import FOLDER, EventFile

TICK = 0.2
"""Seconds between looks at the logs, while nothing happens."""
_DISK_PAUSE = 1.0
LEFTOVER_GRACE = 1.0
"""Seconds that processes left behind by the ranks have after SIGTERM."""
_JUST_ENDING = 0.5
"""Seconds that processes beside a launcher have to end after it."""
_LONGEST_ABORT = 15.0
"""Seconds in which a launcher must end once a rank has told that it failed, and so ends all others."""
_WAKERS = {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT}
HOST_LOST = 255
"""The exit code of an attempt one of whose hosts was lost, as of ssh(1)."""
TIMED_OUT = 124
"""The exit code of an attempt that ran too long, as of timeout(1)."""


class Supervisor:
    """Runs one attempt from its order to its exit record."""

    def __init__(self, run: RunDir) -> None:
        self._run = run
        self._order = run.order()
        self._returncode: int | None = None
        self._timed_out = False
        self._failed: float | None = None
        """When it was first seen that a rank has told that it failed."""
        self._child: subprocess.Popen[bytes] | None = None
        self._launcher: Launcher | None = None
        self._inside = run.inside
        self._elsewhere = Elsewhere(self._order, self._order.elsewhere, os.getpid())
        self._lost = ""
        self._trimmers = [
            Trimmer(run.log(rank), self._order.log_limit) for rank in (LAUNCHER_LOG, *range(self._order.ranks))
        ]
        self._trimmers.append(Trimmer(run.journal, self._order.journal_limit, head=0))

        folder = Path(self._order.output_dir, FOLDER)
        events = self._order.tensorboard and not run.inside
        self._events = EventFile(run.journal, folder, self._order.attempt) if events else None

    def __repr__(self) -> str:
        state = "running" if self._returncode is None else f"returned {self._returncode}"
        return f"Supervisor({self._order.job_id}, attempt {self._order.attempt}, {state})"

    def supervise(self) -> None:
        """Start the ranks, wait for their end or for the order to end them, and record it."""
        linux.adopt_orphans()
        signal.pthread_sigmask(signal.SIG_BLOCK, _WAKERS)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        oom_kills = _oom_kills()
        with tempfile.TemporaryDirectory(prefix="allgrad-", ignore_cleanup_errors=True) as scratch:
            try:
                self._start(Path(scratch))
            except (AllgradError, OSError) as error:
                kind = FailureKind.LOST if isinstance(error, HostUnreachable) else FailureKind.EXIT_CODE
                self._record(Exit(entry.CANNOT_START, f"cannot start: {error}", False, time.time(), [], kind))
                return
            self._run.note_supervisor(os.getpid(), time.time())
            sender = None if self._inside else Sender(self._order, self._run)
            if sender is not None:
                sender.start()
            stopped = self._wait()
            ended = self._conclude(stopped, _oom_kills() > oom_kills)
        self._record(ended)
        if self._events is not None:
            self._events.close()
        if sender is not None:
            sender.finish()

    def _start(self, scratch: Path) -> None:
        order = self._order
        self._launcher = launchers.within(order.launcher, order.ranks) if self._inside else self._here()
        if order.archive and order.account is None and not Path(order.root).exists():
            archive.unpack(Path(order.archive), Path(order.root))
        if order.elsewhere:
            order = self._go_elsewhere()
        run = RunDir(order.ranks_folder(self._run.path.parent) / self._run.path.name)
        command = launchers.command(
            self._launcher,
            order.argv,
            order.ranks,
            scratch=scratch if order.account is None else run.path / SCRATCH,
            as_torch=order.as_torch,
            threads=order.threads or int(os.environ.get("SLURM_CPUS_PER_TASK", "0")),
            environ=_environment(order, run),
            forward=list(order.env),
        )
        prepare = partial(_before_exec, order.cores)  # safe: there is only one thread yet
        with self._run.log(LAUNCHER_LOG).open("ab") as log:
            if order.account is not None:
                self._child = entry.start(order.account, command, order.workdir, log, prepare)
                return
            self._child = subprocess.Popen(
                command.argv,
                env=command.env,
                cwd=order.workdir,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                preexec_fn=prepare,
            )

    def _here(self) -> Launcher:
        return launchers.on_hosts(self._order.dealt, self._order.ranks)

    def _go_elsewhere(self) -> Order:
        """Return once all that ranks elsewhere need is there, and they are kept: what holds there. Raises HostUnreachable."""
        order, run = self._order, self._run
        apart = self._check_elsewhere()
        brought: Sequence[str] = ()
        if apart:
            order, cargo = provide(order, run)
            self._elsewhere.carry(apart, cargo, run.path.parent)
            brought = cargo.brought
            run.note_owed(apart)
        try:
            self._elsewhere.begin(brought, asked=lambda: signal.sigpending() - {signal.SIGCHLD})
        except HostUnreachable:
            self._elsewhere.give_up()
            run.note_owed(self._elsewhere.owing)
            raise
        finally:
            (run.path / ARCHIVE).unlink(missing_ok=True)
        return order

    def _check_elsewhere(self) -> list[str]:
        """Return which places do not share the server's folder. Raises HostUnreachable where no ranks can start."""
        order = self._order
        if order.account is not None:
            reach.check_account(order.account, "" if order.archive else order.workdir)
            return [order.account.name]
        shared = str(self._run.path / "order.json")
        seen = reach.look(order.dealt, order.workdir, shared, comes=bool(order.archive))
        for found in seen:
            if found.trouble is not None:
                raise found.trouble
        return [found.host.name for found in seen if found.apart]

    def _wait(self) -> bool:
        """Wait for the launcher to return; return whether it was told to, and not only because it took too long."""
        limit = self._order.max_runtime
        deadline = math.inf if limit is None else time.monotonic() + limit
        while self._returncode is None:
            woken = signal.sigtimedwait(_WAKERS, BUSY_TICK if self._elsewhere.busy else TICK)
            self._reap()
            if self._inside and self._returncode is None and self._run.stop_asked:
                self._stop()
                return True
            if woken and woken.si_signo != signal.SIGCHLD and self._returncode is None:
                self._stop()
                return True
            if time.monotonic() >= deadline and self._returncode is None:
                self._timed_out = True
                self._stop()
                break
            self._lost = self._elsewhere.tend()
            if (self._lost or self._launcher_hangs()) and self._returncode is None:
                self._stop()
                break
            for trimmer in self._trimmers:
                trimmer.trim()
            if self._events is not None:
                self._events.update()
        return False

    def _launcher_hangs(self) -> bool:
        """Whether a rank has failed and the launcher, which would have ended since, has not: prterun may miss an abort.

        Seen in Open MPI 5.0.11 with ranks on other hosts only. Here a script may have let others fail, and go on.
        """
        if not self._order.dealt:
            return False
        if self._failed is None:
            self._failed = time.monotonic() if (self._run.path / FAILURE).exists() else None
        return self._failed is not None and time.monotonic() > self._failed + _LONGEST_ABORT

    def _stop(self) -> None:
        assert self._launcher is not None
        helpers = self._launcher.helpers
        self._elsewhere.end(self._order.grace, helpers)
        processes.end(
            self._members,
            self._order.grace,
            spare=lambda process: process.name in helpers,
            meanwhile=self._look_around,
        )
        if self._order.account is not None:
            self._lost = self._lost or self._elsewhere.settle(self._order.grace, self._reap)
            self._let_go()
        self._reap()  # the launcher may have been the last to end

    def _let_go(self) -> None:
        """Wait for the process that leads to the ranks, which ends after them, unless nobody could end them."""
        until = time.monotonic() + _JUST_ENDING
        while self._returncode is None and time.monotonic() < until:
            time.sleep(0.02)
            self._reap()
        if self._returncode is None:
            assert self._order.account is not None
            self._lost = self._lost or f"processes of {self._order.account.title} could not be ended"
            self._returncode = HOST_LOST

    def _members(self) -> list[processes.Process]:
        """Return every living process of the attempt but this one, and those that only a keeper may end."""
        order, own = self._order, os.getpid()
        if order.account is not None:
            return []
        found = {process.pid: process for process in processes.descendants(own)}
        find = processes.started_ranks if self._inside else processes.tagged
        found |= {process.pid: process for process in find(order.job_id, order.attempt)}
        ours = {own} | self._elsewhere.pids
        return [process for process in found.values() if process.pid not in ours and process.parent not in ours - {own}]

    def _left_behind(self) -> list[processes.Process]:
        """Return what lives on of the attempt for longer than what ends with its launcher, such as an agent that it has."""
        until = time.monotonic() + _JUST_ENDING
        while (left := self._members()) and time.monotonic() < until:
            time.sleep(0.02)
            self._reap()
        return left

    def _look_around(self) -> None:
        self._elsewhere.tend()
        self._reap()

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._child is not None and pid == self._child.pid:
                self._returncode = self._child.returncode = os.waitstatus_to_exitcode(status)

    def _conclude(self, stopped: bool, out_of_memory: bool) -> Exit:
        """End what the ranks left behind, and return how the attempt ended."""
        assert self._launcher is not None
        assert self._returncode is not None
        finished, notes = time.time(), []
        left = self._left_behind()
        if left:
            names = ", ".join(sorted({process.name for process in left}))
            notes.append(f"ended {len(left)} process(es) that the ranks had left running: {names}")
            processes.end(self._members, LEFTOVER_GRACE, meanwhile=self._reap)
        if self._launcher.slurm:
            sweep_nodes(self._order.job_id, self._order.attempt, LEFTOVER_GRACE)
        vanished = self._elsewhere.settle(LEFTOVER_GRACE, self._reap)
        if self._run.owed():
            owing = self._elsewhere.owing
            _in_time(lambda: self._run.note_owed(owing))
            if owing:
                notes.append(alerts.owed(owing, self._elsewhere.stuck))
        ending = self._launcher.ending(self._returncode, _tail(self._run.log(LAUNCHER_LOG)))
        lost = self._lost or (vanished if ending.exit_code else "")
        code, reason = self._explain(ending)
        if code and (full := self._elsewhere.full):
            reason += f"; the disk of {', '.join(full)} is full"
        kind = FailureKind.EXIT_CODE if ending.signal is None else FailureKind.SIGNAL
        if lost and stopped:
            notes.append(lost)
        if self._timed_out:
            kind, code = FailureKind.TIMEOUT, TIMED_OUT
            reason = f"it ran longer than the {self._order.max_runtime:g} s that it may"
        elif lost and not stopped:
            told = reason if self._run.failure() is not None else ""  # what else it has seen came of our ending it
            kind, code, reason = FailureKind.LOST, HOST_LOST, "; ".join(filter(None, (lost, told)))
        elif out_of_memory and ending.signal == signal.SIGKILL and not stopped:
            kind = FailureKind.OUT_OF_MEMORY
            reason += ": the system ran out of memory"
        return Exit(code, reason, stopped, finished, notes, kind)

    def _explain(self, ending: Ending) -> tuple[int, str]:
        """Return the exit code of the first rank that failed, and in words how it failed."""
        failure = self._run.failure()
        if ending.exit_code == 0 and not (failure and self._order.dealt):
            return 0, ""
        if failure is not None:
            code = failure.exit_code or ending.exit_code or 1
            told = f"exit code {code}" if failure.error.startswith("SystemExit") else failure.error
            return code, f"rank {failure.rank} on {failure.host}: {told}"
        if ending.signal is not None:
            rank = "" if ending.rank is None else f"rank {ending.rank} was "
            return ending.exit_code, f"{rank}killed by {_signal_name(ending.signal)}"
        words = _last_words(self._run.log(LAUNCHER_LOG)) if not self._run.log(0).exists() else ""
        return ending.exit_code, f"exit code {ending.exit_code}" + (f": {words}" if words else "")

    def _record(self, ended: Exit) -> None:
        for trimmer in self._trimmers:
            trimmer.trim()
        _in_time(lambda: self._run.note_exit(ended))


def _in_time(write: Callable[[], None]) -> None:
    """Write a record, as soon as there is room for it: without it the attempt would count as lost."""
    while True:
        try:
            return write()
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise
        time.sleep(_DISK_PAUSE)


def _environment(order: Order, run: RunDir) -> dict[str, str]:
    """Return the environment of the ranks, which have the attempt's folder as *run*."""
    given = os.environ if order.account is None else reach.environment(order.account, os.environ)
    tags = {processes.JOB_TAG: order.job_id, processes.ATTEMPT_TAG: str(order.attempt)}
    folders = {"ALLGRAD_LOG_DIR": str(run.logs), "ALLGRAD_OUTPUT_DIR": order.output_dir}
    return {**given, **tags, processes.RUN_DIR: str(run.path), **folders, **_checkpointing(order), **order.env}


def _checkpointing(order: Order) -> Mapping[str, str]:
    """Return what tells a script where to go on from, and how often to write a checkpoint."""
    told = {"ALLGRAD_RESUME": order.resume} if order.resume else {}
    if order.checkpoint_interval is not None:
        told["ALLGRAD_CHECKPOINT_INTERVAL"] = f"{order.checkpoint_interval:g}"
    return told


def _before_exec(cores: Collection[int]) -> None:
    """Prepare the launcher's process: it dies with the supervisor, hears all signals, and keeps to its cores."""
    linux.die_with_parent()
    if cores:  # Open MPI is told not to bind, and MPICH does not by itself: so every rank inherits them
        with suppress(OSError):  # one of them may have been taken from this machine since
            os.sched_setaffinity(0, cores)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _oom_kills() -> int:
    """Return how many processes this machine has killed for lack of memory since it started."""
    try:
        lines = Path("/proc/vmstat").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def _tail(path: Path, size: int = 1 << 14) -> str:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read().decode("utf-8", errors="replace")


def _last_words(path: Path) -> str:
    lines = [line.strip() for line in _tail(path).splitlines()]
    return next((line for line in reversed(lines) if line.strip("-=")), "")


def _signal_name(number: int) -> str:
    try:
        return f"signal {number} ({signal.Signals(number).name})"
    except ValueError:
        return f"signal {number}"


def main() -> None:
    """Supervise the attempt whose folder is the first argument; `--inside`: where Slurm or Kubernetes have put its ranks."""
    run = RunDir(Path(sys.argv[1]), inside=sys.argv[2:] == [INSIDE])
    batch = run.order().launcher is not LauncherKind.MPIRUN and not run.inside
    (BatchSupervisor(run) if batch else Supervisor(run)).supervise()
    if run.inside and (ended := run.exit()) is not None:
        sys.exit(ended.exit_code)  # for those who look at the cluster


if __name__ == "__main__":
    main()
