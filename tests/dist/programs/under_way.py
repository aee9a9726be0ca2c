"""What goes on while this rank calls no MPI: an argument tells whether a thread is to see to it."""

import sys
import threading
import time

import numpy as np

from allgrad import dist

MINE = np.ones(16_000_000, "float32")
LONG = 0.02


def threads() -> int:
    return sum(thread.name == "allgrad-progress" for thread in threading.enumerate())


def compute(seconds: float) -> None:
    time.sleep(seconds)


def begun() -> dist.Work:
    """Start to add up 64 MB, which goes through MPI in several steps."""
    MINE[...] = dist.rank() + 1
    work = dist.all_reduce(MINE, async_op=True)
    assert work is not None
    dist.barrier()
    work.is_completed()  # starts it, as by now every rank has asked for it
    return work


def check_what_was_started_goes_on_while_this_rank_computes_for_long(helped: bool) -> None:
    for _ in range(2):  # the first time it is seen that this rank computes for long
        work = begun()
        compute(LONG)
        work.wait()
    assert threads() == helped
    work = begun()
    compute(1.5)
    if helped:
        assert work.is_completed()
    work.wait()
    assert (sum(range(1, dist.world_size() + 1)) == MINE).all()


dist.init()
check_what_was_started_goes_on_while_this_rank_computes_for_long(helped=sys.argv[1] == "helped")
if dist.rank() == 0:
    print("done")
