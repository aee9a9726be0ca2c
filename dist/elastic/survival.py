"""Going on without ranks that have died: what is agreed on at the end of a step, and the world of those that are left.

It rests on ULFM, the fault tolerance of MPI 5 that Open MPI has (``mpirun --with-ft ulfm``): a call that needs a dead rank
raises, `Revoke` makes it raise on all others, `Shrink` connects those that are left, and `Agree` tells all of them the same.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from ..failure import is_tolerated
from ..watchdog.watch import seconds_watched, watch, watch_no_longer
from ..world import Group, World, current, mpi, replace, world_on

if TYPE_CHECKING:
    from mpi4py import MPI


# A death is known everywhere within 0.1 s, on a busy machine too.
_SECONDS_TO_BE_KNOWN = 0.5


class Votes:
    """How far the survivors have come together: *begun* and *agreed* count this process's steps."""

    def __init__(self) -> None:
        self.begun = self.agreed = 0
        self._refused = False

    def begin(self) -> None:
        """Note that a step's computation begins."""
        self.begun += 1

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Count what is done within as part of a step that begins: if a rank is lost in it, the step is done again."""
        self.begun += 1
        yield
        self.begun -= 1

    def approve(self, world: Group) -> None:
        """Agree with all ranks of *world* that the step counts; what raises here raises on all of them."""
        if world.comm is not None and can_survive():
            self._refused = True
            everyone = world.comm.Agree(1)
            if not everyone:
                raise RankLostError
            self._refused = False
        self.agreed += 1

    def refuse(self, world: World) -> None:
        """Tell those that wait in `approve` that the step does not count, unless this rank was among them."""
        if not self._refused:
            assert world.comm is not None
            with _passing_over_losses():
                world.comm.Agree(0)
        self._refused = False


class RankLostError(RuntimeError):
    """A rank of the world has died before all had agreed on the step."""

    def __init__(self) -> None:
        super().__init__("a rank of the world has died before all had agreed on the step: it is to be computed again")


votes = Votes()


@cache
def can_survive() -> bool:
    """Whether the launcher lets the other ranks live when one has died: Open MPI's, started for that."""
    return is_tolerated()


def is_loss(error: BaseException | None) -> bool:
    """Whether *error* says that a rank has died."""
    if isinstance(error, RankLostError):
        return True
    if error is None or not can_survive() or not isinstance(error, mpi().Exception):
        return False
    raised: Any = error
    lost = (mpi().ERR_PROC_FAILED, mpi().ERR_PROC_FAILED_PENDING, mpi().ERR_REVOKED)
    return raised.Get_error_class() in lost or _is_broken(current())


def _is_broken(world: World) -> bool:
    """Whether a rank of *world* is known to be dead, or becomes so in a moment."""
    # Seen in Open MPI 5.0.11: where two ranks die within milliseconds a collective may raise MPI_ERR_OTHER on a third.
    deadline = time.monotonic() + _SECONDS_TO_BE_KNOWN
    while not _has_dead(world):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.001)
    return True


def _has_dead(world: World) -> bool:
    return any(
        comm is not None and (comm.Is_revoked() or comm.Get_failed().size > 0) for comm in (world.comm, world.control)
    )


def require_all_alive() -> None:
    """Raise RankLostError where a rank of the world is known to have died; for those that wait without MPI."""
    if can_survive() and _has_dead(current()):
        raise RankLostError


def shrink() -> World:
    """Connect the ranks that are left, make theirs the world, and return it; all of them call it."""
    before = current()
    assert before.comm is not None
    assert before.control is not None
    for comm in (before.comm, before.control):
        with _passing_over_losses():
            comm.Revoke()
    votes.refuse(before)
    after = _connect_left(before.comm)
    replace(after)
    if after.rank == 0:
        _tell(before, after)
    return after


def _connect_left(before: MPI.Intracomm) -> World:
    """Return the world of those ranks of *before* that are alive once all of them know it."""
    comm: Any = before
    timeout = seconds_watched()
    while True:
        comm = comm.Shrink()
        comm.Set_errhandler(mpi().ERRORS_RETURN)
        made: World | None = None
        # Another rank may die meanwhile, and only some of the others notice.
        with _passing_over_losses():
            made = connect(comm, timeout)
        with _passing_over_losses():
            if comm.Agree(int(made is not None)) and made is not None:
                return made
        with _passing_over_losses():
            comm.Revoke()


def connect(comm: MPI.Intracomm, timeout: float) -> World:
    """Return the world of the ranks that *comm* connects, watched over in place of the one before; all of them call it."""
    watch_no_longer()
    made = world_on(comm)
    if made.comm is not None:
        watch(made, timeout)
    return made


@contextmanager
def _passing_over_losses() -> Iterator[None]:
    """Leave the block where a rank is found dead in it."""
    try:
        yield
    except mpi().Exception as error:
        if not is_loss(error):
            raise


def _tell(before: World, after: World) -> None:
    lost = before.size - after.size
    sys.stderr.write(
        f"allgrad: {lost} of {before.size} ranks {'has' if lost == 1 else 'have'} died; "
        f"{after.size} {'goes' if after.size == 1 else 'go'} on\n"
    )
    sys.stderr.flush()
