"""How the failure of one rank is told once and ends the whole world, without loading MPI for it."""

from __future__ import annotations

import atexit
import ctypes
import fcntl
import functools
import json
import os
import queue
import signal
import socket
import stat
import subprocess
import sys
import termios
import threading
import time
import traceback
from array import array
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, NoReturn

from .launch import HYDRA, OPEN_MPI, SRUN, launch
from .watchdog.progress import is_the_scripts

# The rank that failed first ends the others well within this time; one that is still there by then ends itself.
_SECONDS_FOR_THE_FIRST = 1.5

# Longer than the start of MPI_Init takes on a machine with much to do; see _hold_others.
_SECONDS_TO_CONNECT = 3.0

# What mpirun --with-ft ulfm tells its ranks.
_TOLERANT = "OMPI_MCA_mpi_ft_enable"

# A name of 256 bytes and a rank (PMIx standard 4.1, pmix_proc_t), rounded up.
_PMIX_PROC_BYTES = 264

# Whether this rank is the first that failed on this host, and the socket that may tell so; see is_first_here.
_claimed = False
_claim: socket.socket | None = None

# The process that is the rank; a forked child of it, such as a data loader's worker, ends alone.
_rank_pid = os.getpid()


class Refused(SystemExit):
    """The end of a rank that could not begin: *message* says why and what to do, and stands for a traceback."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(code)
        self.message = message


def exit_code(error: BaseException) -> int:
    """Return the code Python would exit with: 130 for Ctrl-C, what ``sys.exit`` was given, else 1.

    >>> exit_code(SystemExit(3)), exit_code(SystemExit(None)), exit_code(ValueError())
    (3, 0, 1)
    """
    if isinstance(error, KeyboardInterrupt):
        return 128 + signal.SIGINT
    if not isinstance(error, SystemExit):
        return 1
    if error.code is None:
        return 0
    if not isinstance(error.code, int):
        return 1
    # The kernel keeps eight bits; a failure must not come out as a success because of that.
    return error.code & 0xFF or int(error.code != 0)


def is_tolerated() -> bool:
    """Return whether the launcher, Open MPI's, lets the other ranks live when one has died."""
    return os.environ.get(_TOLERANT, "0").lower() in ("1", "true", "yes", "enabled")


def is_rank_process() -> bool:
    """Return whether this process is the rank itself, and not a forked child of it."""
    return os.getpid() == _rank_pid


def end_world(error: BaseException, *, first_frame: str | None = None, linger: float = 0.0) -> NoReturn:
    """Tell once that this rank failed with *error*, then end it and every other rank with its exit code.

    The others are given *linger* seconds to tell what they know. Frames outside of *first_frame*'s file are left out of
    the head of the traceback. Within a world of one rank the process just exits; under a launcher MPI aborts, or,
    where MPI was never started, the launcher notices the exit.
    """
    code = exit_code(error)
    text = _traceback(error, first_frame)
    if not is_rank_process():
        sys.stderr.write(text)
        sys.stderr.flush()
        os._exit(code)
    _write_record(error, code, text)
    seen = launch()
    alone = seen is None or seen.size == 1
    first = alone or is_first_here()
    _print(error, text, first=first, alone=alone)
    if alone and not _mpi_is_running():
        sys.exit(code)
    time.sleep(linger if first else _SECONDS_FOR_THE_FIRST)
    _abort(code)


def guard() -> None:
    """Make an uncaught exception or ``sys.exit`` here end every rank, however this script was started."""
    if sys.excepthook is not _end_at_exception:
        sys.excepthook = _end_at_exception
        _watch_sys_exit()


def _end_at_exception(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    end_world(error.with_traceback(trace))


def _watch_sys_exit() -> None:
    # SystemExit passes by every hook and is gone when atexit runs, while MPI would wait there for the other ranks
    # for ever. So sys.exit is noted; that nothing caught it shows in the outermost frame, which has not moved on.
    sys_exit = sys.exit

    def noted(status: Any = None) -> NoReturn:
        if threading.current_thread() is threading.main_thread():
            frame = sys._getframe()
            while frame.f_back is not None:
                frame = frame.f_back
            atexit.unregister(_leave)
            atexit.register(_leave, frame, frame.f_lasti, SystemExit(status))
            if exit_code(SystemExit(status)) != 0:
                _last_resort()  # _leave comes too late for it
        sys_exit(status)

    sys.exit = noted


def _leave(outermost: FrameType, position: int, error: SystemExit) -> None:
    if outermost.f_lasti == position and exit_code(error) != 0 and is_rank_process():
        end_world(error)


def _traceback(error: BaseException, first_frame: str | None) -> str:
    if isinstance(error, SystemExit):
        return ""
    trace = error.__traceback__
    if first_frame is not None:
        while trace is not None and trace.tb_frame.f_code.co_filename != first_frame:
            trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace))


