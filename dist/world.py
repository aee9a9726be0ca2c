"""The one door to MPI: the world of ranks this process belongs to, which is a world of one without a launcher."""

from __future__ import annotations

import atexit
import ctypes
import os
import re
import socket
import sys
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from .failure import guard, is_tolerated
from .interrupts import heed_interrupts
from .launch import HYDRA, OPEN_MPI, SRUN, Launch, launch
from .surroundings import ignored_hostfile, own_seat, warn
from .watchdog.progress import Line, new_line
from .watchdog.watch import seconds_of, watch, watch_no_longer

if TYPE_CHECKING:
    from mpi4py import MPI

    from .communication.board import Board

# What Open MPI does better than by default, unless the user has chosen otherwise. Without the first it looks for
# OFI providers at every start: 1.08 s instead of 0.08 s; only its one-sided transport is left out, what a cluster's
# fabric carries goes through another component (mtl). The second (Rabenseifner's) takes 9 instead of 24 ms for an
# Iallreduce of 25 MB by 2 ranks on a host, and 85 % of the default's step over TCP.
_OPEN_MPI_SETTINGS = {"OMPI_MCA_btl": "^ofi", "OMPI_MCA_coll_libnbc_iallreduce_algorithm": "3"}
# Seen in MPICH 5.0.2, where it is built for both: over UCX and TCP ranks wait for ever for messages that were sent.
_MPICH_5_0_SETTINGS = {"MPIR_CVAR_CH4_NETMOD": "ofi"}
# Where ranks may die, as seen in Open MPI 5.0.11. Ports: any free one instead of the first from 1024, which may have been that of
# a dead rank; who still calls that one would reach another, which waits for ever to be told who calls. And no collectives
# by hosts (han): in runs between hosts some returned garbage instead of an error.
_SETTINGS_FOR_SURVIVAL = {
    "OMPI_MCA_btl_tcp_port_min_v4": "0",
    "OMPI_MCA_btl_tcp_port_min_v6": "0",
    "OMPI_MCA_coll_han_priority": "0",
}
REPLACEMENT = "ALLGRAD_REPLACEMENT"
"""Says that a process was started in place of a rank that has died, and has not joined the others yet."""
BACKENDS = ("mpi", "gloo", "nccl", "ucc", "cpu:gloo", "cpu:gloo,cuda:nccl")


@dataclass(frozen=True)
class Group:
    """Ranks that do things together, as one of them sees them; *comm* is None in a group of one, which sends nothing.

    *rank* is this rank's number in the group, -1 if it does not belong to it, and *ranks* the members' numbers in the
    world. What the ranks are about to do is announced on *control*, so that an announcement is never taken for data.
    """

    rank: int = 0
    size: int = 1
    ranks: tuple[int, ...] = (0,)
    comm: MPI.Intracomm | None = None
    control: MPI.Intracomm | None = None
    board: Board | None = field(default=None, compare=False, repr=False)
    """Where they announce it instead, without a message, if all share one host's memory."""
    announced: deque[Any] = field(default_factory=deque, compare=False, repr=False)
    """What has been announced and not yet answered, in order."""
    line: Line = field(default_factory=lambda: Line("alone", (0,)), compare=False, repr=False)
    """All that has been announced, counted."""

    def free(self) -> None:
        """Give both communicators back, which all members do at the same time."""
        for comm in (self.comm, self.control):
            if comm is not None:
                comm.Free()


@dataclass(frozen=True)
class World(Group):
    """All ranks of one run, as one of them sees them, and its number among those on its host."""

    local_rank: int = 0
    local_size: int = 1


_ALONE = World()
_world: World | None = None
_groups: list[Group] = []
_left: list[World] = []


