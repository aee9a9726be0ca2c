"""The reducer on this rank, driven by plain leaves and real backward passes."""

import sys
import time
from typing import Any

import numpy as np

import allgrad as torch
from allgrad import dist
from allgrad.dist.training.reducer import Reducer
from allgrad.dist.world import current

dist.init()
RANK, SIZE = dist.rank(), dist.world_size()
assert int(sys.argv[1]) == SIZE
MEAN = (SIZE + 1) / 2  # of RANK + 1 over all ranks


def leaves(count: int, size: int = 5, dtype: str = "float32") -> list[torch.Tensor]:
    return [torch.from_numpy(np.full(size, i + 1, dtype)).requires_grad_() for i in range(count)]


def reducer(parameters: list[torch.Tensor], first: int = 1, size: int = 40) -> Reducer:
    named = [(f"p{i}", parameter) for i, parameter in enumerate(parameters)]
    return Reducer("Leaves", named, current(), first_bytes=first, bytes_=size)


def loss_of(parameters: list[torch.Tensor], factor: float) -> torch.Tensor:
    loss = torch.zeros(())
    for parameter in parameters:
        loss = loss + (parameter * factor).sum()
    return loss


def grads(parameters: list[torch.Tensor]) -> list[Any]:
    for parameter in parameters:
        assert parameter.grad is None or len(set(parameter.grad.tolist())) == 1
    return [None if parameter.grad is None else parameter.grad[0].item() for parameter in parameters]


def assert_shown(parameters: list[torch.Tensor], reducing: Reducer) -> None:
    means = [mean for bucket in reducing.layout.buckets for mean in bucket.means]
    assert all(parameter.grad.numpy() is mean for parameter, mean in zip(reversed(parameters), means, strict=True))


def check_gradients_become_means_and_stay_views() -> None:
    for dtype in ("float32", "float64", "float16"):
        parameters = leaves(7, dtype=dtype)
        reducing = reducer(parameters)
        for step in (1, 2):
            reducing.prepare()
            loss_of(parameters, step * (RANK + 1)).backward()
            np.testing.assert_allclose(grads(parameters), [step * MEAN] * 7, rtol=1e-3)
            assert_shown(parameters, reducing)
            for parameter in parameters:
                parameter.grad = None


def check_mixed_types_and_shapes() -> None:
    parameters = [
        torch.from_numpy(np.ones((), "float64")).requires_grad_(),
        torch.from_numpy(np.ones((3, 2), "float32")).requires_grad_(),
        torch.from_numpy(np.ones((0, 2), "float32")).requires_grad_(),
        torch.from_numpy(np.ones((4,), "complex64")).requires_grad_(),
    ]
    reducing = reducer(parameters)
    reducing.prepare()
    sum(torch.real((parameter * (RANK + 1)).sum()).double() for parameter in parameters).backward()
    for parameter in parameters:
        np.testing.assert_allclose(parameter.grad.numpy(), np.full(parameter.shape, MEAN), rtol=1e-6)


def check_gradients_accumulate_and_no_sync_waits() -> None:
    parameters = leaves(3)
    reducing = reducer(parameters)
    reducing.enabled = False
    for _ in range(2):
        loss_of(parameters, RANK + 1).backward()
    assert grads(parameters) == [2.0 * (RANK + 1)] * 3
    reducing.enabled = True
    loss_of(parameters, RANK + 1).backward()
    np.testing.assert_allclose(grads(parameters), [3 * MEAN] * 3)
    loss_of(parameters, 1).backward()
    np.testing.assert_allclose(grads(parameters), [3 * MEAN + 1] * 3)


def check_unused_parameters_count_as_zero() -> None:
    parameters = leaves(4)
    reducing = reducer(parameters)
    for _ in range(2):
        for parameter in parameters:
            parameter.grad = None
        used = [parameters[0], parameters[3]] if RANK == 0 else [parameters[0]]
        reducing.prepare()
        loss_of(used, 6).backward()
        assert grads(parameters) == [6.0, None, None, 6.0 / SIZE]


def check_an_unused_parameter_keeps_what_no_sync_gathered() -> None:
    parameters = leaves(2)
    reducing = reducer(parameters)
    reducing.enabled = False
    loss_of(parameters, RANK + 1).backward()
    reducing.enabled = True
    loss_of(parameters[:1], RANK + 1).backward()
    np.testing.assert_allclose(grads(parameters), [2 * MEAN, MEAN])


def check_replaced_and_zeroed_gradients_find_back_into_the_bucket() -> None:
    parameters = leaves(3)
    reducing = reducer(parameters)
    parameters[0].grad = torch.ones(5)
    parameters[1].grad = torch.ones(5)
    loss_of([parameters[0], parameters[2]], RANK + 1).backward()
    np.testing.assert_allclose(grads(parameters), [1 + MEAN, 1, MEAN])
    for parameter in parameters:
        parameter.grad.zero_()
    assert_shown(parameters, reducing)
    loss_of(parameters, RANK + 1).backward()
    np.testing.assert_allclose(grads(parameters), [MEAN] * 3)


