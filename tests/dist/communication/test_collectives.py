"""Collectives: one program on 1 to 4 ranks under both MPIs, and what one process can check by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from allgrad import dist

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher
    from tests.dist.worlds import World


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_every_collective_agrees_with_numpy(world: World, ranks: int) -> None:
    outcome = world(ranks, "collectives")
    assert outcome.code == 0, outcome.output
    for rank in range(ranks):
        assert f"rank {rank}: check_the_world_can_be_left_and_joined_again" in outcome.output


def test_hosts_are_told_apart_where_mpi_takes_each_rank_for_one(mpich: Launcher) -> None:
    outcome = mpich.run(3, "collectives.py", "3", env={"MPIR_CVAR_NOLOCAL": "1"})
    assert outcome.code == 0, outcome.output
    assert "check_the_local_world_is_this_host" in outcome.output


def test_without_a_launcher_the_world_has_one_rank_and_loads_no_mpi(openmpi: Launcher) -> None:
    for entry in (True, False):
        outcome = openmpi.run(1, "alone.py", entry=entry, launcher=False)
        assert outcome.code == 0, outcome.output
        assert outcome.output == "rank 0 of 1, MPI loaded: False\n"


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: dist.all_reduce(3.0), "wants a Tensor or an array, but got float: dist.mean averages"),
        (
            lambda: dist.all_reduce(np.zeros(2), "median"),
            "expected one of sum, avg, product, min, max, band, bor, bxor or mean",
        ),
        (lambda: dist.all_reduce(np.zeros(2, int), "mean"), "the mean of int64 is not int64"),
        (lambda: dist.all_reduce(np.zeros(2, bool)), "sum of bool is not bool"),
        (lambda: dist.all_reduce(np.zeros(2), "band"), "band works on the bits of integers, not on float64"),
        (lambda: dist.all_reduce(np.zeros(2, complex), "max"), "complex numbers have no max"),
        (lambda: dist.all_reduce(np.array(["a"])), "reduces numbers, not <U1"),
        (lambda: dist.all_reduce(np.broadcast_to(1.0, 3)), "this array is read-only"),
        (lambda: dist.broadcast(np.zeros(2), src=1), "the ranks are 0 to 0"),
        (lambda: dist.all_gather([], np.zeros(2)), "has 0 places, but there are 1 ranks"),
        (lambda: dist.all_gather([np.zeros(3)], np.zeros(2)), "is float64 .3,., but tensor is float64 .2,."),
        (
            lambda: dist.all_gather_into_tensor(np.zeros(3), np.zeros(2)),
            "make that float64 of shape .2,.",
        ),
        (lambda: dist.gather(np.zeros(2)), "rank 0 is dst and must give gather_list"),
        (lambda: dist.scatter(np.zeros(2)), "rank 0 is src and must give scatter_list"),
        (lambda: dist.reduce(np.zeros(2), dst=3), "the ranks are 0 to 0"),
        (lambda: dist.reduce_scatter(np.zeros(2), [np.zeros(3)]), "is float64 .3,., but tensor is float64 .2,."),
        (lambda: dist.reduce_scatter_tensor(np.zeros(2), np.zeros(3)), "make that float64 of shape .2,."),
        (lambda: dist.all_to_all([np.zeros(2)], []), "input_tensor_list has 0 entries, but there are 1 ranks"),
        (lambda: dist.all_to_all([np.zeros(2)], [np.zeros(2, int)]), "must have one dtype, not float64, int64"),
        (lambda: dist.all_to_all_single(np.zeros((2, 1)), np.zeros((2, 2))), "must be like the input"),
        (lambda: dist.all_to_all_single(np.zeros(2), np.zeros(2), [1], [2]), "output_split_sizes=.1. must be 1 sizes"),
        (lambda: dist.new_group([0, 0]), "expected different ranks among 0 to 0"),
        (lambda: dist.new_group([]), "at least one of them"),
        (lambda: dist.scatter_object_list([], [1]), "the output list has no place"),
        (lambda: dist.all_gather_object([], 1), r"make it \[None\] \* dist.world_size"),
        (lambda: dist.init_process_group("smoke"), "expected one of mpi, gloo"),
        (lambda: dist.init_process_group(world_size=8), "was started with world_size 1"),
    ],
)
def test_a_wrong_call_says_what_to_do(call: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        call()


def test_a_message_needs_somebody_to_send_it_to() -> None:
    with pytest.raises(RuntimeError, match="isend: this rank is alone"):
        dist.send(np.zeros(2), 0)


def test_collectives_of_one_rank_change_nothing() -> None:
    array = np.array([1.0, 2.0])
    places = [np.zeros(2)]
    dist.all_reduce(array, "mean")
    dist.broadcast(array)
    dist.all_gather(places, array)
    dist.barrier()
    dist.reduce(array)
    dist.gather(array, places)
    dist.reduce_scatter_tensor(array, array.copy())
    dist.all_to_all_single(array, array.copy())
    work = dist.all_reduce(array, async_op=True)
    assert work is not None
    assert work.wait()
    assert array.tolist() == [1.0, 2.0] == places[0].tolist()
    assert dist.broadcast_object("x") == "x"
    assert dist.gather_objects("x") == ["x"]
    assert dist.mean(2) == 2.0