def init(timeout: float | timedelta | None = None) -> None:
    """Join the world of ranks that mpirun, mpiexec or srun started; every rank calls it once, before training.

    Started by hand the world has one rank, and no MPI is needed or loaded. From here on an exception that a rank
    does not catch ends all ranks, and so does ``sys.exit`` with a code other than 0. Calling it again changes
    nothing.

    A rank that others have waited for *timeout* seconds long is named on all of them, with the operation and the line
    of its script where it is, and all ranks end with code 1 (default: ALLGRAD_TIMEOUT, or half an hour).

    Raises ValueError for a *timeout* that is not above 0, RuntimeError when the launcher started several ranks but
    MPI connects none of them (each would train alone, as rank 0) or a hostfile was passed over that names other hosts,
    and ImportError when there are several ranks but no mpi4py.

    >>> from allgrad import dist
    >>> dist.init()
    >>> dist.rank(), dist.world_size()
    (0, 1)
    """
    global _world
    seconds = seconds_of(timeout)
    if _world is not None:
        return
    seen = launch()
    if seen is None or seen.size == 1:
        if told := ignored_hostfile(1, 1, os.environ):
            raise RuntimeError(told)
        _world = _ALONE
    else:
        guard()
        heed_interrupts()
        if is_to_join():
            _world = _ALONE
        else:
            _world = _connect(seen)
            watch(_world, seconds)
        atexit.register(_leave_the_dead)
    _trace_if_asked()


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: float | timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    **ignored: object,
) -> None:
    """Join the world under torch.distributed's name for it; see `init`.

    MPI carries every *backend*, and the launcher knows what *init_method* and the rest would say. A
    *world_size* or *rank* that is not the launcher's raises ValueError.
    """
    if backend is not None and backend.lower() not in BACKENDS:
        raise ValueError(f"init_process_group(backend={backend!r}): expected one of {', '.join(BACKENDS)}")
    init(timeout)
    for name, asked, found in (("world_size", world_size, current().size), ("rank", rank, current().rank)):
        if asked not in (-1, found):
            raise ValueError(
                f"init_process_group({name}={asked}): this process was started with {name} {found}; "
                f"start it with mpirun -n, and leave {name} out"
            )


def is_available() -> bool:
    """Return True: training over ranks is always part of allgrad."""
    return True


def is_initialized() -> bool:
    """Return whether `init` has been called (and ``shutdown`` not since)."""
    return _world is not None


def get_backend() -> str:
    """Return "mpi", which carries everything."""
    return "mpi"


def current() -> World:
    """Return the world; before `init` it is a world of one, unless a launcher started more ranks.

    Raises RuntimeError in that last case, where every rank would take itself for rank 0.
    """
    if _world is not None:
        return _world
    seen = launch()
    if seen is not None and seen.size > 1:
        raise RuntimeError(
            f"{seen.launcher} started {seen.size} ranks, which do not know each other yet: call dist.init() first"
        )
    return _ALONE


def rank(group: Group | None = None) -> int:
    """Return the number of this rank, from 0, in *group* (default: the world); -1 if it does not belong to it."""
    return (group or current()).rank


def world_size(group: Group | None = None) -> int:
    """Return the number of ranks in *group* (default: the world); -1 if this rank does not belong to it."""
    members = group or current()
    return members.size if members.rank >= 0 else -1


def local_rank() -> int:
    """Return the number of this rank among those on its host, from 0."""
    return current().local_rank


def local_world_size() -> int:
    """Return the number of ranks on this host."""
    return current().local_size


def remember(group: Group) -> Group:
    """Return *group*, and free it when the world is left, if not before."""
    _groups.append(group)
    return group


def forget(group: Group | None = None) -> None:
    """Free *group*, or without one the world and all groups; all of their ranks do it at the same time."""
    global _world
    if group is None:
        _finish_trace()
    for freed in [group] if group is not None else [*_groups, *([_world] if _world else [])]:
        freed.free()
    if group is not None:
        _groups.remove(group)
    else:
        _groups.clear()
        watch_no_longer()
        _world = None


def is_to_join() -> bool:
    """Whether this process is to take the place of a rank that has died, and is alone until it has."""
    return REPLACEMENT in os.environ


def replace(world: World) -> None:
    """Let *world* be the world from now on; the one before is kept, for requests on it may be pending for ever."""
    global _world
    if _world is not None:
        _left.append(_world)
    _world = world
    os.environ.pop(REPLACEMENT, None)


def _leave_the_dead() -> None:
    """End the process without MPI_Finalize if ranks have died: seen in Open MPI 5.0.11, that may wait for them for ever."""
    if _left and _world is not None:
        if _world.comm is not None:
            # Or those that are not through yet would take this rank for dead.
            with suppress(mpi().Exception):
                _world.comm.Agree(1)
        leave()


