"""What this machine must have: Python and its packages, an MPI that starts ranks, memory, a folder for the server."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from ..home import Home
from ..launchers import find_mpi
from .finding import Finding, Verdict, last_line, run

MEBIBYTE = 1024 * 1024
SHARED_MEMORY = "/dev/shm"  # noqa: S108 -- measured, never written to
SLOW_START = 3.0
"""Seconds for the start of two ranks above which something is not as it should be."""


def check_up(home: Home) -> Iterator[Finding]:
    """Run every check of this machine in turn."""
    for check in (python, numpy, numba, mpi, two_ranks, grpc, sqlite, cores, shared_memory):
        yield check()
    yield home_folder(home)


def python() -> Finding:
    return Finding("python", Verdict.OK, f"{sys.version.partition(' ')[0]}, {sys.executable}")


def numpy() -> Finding:
    code = "import numpy, allgrad; print(numpy.__version__, float(allgrad.tensor([2.0]).sum()))"
    done = run([sys.executable, "-c", code])
    if done.returncode:
        fix = "reinstall it: pip install --force-reinstall 'numpy>=2.1,<3'"
        return Finding("numpy", Verdict.PROBLEM, f"a first tensor fails: {last_line(done.stderr)}", fix)
    return Finding("numpy", Verdict.OK, done.stdout.split()[0])


def numba() -> Finding:
    found = _version("numba")
    if found:
        return Finding("numba", Verdict.OK, found)
    fix = "for faster kernels: pip install 'allgrad[jit]'"
    return Finding("numba", Verdict.WARNING, "not installed; plain NumPy is used", fix)


def mpi() -> Finding:
    found, binding = find_mpi(), _version("mpi4py")
    if found is None:
        fix = "pip install 'allgrad[mpi]', or install openmpi or mpich; without it every job has one rank"
        return Finding("mpi", Verdict.PROBLEM, "there is no working mpirun", fix)
    if not binding:
        return Finding("mpi", Verdict.PROBLEM, f"{found.name}, but no mpi4py", "pip install 'mpi4py>=4.1,<5'")
    return Finding("mpi", Verdict.OK, f"{found.name}, {found.path}, mpi4py {binding}")


def two_ranks() -> Finding:
    launcher = find_mpi()
    if launcher is None or not _version("mpi4py"):
        return Finding("two ranks", Verdict.PROBLEM, "cannot be started without MPI", "see above")
    code = "from mpi4py import MPI; print(MPI.COMM_WORLD.allreduce(1))"
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="allgrad-") as scratch:
        done = run(launcher.argv([sys.executable, "-c", code], 2), {**launcher.env(Path(scratch)), **os.environ})
    took = time.monotonic() - begun
    if done.returncode:
        fix = f"try it by hand: {launcher.path} -n 2 {sys.executable} -c '{code}'"
        return Finding("two ranks", Verdict.PROBLEM, last_line(done.stderr), fix)
    if done.stdout.split() != ["2", "2"]:
        fix = f"mpi4py must load the library of {launcher.path}: see MPI4PY_MPIABI and LD_LIBRARY_PATH"
        return Finding("two ranks", Verdict.PROBLEM, "each rank believes that it is alone", fix)
    if took > SLOW_START:
        fix = "is the machine busy, or has a setting of yours (OMPI_MCA_*) brought slow transports back?"
        return Finding("two ranks", Verdict.WARNING, f"started and summed, but in {took:.1f} s", fix)
    return Finding("two ranks", Verdict.OK, f"started and summed in {took:.1f} s")


def grpc() -> Finding:
    found = _version("grpcio")
    if found:
        return Finding("grpc", Verdict.OK, found)
    return Finding("grpc", Verdict.PROBLEM, "not installed", "pip install 'allgrad[server]'")


def sqlite() -> Finding:
    try:
        import apsw
    except ImportError:
        return Finding("sqlite", Verdict.PROBLEM, "apsw is not installed", "pip install 'allgrad[server]'")
    found = apsw.sqlite_lib_version()
    if tuple(int(part) for part in found.split(".")) < (3, 51, 3):
        fix = "it can lose commits (sqlite.org/wal.html#walresetbug): pip install --upgrade apsw"
        return Finding("sqlite", Verdict.PROBLEM, found, fix)
    return Finding("sqlite", Verdict.OK, found)


def cores() -> Finding:
    installed, usable = os.cpu_count() or 1, len(os.sched_getaffinity(0))
    if usable < installed:
        found = f"{usable} of {installed} may be used by this process"
        return Finding("cores", Verdict.WARNING, found, "see taskset -p $$, or the limits of the container")
    return Finding("cores", Verdict.OK, str(usable))


def shared_memory() -> Finding:
    try:
        size = shutil.disk_usage(SHARED_MEMORY)
    except OSError:
        fix = f"mount it: mount -t tmpfs tmpfs {SHARED_MEMORY}"
        return Finding("shared memory", Verdict.PROBLEM, f"there is no {SHARED_MEMORY}", fix)
    found = f"{SHARED_MEMORY} has {size.free // MEBIBYTE} of {size.total // MEBIBYTE} MiB free"
    if size.free < 256 * MEBIBYTE:
        fix = "ranks of one host exchange data there; in a container: docker run --shm-size 1g"
        return Finding("shared memory", Verdict.WARNING, found, fix)
    return Finding("shared memory", Verdict.OK, found)


def home_folder(home: Home) -> Finding:
    folder = home.path
    if not folder.exists():
        return Finding("home", Verdict.OK, f"{folder}, made at the first allgrad serve")
    if not os.access(folder, os.W_OK | os.X_OK):
        fix = f"chmod u+rwx {folder}, or choose another with --home"
        return Finding("home", Verdict.PROBLEM, f"{folder} cannot be written", fix)
    if folder.stat().st_mode & 0o077 or (home.token_file.exists() and home.token_file.stat().st_mode & 0o077):
        fix = f"chmod -R go= {folder}"
        return Finding("home", Verdict.WARNING, f"others can look into {folder}, where the token lies", fix)
    free = shutil.disk_usage(folder).free
    if free < 1024 * MEBIBYTE:
        fix = "make room, or choose another with --home"
        return Finding("home", Verdict.WARNING, f"{folder}, {free // MEBIBYTE} MiB free", fix)
    return Finding("home", Verdict.OK, str(folder))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
