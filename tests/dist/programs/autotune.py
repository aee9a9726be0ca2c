"""Sizes of buckets tried out on this rank: the same choice on all, the same gradients throughout, what is refused."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import allgrad as torch
from allgrad import dist, nn
from allgrad.dist.training import autotune
from allgrad.dist.training.autotune import CANDIDATES, ROUNDS

dist.init()
RANK, SIZE = dist.rank(), dist.world_size()
assert int(sys.argv[1]) == SIZE
TINY = 1 / 1024
MEAN = (SIZE + 1) / 2
CANDIDATES[:] = [autotune.Settings(TINY, 4 * TINY), autotune.Settings(1, 1), autotune.Settings(1, 8)]
STEPS = (1 + ROUNDS) * 3  # the last two of these deal alike


class Steps(nn.Module):
    """Ten layers of 1 KiB."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ParameterList([nn.Parameter(torch.zeros(256)) for _ in range(10)])

    def forward(self, factor: float) -> Any:
        return torch.stack([(part * factor).sum() for part in self.parts]).sum()


def made(**options: Any) -> Any:
    return dist.DataParallel(Steps(), bucket_cap_mb=2 * TINY, first_bucket_mb=2 * TINY, autotune=True, **options)


def train(model: Any, steps: int) -> None:
    for step in range(steps):
        model.zero_grad()
        model(float((RANK + 1) * (step + 1))).backward()
        for part in model.module.parts:
            np.testing.assert_allclose(part.grad.numpy(), np.full(256, MEAN * (step + 1)), rtol=1e-6)


def pretend(model: Any, seconds: Callable[[int], float]) -> None:
    """Let every step be taken to last *seconds* of the number of its buckets, whatever a busy machine takes."""
    told = model._reducer.after_each
    model._reducer.after_each = lambda took: told(seconds(len(model._reducer._dealt)) if took > 0 else 0)


def check_the_fastest_is_kept_and_is_the_same_on_all_ranks() -> None:
    model = made()
    before = model.settings
    assert not before.tuned
    if SIZE == 1:
        return
    # Rank 0 alone is slow, wherever there is more than one bucket: the slowest counts.
    pretend(model, lambda buckets: 0.2 if RANK == 0 and buckets > 1 else 0.1)
    train(model, STEPS - 1)
    assert model.settings == before
    train(model, 1)
    assert model.settings.tuned
    assert (model.settings.first_bucket_mb, model.settings.bucket_cap_mb) == (1, 1)
    assert model.settings.ratio == 0.5
    assert len(set(dist.gather_objects(model.settings))) == 1
    assert len(model._reducer._dealt) == 1
    train(model, 2)


def check_what_was_asked_for_is_kept_unless_another_is_clearly_better() -> None:
    model = made()
    if SIZE == 1:
        return
    pretend(model, lambda buckets: 0.096 if buckets != 5 else 0.1)
    train(model, STEPS)
    assert model.settings.tuned
    assert model.settings.ratio == 1
    assert len(model._reducer._dealt) == 5


def check_gradients_gather_and_freeze_while_it_tries() -> None:
    model = made()
    total = 0.0
    for step in range(5):
        with model.no_sync():
            model(float(RANK + 1)).backward()
        model(float(RANK + 1)).backward()
        total += 2 * MEAN
        frozen = model.module.parts[0]
        for part in list(model.module.parts)[1:]:
            np.testing.assert_allclose(part.grad.numpy(), np.full(256, total), rtol=1e-5)
        frozen.requires_grad_(step % 2 == 1)
        frozen.grad = None


def check_one_layout_needs_no_trying() -> None:
    model = dist.DataParallel(nn.Linear(2, 1), autotune=True)
    assert model.settings.tuned == (SIZE > 1)
    assert model.settings.bucket_cap_mb == 25


def expect(error: type[Exception], words: str, call: Callable[[], object]) -> None:
    message = ""
    try:
        call()
    except error as raised:
        message = str(raised)
    assert words in message, message


def check_it_is_refused_where_numbers_depend_on_buckets() -> None:
    expect(ValueError, "autotune=True, virtual_shards=4", lambda: made(virtual_shards=4))
    expect(ValueError, "autotune=True, shard_gradients=True", lambda: made(shard_gradients=True))
    expect(ValueError, "autotune=True, compression=FP16", lambda: made(compression=dist.FP16()))


for name, check in list(globals().items()):
    if name.startswith("check_"):
        check()
        print(f"rank {RANK}: {name}", flush=True)
print(f"rank {RANK}: done")
