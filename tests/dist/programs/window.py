"""Gradients in memory that ranks share, on this rank: what each may do to its own, and what becomes of it without."""

import errno
import os
import platform
import sys
import time
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

import allgrad as torch
from allgrad import dist
from allgrad.dist.communication.board import Board, board_of
from allgrad.dist.training.host_sum import HostSum
from allgrad.dist.training.reducer import Reducer
from allgrad.dist.world import current

dist.init()
RANK, SIZE = dist.rank(), dist.world_size()
assert int(sys.argv[1]) == SIZE
MEAN = (SIZE + 1) / 2  # of RANK + 1 over all ranks
ROWS = 70_000  # several pieces of several parts


def wrapped() -> tuple[list[torch.Tensor], Reducer]:
    leaves = [torch.zeros(size).requires_grad_() for size in (ROWS, 3, 5_000)]
    named = [(f"p{i}", leaf) for i, leaf in enumerate(leaves)]
    return leaves, Reducer("Leaves", named, current(), first_bytes=1, bytes_=1 << 20)


def step(leaves: list[torch.Tensor], factor: float = 1.0) -> None:
    sum((leaf * (factor * (RANK + 1))).sum() for leaf in leaves).backward()


def forget(leaves: list[torch.Tensor]) -> None:
    for leaf in leaves:
        leaf.grad = None


def assert_all(leaves: list[torch.Tensor], expected: float) -> None:
    for leaf in leaves:
        np.testing.assert_allclose(leaf.grad.numpy(), np.full(leaf.shape, expected), rtol=1e-6)


def check_every_element_is_the_mean() -> None:
    leaves, _ = wrapped()
    random = [np.random.default_rng(rank).standard_normal(ROWS).astype("float32") for rank in range(SIZE)]
    for _ in range(2):
        forget(leaves)
        (leaves[0] * torch.from_numpy(random[RANK])).sum().backward()
        np.testing.assert_allclose(leaves[0].grad.numpy(), np.mean(random, axis=0), rtol=1e-5, atol=1e-6)


def check_what_a_rank_does_to_its_gradients_no_other_sees(kernel: str = "that scans pages") -> None:
    leaves, reducer = wrapped()
    pages = reducer._reduction._window._own_pages  # type: ignore[union-attr]
    if kernel == "without a scan":
        pages._scans = False
    elif kernel == "that does not tell":
        pages._pagemap = None
    for factor in (1.0, 2.0, 3.0):
        forget(leaves)
        step(leaves, factor)
        dist.barrier()
        for leaf in leaves:
            leaf.grad.numpy()[...] *= RANK + 2
        dist.barrier()
        assert_all(leaves, factor * MEAN * (RANK + 2))
    dist.barrier()
    step(leaves)
    assert_all(leaves, 3 * MEAN * float(np.mean(np.arange(SIZE) + 2)) + MEAN)
    for leaf in leaves:
        leaf.grad.zero_()
    step(leaves)
    assert_all(leaves, MEAN)


def check_the_same_with_older_kernels_and_where_none_says_which_pages_were_written() -> None:
    check_what_a_rank_does_to_its_gradients_no_other_sees("without a scan")
    check_what_a_rank_does_to_its_gradients_no_other_sees("that does not tell")


def check_the_memory_has_no_name_that_could_remain() -> None:
    leaves, reducer = wrapped()
    assert isinstance(reducer._reduction, HostSum)
    assert "/memfd:allgrad-gradients (deleted)" in Path("/proc/self/maps").read_text()
    assert not list(Path("/dev/shm").glob("*allgrad-gradients*"))
    step(leaves)


def check_what_is_announced_is_read_in_order_however_late() -> None:
    board = Board(current().comm)
    for number in range(1, 5):
        if RANK == SIZE - 1:
            time.sleep(0.002)
        assert board.write(10 * number + RANK) == number
        assert board.read(number + 1) is None
        said = None
        while said is None:
            said = board.read(number)
        assert said == [10 * number + rank for rank in range(SIZE)]


def check_ranks_that_share_memory_announce_there_and_others_by_messages() -> None:
    assert current().board is not None
    with mock.patch.dict("os.environ", ALLGRAD_RANKS_PER_WINDOW="1"):
        assert board_of(current().comm) is None


def check_processors_that_need_fences_get_them() -> None:
    with mock.patch.object(platform, "machine", return_value="aarch64"):
        leaves, _ = wrapped()
    step(leaves)
    assert_all(leaves, MEAN)


def check_ranks_that_cannot_share_memory_say_so_once_and_use_mpi() -> None:
    full = OSError(errno.ENOSPC, "No space left on device") if RANK == SIZE - 1 else None
    with warnings.catch_warnings(record=True) as told, mock.patch.object(os, "posix_fallocate", side_effect=full):
        warnings.simplefilter("always")
        leaves, reducer = wrapped()
    words = [str(warning.message) for warning in told]
    assert len(words) == (RANK == 0), words
    assert all(f"(rank {SIZE - 1} of the host: [Errno 28] No space left on device): MPI adds" in word for word in words)
    assert not isinstance(reducer._reduction, HostSum)
    step(leaves)
    assert_all(leaves, MEAN)


def check_a_wrong_setting_is_refused() -> None:
    with mock.patch.dict("os.environ", ALLGRAD_RANKS_PER_WINDOW="half"):
        message: Any = ""
        try:
            wrapped()
        except ValueError as error:
            message = str(error)
    assert message.startswith("ALLGRAD_RANKS_PER_WINDOW=half: expected a number of ranks above 0"), message


for name, check in list(globals().items()):
    if name.startswith("check_"):
        check()
        print(f"rank {RANK}: {name}", flush=True)
print(f"rank {RANK}: done")