def _one_line(error: BaseException) -> str:
    if isinstance(error, Refused):
        return error.message
    if isinstance(error, SystemExit):
        return f"SystemExit: {error.code}"
    return traceback.format_exception_only(error)[-1].strip().partition("\n")[0]


def _print(error: BaseException, text: str, *, first: bool, alone: bool) -> None:
    if not first and isinstance(error, KeyboardInterrupt):
        told = ""  # they all get it
    elif not first and not _has_own_log():
        told = f"allgrad: {who()} failed too: {_one_line(error)}\n"
    elif isinstance(error, Refused):
        told = f"allgrad: {error.message}\n"
    elif isinstance(error, SystemExit) and isinstance(error.code, str):
        told = f"{error.code}\n"
    elif isinstance(error, KeyboardInterrupt) and not alone:
        told = f"allgrad: {who()} was interrupted (Ctrl-C){_at(error)}; all ranks end\n"
    elif isinstance(error, SystemExit):
        told = "" if alone else f"allgrad: {who()} ended with exit code {error.code}; ending the other ranks\n"
    else:
        told = text if alone else f"allgrad: {who()} failed; ending the other ranks\n{text}"
    sys.stdout.flush()
    sys.stderr.write(told)
    sys.stderr.flush()
    if not alone:
        _wait_to_be_heard()


def _has_own_log() -> bool:
    """Whether what this rank prints is kept apart from what others print; `allgrad run` reads pipes, and shows them together."""
    return "ALLGRAD_LOG_DIR" in os.environ and stat.S_ISREG(os.fstat(2).st_mode)


def _at(error: BaseException) -> str:
    """Return `` at FILE:LINE in FUNCTION``, the innermost line of the script's own that *error* passed; "" if there is none."""
    lines = [
        f" at {frame.f_code.co_filename}:{number} in {frame.f_code.co_name}"
        for frame, number in traceback.walk_tb(error.__traceback__)
        if is_the_scripts(frame.f_code.co_filename)
    ]
    return lines[-1] if lines else ""


def _wait_to_be_heard() -> None:
    # Seen in MPICH 5.0.2: an abort right after the last words loses them on the way to mpiexec.
    deadline = time.monotonic() + 0.5
    unread = array("i", [1])
    while unread[0] and time.monotonic() < deadline:
        time.sleep(0.05)
        try:
            fcntl.ioctl(2, termios.FIONREAD, unread)
        except OSError:
            return


def who() -> str:
    """Return this rank's name for people: its number and its host."""
    seen = launch()
    return f"rank {seen.rank if seen else 0} on {socket.gethostname()}"


def is_first_here() -> bool:
    """Whether no other rank of this launch on this host has failed yet; the same rank may ask again.

    The first one makes a file in the folder that a PMIx launcher keeps for the launch and clears after it. Elsewhere it
    holds a socket's name, which is free again when it exits: launchers without PMIx end the others before that.
    """
    global _claimed
    if not _claimed:
        folder = os.environ.get("PMIX_SERVER_TMPDIR")
        _claimed = _claim_socket() if folder is None else _claim_file(folder)
    return _claimed


def _claim_file(folder: str) -> bool:
    path = Path(folder, f"allgrad-failure-{os.environ.get('PMIX_NAMESPACE')}")
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    except OSError:
        return _claim_socket()
    return True


def _claim_socket() -> bool:
    global _claim
    job = os.environ.get("PMIX_NAMESPACE") or f"{os.getuid()}-{os.getppid()}"
    _claim = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        _claim.bind(f"\0allgrad-failure-{job}")
    except OSError:
        return False
    return True


def _write_record(error: BaseException, code: int, text: str) -> None:
    """Leave failure.json in the run's folder; a link makes it appear whole, and only for the first rank to fail."""
    folder = os.environ.get("ALLGRAD_RUN_DIR")
    if not folder:
        return
    seen = launch()
    record: dict[str, Any] = {
        "rank": seen.rank if seen else 0,
        "host": socket.gethostname(),
        "exit_code": code,
        "signal": None,
        "error": _one_line(error),
        "traceback": text,
    }
    draft = Path(folder, f".failure.json.{socket.gethostname()}.{os.getpid()}")
    try:
        draft.write_text(json.dumps(record), encoding="utf-8")
        os.link(draft, Path(folder, "failure.json"))
    except FileExistsError:
        return
    except OSError as reason:
        sys.stderr.write(f"allgrad: could not write {folder}/failure.json: {reason}\n")
    finally:
        draft.unlink(missing_ok=True)


def _mpi_is_running() -> bool:
    mpi = sys.modules.get("mpi4py.MPI")
    return mpi is not None and mpi.Is_initialized() and not mpi.Is_finalized()


