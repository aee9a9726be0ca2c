"""Every collective on this rank, held against NumPy on the values that all ranks are known to have."""

import sys
from collections.abc import Callable

import numpy as np

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


def check_objects() -> None:
    last = SIZE - 1
    assert dist.broadcast_object({"from": RANK} if last == RANK else None, src=last) == {"from": last}
    assert dist.gather_objects("ab" * RANK) == ["ab" * rank for rank in range(SIZE)]
    objects: list[object] = [None] * SIZE
    dist.all_gather_object(objects, (RANK,))
    assert objects == [(rank,) for rank in range(SIZE)]
    objects = [RANK, [RANK]]
    dist.broadcast_object_list(objects)
    assert objects == [0, [0]]


def check_mean() -> None:
    assert dist.mean(float(RANK)) == (SIZE - 1) / 2
    weights = np.arange(1, SIZE + 1)
    expected = (np.arange(SIZE) * weights).sum() / weights.sum()
    np.testing.assert_allclose(dist.mean(np.array([RANK]), weight=RANK + 1), expected)


def check_the_local_world_is_this_host() -> None:
    assert (dist.local_rank(), dist.local_world_size()) == (RANK, SIZE)
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
