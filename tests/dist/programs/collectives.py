"""Every collective on this rank, held against NumPy on the values that all ranks are known to have."""

import datetime
import socket
import sys
import warnings
from collections.abc import Callable

import numpy as np

import allgrad as torch
from allgrad import dist

dist.init()
RANK, SIZE = dist.rank(), dist.world_size()
assert int(sys.argv[1]) == SIZE
NUMPY: dict[str, Callable[..., np.ndarray]] = {
    "sum": np.sum,
    "avg": np.mean,
    "min": np.min,
    "max": np.max,
    "product": np.prod,
}


def values(rank: int, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(rank).integers(1, 9, shape).astype(dtype)


def everyone(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.stack([values(rank, shape, dtype) for rank in range(SIZE)])


def check_reductions_of_bits() -> None:
    for dtype in ("int8", "uint8", "int32", "int64"):
        for op, reduce in (("BAND", np.bitwise_and), ("BOR", np.bitwise_or), ("BXOR", np.bitwise_xor)):
            mine = values(RANK, (3, 5), dtype)
            dist.all_reduce(mine, getattr(dist.ReduceOp, op))
            np.testing.assert_array_equal(mine, reduce.reduce(everyone((3, 5), dtype)))


def begun(work: dist.Work | None) -> dist.Work:
    assert work is not None
    return work


def check_all_reduce_of_every_type() -> None:
    for dtype in ("float32", "float64", "float16", "int8", "uint8", "int16", "int32", "int64", "complex64"):
        for op, reduce in NUMPY.items():
            if (op == "avg" and dtype[0] in "iu") or (dtype[0] == "c" and op in ("min", "max")):
                continue
            mine = values(RANK, (3, 5), dtype)
            dist.all_reduce(mine, op)
            expected = reduce(everyone((3, 5), dtype), axis=0).astype(dtype)
            np.testing.assert_allclose(mine, expected, rtol=1e-3 if dtype == "float16" else 1e-6)


def check_all_reduce_of_bool_is_any_and_all() -> None:
    for op, expected in (("max", [SIZE > 1, True, False]), ("min", [False, True, False])):
        mine = np.array([RANK == 1, True, False])
        dist.all_reduce(mine, op)
        assert mine.tolist() == expected, (op, mine)


def check_all_reduce_beyond_one_chunk_and_of_odd_layouts() -> None:
    large = np.full(700_001, RANK + 1.0)
    dist.all_reduce(large)
    assert (large == SIZE * (SIZE + 1) / 2).all()
    for mine in (
        np.full((6, 4), RANK + 1.0)[::2, 1:],
        np.full((4, 6), RANK + 1.0).T,
        np.array(RANK + 1.0),
        np.empty((0, 3)),
    ):
        before = mine.shape
        dist.all_reduce(mine, dist.ReduceOp.SUM)
        assert mine.shape == before
        assert (mine == SIZE * (SIZE + 1) / 2).all()


def check_a_slice_leaves_its_neighbours_alone() -> None:
    whole = np.full((4, 4), float(RANK))
    dist.all_reduce(whole[1:3, ::2], "max")
    assert (whole[1:3, ::2] == SIZE - 1).all()
    assert (whole[:, 1::2] == RANK).all()
    assert (whole[0] == RANK).all()


def check_broadcast() -> None:
    for src in range(SIZE):
        for mine in (np.full((2, 3), RANK, "int16"), np.full((4, 4), RANK > 0)[::2], np.array(RANK + 1j)):
            expected = np.full_like(mine, src if mine.dtype != np.bool_ else src > 0)
            dist.broadcast(mine, src)
            assert (mine == (expected if mine.dtype.kind != "c" else src + 1j)).all(), (mine, expected)


def check_all_gather() -> None:
    places = [np.empty((2, 2), "float32") for _ in range(SIZE)]
    dist.all_gather(places, values(RANK, (2, 2), "float32"))
    np.testing.assert_array_equal(np.stack(places), everyone((2, 2), "float32"))
    for shape in ((SIZE, 2, 3), (2 * SIZE, 3)):
        output = np.empty(shape)
        dist.all_gather_into_tensor(output, values(RANK, (2, 3), "float64"))
        np.testing.assert_array_equal(output.reshape(SIZE, 2, 3), everyone((2, 3), "float64"))
    scalars = np.empty(SIZE)
    dist.all_gather_into_tensor(scalars, np.array(float(RANK)))
    assert scalars.tolist() == list(range(SIZE))


def check_reduce_gather_and_scatter() -> None:
    for root in range(SIZE):
        mine = values(RANK, (3,), "int32")
        dist.reduce(mine, root)
        expected = everyone((3,), "int32").sum(0) if root == RANK else values(RANK, (3,), "int32")
        assert mine.tolist() == expected.tolist()
        places = [np.empty((2, 3), "float32") for _ in range(SIZE)] if root == RANK else None
        dist.gather(values(RANK, (2, 3), "float32"), places, dst=root)
        if places is not None:
            np.testing.assert_array_equal(np.stack(places), everyone((2, 3), "float32"))
        part = np.zeros((2, 2))
        dist.scatter(part, [np.full((2, 2), 10.0 * rank) for rank in range(SIZE)] if root == RANK else None, src=root)
        assert (part == 10 * RANK).all()


def check_reduce_scatter() -> None:
    for dtype in ("float32", "float16", "int64"):
        whole = np.stack([values(10 * RANK + part, (2, 3), dtype) for part in range(SIZE)])
        expected = np.stack([values(10 * rank + RANK, (2, 3), dtype) for rank in range(SIZE)]).sum(0).astype(dtype)
        for given in (whole, whole.reshape(2 * SIZE, 3)):
            mine = np.empty((2, 3), dtype)
            dist.reduce_scatter_tensor(mine, given)
            np.testing.assert_array_equal(mine, expected)
        mine = np.empty((2, 3), dtype)
        dist.reduce_scatter(mine, list(whole), "max")
        np.testing.assert_array_equal(
            mine, np.stack([values(10 * rank + RANK, (2, 3), dtype) for rank in range(SIZE)]).max(0)
        )


def check_all_to_all() -> None:
    places = [np.empty((2, rank + 1)) for rank in range(SIZE)]
    dist.all_to_all(places, [np.full((2, RANK + 1), 10.0 * RANK + rank) for rank in range(SIZE)])
    for rank, place in enumerate(places):
        assert (place == 10 * rank + RANK).all()
    rows = np.repeat(np.arange(SIZE), 2).reshape(-1, 1) * np.ones((1, 3))
    output = np.empty_like(rows)
    dist.all_to_all_single(output, rows + 100 * RANK)
    np.testing.assert_array_equal(output[::2, 0], 100 * np.arange(SIZE) + RANK)
    sent, expected = [RANK] * SIZE, list(range(SIZE))
    output = np.full((sum(expected), 2), -1)
    dist.all_to_all_single(output, np.full((RANK * SIZE, 2), RANK), expected, sent)
    assert output[:, 0].tolist() == [rank for rank in range(SIZE) for _ in range(rank)]
    if SIZE > 1:
        message = ""
        try:
            dist.all_to_all_single(np.empty((2 * SIZE, 1)), np.ones((SIZE, 1)))
        except RuntimeError as error:
            message = str(error)
        assert "rank 0 sent 1 elements, but this rank expects 2 from it" in message, message


def check_asynchronous_operations_come_in_order_whoever_waits_first() -> None:
    first, second, third = np.full(5, RANK + 1.0), np.full(3, RANK), np.full(200_000, float(RANK))
    works = [
        dist.all_reduce(first, async_op=True),
        dist.broadcast(second, SIZE - 1, async_op=True),
        dist.all_reduce(third, "mean", async_op=True),
        dist.barrier(async_op=True),
    ]
    plain = np.array([1.0])
    dist.all_reduce(plain)
    assert plain[0] == SIZE
    for work in works if RANK % 2 else works[::-1]:
        assert begun(work).wait(datetime.timedelta(seconds=20))
        assert begun(work).is_completed()
    assert (first == SIZE * (SIZE + 1) / 2).all()
    assert (second == SIZE - 1).all()
    np.testing.assert_allclose(third, (SIZE - 1) / 2)
    late = begun(dist.all_reduce(first, "max", async_op=True))
    while not late.is_completed():
        pass


def check_groups_see_only_their_own() -> None:
    everybody = dist.new_group()
    assert dist.get_process_group_ranks(everybody) == list(range(SIZE))
    ends = dist.new_group(sorted({0, SIZE - 1}))
    inner = dist.new_group([SIZE - 1])
    belongs = RANK in (0, SIZE - 1)
    assert dist.rank(ends) == ((0 if RANK == 0 else 1) if belongs else -1)
    assert dist.world_size(ends) == (min(SIZE, 2) if belongs else -1)
    mine = np.array([RANK + 1.0])
    if belongs:
        dist.all_reduce(mine, group=ends)
        dist.broadcast(mine, SIZE - 1, group=ends)
        assert mine[0] == (1 + SIZE if SIZE > 1 else 1)
        assert dist.gather_objects(RANK, group=ends) == sorted({0, SIZE - 1})
        assert dist.get_global_rank(ends, dist.rank(ends)) == RANK
        assert dist.get_group_rank(ends, RANK) == dist.rank(ends)
        dist.shutdown(ends)
    else:
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            dist.all_reduce(mine, group=ends)
        assert mine[0] == RANK + 1
        assert f"rank {RANK} does not belong to this group of ranks [0, {SIZE - 1}]" in str(told[0].message)
    if RANK == SIZE - 1:
        dist.barrier(group=inner)
        assert dist.mean(3.0, group=inner) == 3


def check_messages_between_two_ranks() -> None:
    if SIZE == 1:
        return
    right, left = (RANK + 1) % SIZE, (RANK - 1) % SIZE
    came = np.zeros((3, 4), "float32")[:, ::2]
    sent = dist.isend(np.full((3, 2), RANK, "float32"), right)
    assert dist.recv(came, left) == left
    assert sent is not None
    sent.wait()
    assert (came == left).all()
    there, back = np.array([RANK]), np.empty(1, int)
    for message in dist.batch_isend_irecv(
        [dist.P2POp(dist.irecv, back, right, tag=3), dist.P2POp(dist.isend, there, left, tag=3)]
    ):
        message.wait()
    assert back[0] == right
    if RANK == 0:
        found = set()
        for _ in range(SIZE - 1):
            number = np.empty(1, int)
            found.add((dist.recv(number), int(number[0])))
        assert found == {(rank, rank) for rank in range(1, SIZE)}
    else:
        dist.send(there, 0)
    if RANK == 0:
        dist.send_object({"to": 1}, 1)
    elif RANK == 1:
        assert dist.recv_object(0) == {"to": 1}
    dist.barrier()


def check_a_rank_cannot_send_to_itself_and_wait() -> None:
    if SIZE == 1:
        return
    message = ""
    try:
        dist.send(np.zeros(1), RANK)
    except ValueError as error:
        message = str(error)
    assert f"send(dst={RANK}): this is rank {RANK} itself" in message, message


def check_messages_arrive_whole_though_nobody_holds_them() -> None:
    if SIZE == 1:
        return
    size = 100_000  # more than MPI sends before the other rank asks for it
    if RANK == 0:
        for number in range(5):
            dist.isend(np.full(size, number, "float32"), 1)
            for _ in range(4):
                np.full(size, -1, "float32")  # takes the memory of what was sent, were it free
    dist.barrier()
    if RANK == 1:
        for number in range(5):
            came = np.zeros(size, "float32")
            dist.recv(came, 0)
            assert (came == number).all()
    dist.barrier()


def check_a_message_of_another_kind_is_refused() -> None:
    if SIZE == 1:
        return
    for sent, place, words in (
        (np.zeros(3, "int32"), np.zeros(3, "float32"), "rank 0 sent int32 (3,), but this Tensor is float32 (3,)"),
        (np.zeros(2), np.zeros(3), "rank 0 sent float64 (2,), but this Tensor is float64 (3,)"),
        (np.zeros(4), np.zeros(3), "larger"),
    ):
        if RANK == 0:
            dist.send(sent, 1)
        elif RANK == 1:
            message = ""
            try:
                dist.recv(place, 0)
            except RuntimeError as error:
                message = str(error)
            assert words in message, message
    dist.barrier()


def check_objects() -> None:
    last = SIZE - 1
    assert dist.broadcast_object({"from": RANK} if last == RANK else None, src=last) == {"from": last}
    assert dist.gather_objects("ab" * RANK) == ["ab" * rank for rank in range(SIZE)]
    objects: list[object] = [None] * SIZE
    dist.all_gather_object(objects, (RANK,))
    assert objects == [(rank,) for rank in range(SIZE)]
    gathered: list[object] | None = [None] * SIZE if last == RANK else None
    dist.gather_object(str(RANK), gathered, dst=last)
    assert gathered == ([str(rank) for rank in range(SIZE)] if last == RANK else None)
    mine: list[object] = [None]
    dist.scatter_object_list(mine, [(rank, last) for rank in range(SIZE)] if last == RANK else None, src=last)
    assert mine == [(RANK, last)]
    objects = [RANK, [RANK]]
    dist.broadcast_object_list(objects)
    assert objects == [0, [0]]


def check_mean() -> None:
    assert dist.mean(float(RANK)) == (SIZE - 1) / 2
    weights = np.arange(1, SIZE + 1)
    expected = (np.arange(SIZE) * weights).sum() / weights.sum()
    np.testing.assert_allclose(dist.mean(np.array([RANK]), weight=RANK + 1), expected)


def check_the_local_world_is_this_host() -> None:
    names: list[str] = [""] * SIZE
    dist.all_gather_object(names, socket.gethostname())
    here = [rank for rank, name in enumerate(names) if name == socket.gethostname()]
    assert (dist.local_rank(), dist.local_world_size()) == (here.index(RANK), len(here))
    assert (dist.get_rank(), dist.get_world_size(), dist.get_backend()) == (RANK, SIZE, "mpi")


def check_disagreement_is_told_on_every_rank() -> None:
    if SIZE == 1:
        return
    odd = RANK == 1
    others = "ranks 0, 2" if SIZE == 3 else "ranks 0, 2, 3" if SIZE == 4 else "rank 0"
    calls: list[tuple[Callable[[], object], str, str]] = [
        (
            lambda: dist.all_reduce(np.zeros((2, 3) if odd else (3, 2))),
            "all_reduce(sum) of float64 (3, 2)",
            "all_reduce(sum) of float64 (2, 3)",
        ),
        (
            lambda: dist.all_reduce(np.zeros(4, "int32" if odd else "float32")),
            "all_reduce(sum) of float32 (4,)",
            "all_reduce(sum) of int32 (4,)",
        ),
        (dist.barrier if odd else lambda: dist.mean(1), "mean", "barrier"),
        (
            dist.barrier if odd else lambda: begun(dist.all_reduce(np.zeros(1), async_op=True)).wait(),
            "asynchronous all_reduce(sum) of float64 (1,)",
            "barrier",
        ),
        (
            lambda: dist.broadcast(np.zeros(1), src=int(odd)),
            "broadcast from rank 0 of float64 (1,)",
            "broadcast from rank 1 of float64 (1,)",
        ),
    ]
    for call, said, said_oddly in calls:
        message = ""
        try:
            call()
        except RuntimeError as error:
            message = str(error)
        assert f"{others}: {said}; rank 1: {said_oddly}" in message, message
    dist.barrier()
    weight = torch.ones(2, requires_grad=True)
    (weight * 2).sum().backward()
    assert weight.grad.tolist() == [2.0, 2.0], "what was raised and caught is not raised again by a backward pass"


def check_the_world_can_be_left_and_joined_again() -> None:
    dist.destroy_process_group()
    assert not dist.is_initialized()
    dist.init_process_group("gloo", rank=RANK, world_size=SIZE)
    assert dist.is_initialized()
    dist.init()
    check_mean()


for name, check in list(globals().items()):
    if name.startswith("check_"):
        check()
        print(f"rank {RANK}: {name}")