def check_a_frozen_parameter_may_thaw() -> None:
    parameters = leaves(2)
    reducer(parameters)
    parameters[0].requires_grad_(False)
    loss_of(parameters, RANK + 1).backward()
    assert grads(parameters) == [None, MEAN]
    parameters[0].requires_grad_()
    parameters[1].grad = None
    loss_of(parameters, RANK + 1).backward()
    assert grads(parameters) == [MEAN, MEAN]


def check_buckets_start_and_arrive_while_backward_goes_on() -> None:
    parameters = leaves(8)
    reducing = reducer(parameters)
    early = len(reducing._buckets) - 1
    seen: list[tuple[int, int]] = []
    parameters[0].register_post_accumulate_grad_hook(lambda _: seen.append((reducing._started, reducing._finished)))
    reducing.prepare()
    x = parameters[0] * 1.0
    for _ in range(500):
        x = x + 0.0
        x.register_hook(lambda _: None if reducing._finished == early else time.sleep(0.002))
    for parameter in parameters[1:]:
        x = x * parameter
    x.sum().backward()
    assert seen == [(early + 1, early)], "all but the last bucket arrived before the last gradient was there"


def check_ranks_in_another_order_of_use_still_pair_their_buckets() -> None:
    parameters = leaves(6)
    reducer(parameters)
    order = np.random.default_rng(RANK).permutation(6)
    loss = torch.zeros(())
    for i in order:
        loss = loss + (parameters[i] * float((RANK + 1) * (i + 1))).sum()
    loss.backward()
    np.testing.assert_allclose(grads(parameters), [MEAN * (i + 1) for i in range(6)])


def expect(error: type[Exception], words: str, call: object) -> None:
    message = ""
    try:
        call()  # type: ignore[operator]
    except error as raised:
        message = str(raised)
    assert words in message, message


def check_what_is_not_finite_is_told_of_its_rank_and_parameter_in_every_bucket(size: int = 5) -> None:
    parameters = leaves(4, size)
    reducer(parameters)
    for i in range(4):
        factor = torch.tensor(float("nan") if RANK == 1 and i % 2 else float("-inf") if RANK == 1 else 1.0)
        for parameter in parameters:
            parameter.grad = None
        loss = loss_of(parameters[:i] + parameters[i + 1 :], RANK + 1) + (parameters[i] * factor).sum()
        others = {2: "rank 0", 3: "ranks 0, 2", 4: "ranks 0, 2, 3"}[SIZE]
        words = f"({others}: all finite; rank 1: NaN or infinity in the gradients of p{i})"
        expect(FloatingPointError, words, loss.backward)
        for parameter in parameters:
            parameter.grad = None
        loss_of(parameters, RANK + 1).backward()
        np.testing.assert_allclose(grads(parameters), [MEAN] * 4)


def check_what_is_not_finite_is_told_of_large_buckets_too() -> None:
    check_what_is_not_finite_is_told_of_its_rank_and_parameter_in_every_bucket(size=70_000)


def check_a_mean_is_there_also_where_the_sum_overflows() -> None:
    parameters = leaves(2)
    reducer(parameters)
    loss_of(parameters, 3e38).backward()
    np.testing.assert_allclose(grads(parameters), [3e38] * 2, rtol=1e-6)


def check_models_that_differ_are_named_on_every_rank() -> None:
    others = {1: "", 2: "rank 0", 3: "ranks 0, 2", 4: "ranks 0, 2, 3"}[SIZE]
    odd = RANK == 1
    parameters = leaves(3, size=5)
    parameters[1] = torch.zeros(7 if odd else 6).requires_grad_()
    words = f"first in this: {others}: p1 float32 (6,); rank 1: p1 float32 (7,); build"
    expect(RuntimeError, words, lambda: reducer(parameters))
    words = f"first in this: {others}: p3 float32 (5,); rank 1: no further parameter"
    expect(RuntimeError, words, lambda: reducer(leaves(3 if odd else 4)))
    words = f"{others}: buckets of 1 and 40 bytes; rank 1: buckets of 1 and 20 bytes"
    expect(RuntimeError, words, lambda: reducer(leaves(3), size=20 if odd else 40))
    words = f"{others}: DataParallel(Leaves)"
    expect(RuntimeError, words, lambda: dist.barrier() if odd else reducer(leaves(2)))


def check_a_step_of_another_model_or_another_call_is_named_on_every_rank() -> None:
    one, other = leaves(2), leaves(2)
    reducer(one)
    named = [(f"q{i}", parameter) for i, parameter in enumerate(other)]
    reducing = Reducer("Leaves", named, current(), first_bytes=1, bytes_=1)
    odd = RANK == 1
    expect(
        RuntimeError,
        f"rank 1: {reducing._announced if odd else 'the gradients of Leaves'}",
        lambda: loss_of(other if odd else one, 1).backward(),
    )
    if odd:
        expect(RuntimeError, "the ranks are out of step", reducing.prepare)
    expect(RuntimeError, "rank 1: barrier", lambda: dist.barrier() if odd else loss_of(leaves_of_new(), 1).backward())


def leaves_of_new() -> list[torch.Tensor]:
    return KEPT


KEPT = leaves(2)
if SIZE > 1:
    REDUCER = reducer(KEPT)
    for name, check in list(globals().items()):
        if name.startswith("check_"):
            check()
            print(f"rank {RANK}: {name}", flush=True)
print(f"rank {RANK}: done")
