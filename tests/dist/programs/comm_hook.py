"""Communication hooks on this rank, written as for PyTorch: what they are given, what they give, what is refused."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import allgrad as torch
from allgrad import dist, nn

dist.init()
RANK, SIZE = dist.rank(), dist.world_size()
assert int(sys.argv[1]) == SIZE
MEAN = (SIZE + 1) / 2
TINY = 5e-5


def made(**options: Any) -> Any:
    torch.manual_seed(0)
    return dist.DataParallel(
        nn.Sequential(nn.Linear(8, 4), nn.Linear(4, 3)), bucket_cap_mb=TINY, first_bucket_mb=TINY, **options
    )


def allreduce_hook(group: Any, bucket: Any) -> Any:
    buffer = bucket.buffer().div_(dist.get_world_size())
    return dist.all_reduce(buffer, group=group, async_op=True).get_future().then(lambda fut: fut.value()[0])


def gradients(model: Any, factor: float) -> list[Any]:
    model.zero_grad()
    (model(torch.ones(2, 8)) * factor).sum().backward()
    return [None if p.grad is None else p.grad.numpy().copy() for p in model.parameters()]


def check_a_hook_that_averages_changes_nothing() -> None:
    plain, hooked = made(), made()
    hooked.register_comm_hook(None, allreduce_hook)
    for _ in range(3):
        for expected, found in zip(gradients(plain, RANK + 1), gradients(hooked, RANK + 1), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-6)


def check_a_hook_sees_every_bucket_in_order_with_its_parameters() -> None:
    seen: list[Any] = []

    def doubled(state: list[Any], bucket: Any) -> Any:
        state.append((bucket.index(), bucket.is_last()))
        shapes = [tuple(parameter.shape) for parameter in bucket.parameters()]
        assert [tuple(gradient.shape) for gradient in bucket.gradients()] == shapes
        assert bucket.buffer().numel() == sum(parameter.numel() for parameter in bucket.parameters())
        bucket.set_buffer(bucket.buffer() * 2)
        return bucket.buffer()

    model = made()
    model.register_comm_hook(seen, doubled)
    found = gradients(model, RANK + 1)
    if SIZE > 1:
        count = len(seen)
        assert count > 1
        assert seen == [(number, number == count - 1) for number in range(count)]
        assert found[-1].tolist() == [4.0 * (RANK + 1)] * 3  # this rank's own, doubled


def check_unused_parameters_and_what_is_not_finite_are_told_as_ever() -> None:
    model = made()
    model.register_comm_hook(None, allreduce_hook)
    if SIZE == 1:
        return
    model.module[0].weight.requires_grad_(False)
    assert gradients(model, 1.0)[0] is None
    model.module[0].weight.requires_grad_()
    expect(FloatingPointError, "rank 1: NaN", lambda: gradients(model, np.nan if RANK == 1 else 1.0))


def expect(error: type[Exception], words: str, call: Callable[[], object]) -> None:
    message = ""
    try:
        call()
    except error as raised:
        message = str(raised)
    assert words in message, message


def check_results_of_another_size_type_or_kind_are_refused() -> None:
    if SIZE == 1:
        return
    for hook, error, words in (
        (lambda _, bucket: bucket.buffer()[:-1], ValueError, "<lambda> returned float32 of shape ("),
        (lambda _, bucket: bucket.buffer().int(), ValueError, "<lambda> returned int32 of shape ("),
        (lambda _, bucket: None, TypeError, "<lambda> returned NoneType for bucket 0"),
    ):
        model = made()
        model.register_comm_hook(None, hook)
        expect(error, words, lambda: gradients(model, 1.0))  # noqa: B023


def check_a_second_way_of_reducing_is_refused() -> None:
    model = made()
    model.register_comm_hook(None, allreduce_hook)
    for other in (
        model,
        made(compression=dist.FP16()),
        made(autotune=True),
        made(virtual_shards=SIZE),
    ):
        expect(RuntimeError, "already reduced in a way of their own", lambda: register(other))  # noqa: B023


def register(model: Any) -> None:
    model.register_comm_hook(None, allreduce_hook)


for name, check in list(globals().items()):
    if name.startswith("check_"):
        check()
        print(f"rank {RANK}: {name}", flush=True)
print(f"rank {RANK}: done")
