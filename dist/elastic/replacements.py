"""Ranks in place of those that have died: processes that the survivors start, and that join them between two steps."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..checkpoints.state import put_back, put_back_random, random_state, state_of
from ..training.data_parallel import DataParallel
from ..watchdog.watch import seconds_watched
from ..world import World, current, leave, mpi, replace
from .survival import connect, is_loss, shrink

if TYPE_CHECKING:
    from mpi4py import MPI

_READY, _COME = 1, 2
_SECONDS_BETWEEN_LOOKS = 0.01
# Of the time between two steps' looks, what a look may take. MPI goes on with connecting only while it is called, and at the first
# calls does nothing about it, so one call a step could let a replacement wait for ten steps.
_SHARE_FOR_LOOKING = 0.05


class Replacements:
    """Starts a process for each rank that has died, and lets it in once its script has come to the loop over *loader*.

    It runs the same script, and takes the states of *parts* over from rank 0, and the position in the loop.
    """

    def __init__(self, loader: Any, parts: Mapping[str, Any]) -> None:
        self._loader, self._parts = loader, parts
        self._wanted = 0
        self._has_started = False
        self._coming: MPI.Intercomm | None = None
        self._looked = 0.0

    def want(self, lost: int) -> None:
        """Start as many processes as ranks were *lost*, and those again that were to join a world that is no more."""
        self._wanted += lost
        if self._coming is not None:
            self._wanted += self._coming.Get_remote_size()
            self._coming.Revoke()
            self._coming = None

    def dismiss(self) -> None:
        """At the end of the loop: wait for those that are on their way, whom the launcher waits for too, and let them end."""
        coming, self._coming = self._coming, None
        if coming is None or current().rank != 0:
            return
        while not coming.Iprobe(tag=_READY):
            if coming.Is_revoked() or coming.Get_failed().size:
                return
            time.sleep(_SECONDS_BETWEEN_LOOKS)
        _answer(coming, come=False)

    def attend(self) -> bool:
        """Between two steps: start what is wanted, and let in who is ready; return whether the world has changed."""
        if self._coming is None and not self._wanted:
            return False
        before = current()
        try:
            if self._coming is None and not self._start(before):
                return False
            return self._let_in(before)
        except mpi().Exception as error:
            if not is_loss(error):
                raise
        self.want(before.size - shrink().size)
        return True

    def _start(self, world: World) -> bool:
        """Start what is wanted, unless that cannot be; return whether it is on its way."""
        wanted, self._wanted = self._wanted, 0
        if self._has_started and world.local_size < world.size:
            # Seen in Open MPI 5.0.11: a second MPI_Comm_spawn fails or hangs where the ranks are on several hosts.
            if world.rank == 0:
                _say("between hosts Open MPI replaces ranks once only: the others go on without those that died since")
            return False
        program = ["-m", "allgrad.dist.elastic.arrival", str(world.size), str(world.size + wanted)]
        as_torch = ["--as-torch"] if "--as-torch" in sys.orig_argv else []
        # Returns when the new processes have started MPI, which is the first thing they do.
        self._coming = _comm(world).Spawn(sys.executable, [*program, *as_torch, *sys.argv], wanted)
        self._coming.Set_errhandler(mpi().ERRORS_RETURN)
        self._has_started = True
        self._looked = time.monotonic()
        return True

    def _let_in(self, world: World) -> bool:
        coming = self._coming
        assert coming is not None
        found = "not yet"
        if world.rank == 0 and (coming.Is_revoked() or coming.Get_failed().size):
            found = "gone"
        elif world.rank == 0 and self._is_ready(coming):
            found = "ready"
        found = _comm(world).bcast(found)
        if found == "not yet":
            return False
        self._coming = None
        if found == "gone":
            return False
        if world.rank == 0:
            _answer(coming, come=True)
        grown = _merge(coming, high=False)
        states = {name: state_of(part) for name, part in self._parts.items()} if grown.rank == 0 else None
        _comm(grown).bcast((states, self._loader.state_dict(), self._loader.batch_sampler.epoch, random_state()))
        if grown.rank == 0:
            joined = grown.size - world.size
            _say(f"{joined} {'rank has' if joined == 1 else 'ranks have'} joined; {grown.size} go on")
        return True

    def _is_ready(self, coming: MPI.Intercomm) -> bool:
        now = time.monotonic()
        until = now + (now - self._looked) * _SHARE_FOR_LOOKING
        found = coming.Iprobe(tag=_READY)
        while not found and (now := time.monotonic()) < until:
            time.sleep(0)  # it may need this core
            found = coming.Iprobe(tag=_READY)
        self._looked = now
        return found

    def join(self) -> None:
        """Within a process that was started so: wait to be let in, and take over where the others are.

        It ends where these do not wait for it any more.
        """
        self._has_started = True
        try:
            grown = _merge(_wait_to_be_let_in(), high=True)
            states, position, epoch, numbers = _comm(grown).bcast(None)
        except mpi().Exception:
            leave()
        for name, part in self._parts.items():
            saved, beside = states[name]
            put_back(part, saved, beside, None)
        reproducible = any(beside is not None for _, beside in states.values())
        put_back_random([numbers], grown.rank, reproducible=reproducible)
        self._loader.load_state_dict(position)
        self._loader.batch_sampler.set_epoch(epoch)


def require_replaceable(parts: Mapping[str, Any]) -> None:
    """Raise TypeError, naming the part and why, unless rank 0 alone can tell the whole state of each of *parts*."""
    for name, part in parts.items():
        why = _not_replaceable(part)
        if why:
            raise TypeError(
                f"elastic_steps({name}={type(part).__name__}): {why}, so that no rank can be replaced: leave the parts out, and "
                "start again from a checkpoint when a rank dies (allgrad run --restarts)"
            )


def _not_replaceable(part: Any) -> str:
    if not hasattr(part, "state_dict") or not hasattr(part, "load_state_dict"):
        return "it has no state_dict and load_state_dict, by which a new rank would take it over"
    if hasattr(part, "sharded_state_dict"):
        return "each rank has a share of its state alone, which is gone with it"
    if isinstance(part, DataParallel):
        for name, what in part.of_each_rank.items():
            return f"with {name} each rank has {what} for itself, which is gone with it"
    return ""


def _answer(coming: MPI.Intercomm, *, come: bool) -> None:
    coming.recv(tag=_READY)
    for rank in range(coming.Get_remote_size()):
        coming.send(come, rank, _COME)


def _wait_to_be_let_in() -> MPI.Intercomm:
    started, others = mpi().COMM_WORLD, mpi().Comm.Get_parent()
    for comm in (started, others):
        comm.Set_errhandler(mpi().ERRORS_RETURN)
    started.Barrier()
    told = False
    while not others.Iprobe(0, _COME):
        if others.Is_revoked() or others.Get_failed().size:
            leave()
        if started.rank == 0 and not told:
            others.send(None, 0, _READY)
            told = True
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    if not others.recv(source=0, tag=_COME):
        leave()
    found: MPI.Intercomm = others
    return found


def _merge(between: MPI.Intercomm, *, high: bool) -> World:
    """Make the ranks on both sides of *between* one world, and return it: those with *high* come last."""
    timeout = seconds_watched()
    comm = between.Merge(high)
    comm.Set_errhandler(mpi().ERRORS_RETURN)
    try:
        grown = connect(comm, timeout)
        comm.Barrier()
    except mpi().Exception:
        # Those on the other side wait within it.
        comm.Revoke()
        raise
    replace(grown)
    return grown


def _comm(world: World) -> Any:
    return mpi().COMM_SELF if world.comm is None else world.comm


def _say(what: str) -> None:
    sys.stderr.write(f"allgrad: {what}\n")
    sys.stderr.flush()