def leave() -> NoReturn:
    """End this process, with code 0 and without MPI_Finalize, but let the launcher know that it ends in good order."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    # Or Open MPI 5.0.11's prterun would say that ranks "exited improperly" where some were started later, and fail.
    loaded = [line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines() if "/libpmix.so" in line]
    if loaded:
        ctypes.CDLL(loaded[0]).PMIx_Finalize(None, ctypes.c_size_t(0))
    os._exit(0)


def mpi() -> ModuleType:
    """Return the module mpi4py.MPI."""
    return import_module("mpi4py.MPI")


def _connect(seen: Launch) -> World:
    library = start_mpi(seen)
    if library.COMM_WORLD.size == 1:
        raise RuntimeError(_explain_singletons(seen, library))
    # A communicator of our own, so that messages of a script that uses mpi4py itself cannot be taken for ours.
    world = world_on(library.COMM_WORLD.Dup())
    _check_surroundings(world)
    return world


def _check_surroundings(world: World) -> None:
    from .communication.hosts import ranks_of_host

    if told := ignored_hostfile(world.size, world.local_size, os.environ):
        raise RuntimeError(told)
    assert world.comm is not None
    host = ranks_of_host(world.comm)
    seats = host.gather(own_seat())
    if seats:
        warn(seats)
    host.Free()


def world_on(comm: MPI.Intracomm) -> World:
    """Return the world of the ranks that *comm* connects, which all of them ask for; a world of one sends nothing."""
    if comm.size == 1:
        return _ALONE
    from .communication.board import board_of
    from .communication.hosts import ranks_of_host

    host = ranks_of_host(comm)
    ranks = tuple(range(comm.size))
    world = World(
        comm.rank,
        comm.size,
        ranks,
        comm,
        comm.Dup(),
        board_of(comm),
        line=new_line("all ranks", ranks),
        local_rank=host.rank,
        local_size=host.size,
    )
    host.Free()
    return world


def _trace_if_asked() -> None:
    if os.environ.get("ALLGRAD_TRACE"):
        from .observation.trace import begin_run

        begin_run(os.environ["ALLGRAD_TRACE"])
        atexit.register(_finish_trace)


def _finish_trace() -> None:
    if os.environ.get("ALLGRAD_TRACE"):
        from .observation.trace import end_run

        atexit.unregister(_finish_trace)
        end_run()


def start_mpi(seen: Launch) -> ModuleType:
    """Load and start the MPI that started this process as *seen*; RuntimeError where another one is found."""
    _set_unless_chosen(_OPEN_MPI_SETTINGS | (_SETTINGS_FOR_SURVIVAL if is_tolerated() else {}))
    try:
        mpi4py = import_module("mpi4py")
        # Ask the library for its name before it starts: under another MPI's launcher MPICH would abort.
        mpi4py.rc.initialize, mpi4py.rc.finalize = False, True
        library = mpi()
    except ImportError as error:
        raise ImportError(
            f"{seen.launcher} started {seen.size} ranks, but MPI cannot be loaded ({error}): pip install 'allgrad[mpi]'"
        ) from error
    is_open_mpi = _name(library) == "Open MPI"
    if (seen.launcher == OPEN_MPI and not is_open_mpi) or (seen.launcher == HYDRA and is_open_mpi):
        raise RuntimeError(_explain_singletons(seen, library))
    if _prefers_ofi(library.Get_library_version()):
        _set_unless_chosen(_MPICH_5_0_SETTINGS)
    if not library.Is_initialized():
        library.Init_thread()
    return library


def _set_unless_chosen(settings: Mapping[str, str]) -> None:
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def _prefers_ofi(version: str) -> bool:
    """Whether the MPI that says this of itself is an MPICH 5.0 that would take UCX though it has OFI as well."""
    device = re.search(r"^MPICH Device:\s*ch4:(.*)$", version, re.MULTILINE)
    return device is not None and "ofi" in device[1] and re.match(r"MPICH Version:\s*5\.0\.", version) is not None


def _name(library: ModuleType) -> str:
    name: str = library.get_vendor()[0]
    return name


def _explain_singletons(seen: Launch, library: ModuleType) -> str:
    loaded = _name(library)
    found = (
        f"{seen.launcher} started {seen.size} ranks on {socket.gethostname()}, but mpi4py loaded {loaded}, "
        "which does not connect them: each would train alone, as rank 0 of 1."
    )
    if seen.launcher == SRUN:
        plugin = "pmix" if loaded == "Open MPI" else "pmi2"
        return f"{found} Start them with: srun --mpi={plugin} ..., or with mpirun inside the allocation"
    if loaded == "Open MPI":
        owner, other = "Open MPI's own mpirun", "mpich"
    else:
        owner, other = f"{loaded}'s own mpiexec", "openmpi"
    return f"{found} Start them with {owner}, or let mpi4py load the other MPI: MPI4PY_MPIABI={other}"