def _abort(code: int) -> NoReturn:
    if _mpi_is_running():
        # MPI may be what hangs; and what the launcher then sees is a rank that has died.
        _last_resort().put(code)
        sys.modules["mpi4py.MPI"].COMM_WORLD.Abort(code)
    seen = launch()
    if seen is not None and seen.launcher == OPEN_MPI:
        if is_tolerated():
            _abort_by_pmix(code)
        if is_first_here():  # two could stop each other
            _hold_others()
    if seen is not None and seen.launcher == HYDRA and "PMI_FD" in os.environ:
        # A rank that exits before MPI_Init is not missed by mpiexec; this is how MPI itself would tell it.
        os.write(int(os.environ["PMI_FD"]), b"cmd=abort exitcode=%d\n" % code)
        time.sleep(_SECONDS_FOR_THE_FIRST)
    if seen is not None and seen.launcher == SRUN:
        _cancel_step()
    # No clean-up on the way out: a thread that waits for another rank would wait for ever.
    os._exit(code)


def _abort_by_pmix(code: int) -> None:
    """Let prterun end this job: if it tolerates the death of ranks, one that exits does not end those in MPI_Init.

    MPI would do the same, but cannot before it has started, for which it waits for all ranks. The library is the one that
    the launcher, this rank's parent, has loaded.
    """
    with suppress(OSError):
        loaded = [line.split()[-1] for line in Path(f"/proc/{os.getppid()}/maps").read_text().splitlines()]
        pmix = ctypes.CDLL(next((path for path in loaded if "/libpmix.so" in path), "libpmix.so.2"))
        process = ctypes.create_string_buffer(_PMIX_PROC_BYTES)
        if pmix.PMIx_Init(process, None, ctypes.c_size_t(0)) == 0:
            pmix.PMIx_Abort(code, b"", None, ctypes.c_size_t(0))
            time.sleep(_SECONDS_FOR_THE_FIRST)


def _cancel_step() -> None:
    """End the other ranks of this srun: it does not miss one that exits before MPI_Init, where the others would wait for ever."""
    step = f"{os.environ.get('SLURM_JOB_ID')}.{os.environ.get('SLURM_STEP_ID')}"
    with suppress(OSError):
        subprocess.Popen(  # it outlives this rank, whose exit code srun is to see first
            ["/bin/sh", "-c", 'sleep 0.5; exec scancel --quiet "$0"', step],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


@functools.cache
def _last_resort() -> queue.SimpleQueue[int]:
    """Start the thread that ends this process, soon, with the exit code that is put; Python 3.12 starts none while it ends."""
    codes: queue.SimpleQueue[int] = queue.SimpleQueue()

    def exit_soon() -> NoReturn:
        code = codes.get()
        time.sleep(_SECONDS_FOR_THE_FIRST)
        os._exit(code)

    threading.Thread(target=exit_soon, name="allgrad-last-resort", daemon=True).start()
    return codes


def _hold_others() -> None:
    """Keep this host's other ranks from connecting to prterun in the moment in which this one exits.

    Seen in Open MPI 5.0.11: when prterun ends the ranks while one is about to connect to it, at the start of MPI_Init,
    it crashes or hangs for ever. So a rank without MPI is stopped, to die at the SIGCONT that prterun sends first, and
    one with it is given time to be through.
    """
    job = f"PMIX_NAMESPACE={os.environ.get('PMIX_NAMESPACE')}".encode()
    connecting = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            others = int(process.name) != os.getpid() and job in (process / "environ").read_bytes().split(b"\0")
            if others and not _hold(process):
                connecting.append(process)
    _until(lambda: not any(map(_is_connecting, connecting)))


def _hold(process: Path) -> bool:
    """Stop *process*, a folder of /proc, until it is told to die; return False for one with MPI, which goes on."""
    pid = int(process.name)
    os.kill(pid, signal.SIGSTOP)
    _until(lambda: _state(process) == "T")
    if b"libmpi" in (process / "maps").read_bytes():
        os.kill(pid, signal.SIGCONT)
        return False
    if _state(process) == "T":
        os.kill(pid, signal.SIGTERM)  # earlier it would die at once, and be taken for the first that failed
    return True


def _until(so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS_TO_CONNECT
    while not so() and time.monotonic() < deadline:
        time.sleep(0.002)


def _state(process: Path) -> str:
    """Return the letter by which /proc tells what *process*, a folder there, does: "T" for stopped."""
    return (process / "stat").read_text().rpartition(")")[2].split()[0]


def _is_connecting(process: Path) -> bool:
    """Whether *process*, a folder of /proc with MPI loaded, still lacks what prterun shares with those that have connected."""
    try:
        return b"/pmix-gds-" not in (process / "maps").read_bytes()
    except OSError:
        return False
