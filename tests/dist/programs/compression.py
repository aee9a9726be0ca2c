"""Compressed gradients on this rank: bits, bounds, error feedback, marks, and training to the same loss."""

import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np

import allgrad as torch
from allgrad import dist, nn

dist.init()
RANK, SIZE = dist.rank(), dist.world_size()
assert int(sys.argv[1]) == SIZE
HOSTS = -(-SIZE // int(os.environ.get("ALLGRAD_RANKS_PER_WINDOW", SIZE)))
TINY = 0.001  # MiB: several buckets
METHODS: dict[str, Callable[..., Any]] = {
    "fp16": dist.FP16,
    "bf16": dist.BF16,
    "int8": dist.Int8,
    "topk": lambda **options: dist.TopK(0.1, **options),
    "powersgd": lambda **options: dist.PowerSGD(2, min_compression_rate=1, **options),
}
WITH_FEEDBACK = ["int8", "topk", "powersgd"]


class Leaves(nn.Module):
    """Parameters of several shapes, whose gradients are what the forward pass is given."""

    def __init__(self, dtype: Any = torch.float32) -> None:
        super().__init__()
        shapes = [(40, 30), (7,), (3, 4, 5), (0, 2), (), (50, 60)]
        self.parts = nn.ParameterList([nn.Parameter(torch.zeros(shape, dtype=dtype)) for shape in shapes])

    def forward(self, gradients: list[Any]) -> Any:
        total = torch.zeros(())
        for part, gradient in zip(self.parts, gradients, strict=True):
            if gradient is not None:
                total = total + (part * torch.from_numpy(gradient)).sum().float()
        return total


def wrapped(name: str, dtype: Any = torch.float32, **options: Any) -> Any:
    return dist.DataParallel(
        Leaves(dtype), compression=METHODS[name](), bucket_cap_mb=TINY, first_bucket_mb=TINY, **options
    )


def drawn(seed: int, rank: int, dtype: str = "float32") -> list[Any]:
    source = np.random.default_rng((seed, rank))
    return [source.normal(size=tuple(p.shape)).astype(dtype) for p in Leaves().parts]


def true_mean(seed: int, dtype: str = "float32") -> list[Any]:
    everyones = [drawn(seed, rank, dtype) for rank in range(SIZE)]
    return [np.mean([np.asarray(g, "float64") for g in parts], axis=0) for parts in zip(*everyones, strict=True)]


def step(model: Any, gradients: list[Any]) -> list[Any]:
    model.zero_grad()
    model(gradients).backward()
    return [None if part.grad is None else part.grad.numpy().copy() for part in model.module.parts]


def residuals(model: Any) -> Any:
    """The sum over all ranks of what was not sent, in order of the reducer's rows."""
    own = model.compressor.sum
    mine = [] if own is None else [e.residual if e is not None else np.zeros(0) for e in own.exchanges]
    everyones = [each for each in dist.gather_objects(mine) if each]
    return [np.sum(rows, axis=0) for rows in zip(*everyones, strict=True)] if everyones else None


def in_rows(model: Any, values: list[Any]) -> list[Any]:
    """Values of all parameters in order of the reducer's rows."""
    backwards = list(reversed(values))
    return [np.concatenate([backwards[i].reshape(-1) for i in bucket]) for bucket in model._reducer._dealt]


def check_all_ranks_get_the_same_bits_near_the_mean() -> None:
    bounds = {"fp16": 2e-3, "bf16": 2e-2, "int8": 4e-2}
    for name in METHODS:
        for dtype in ("float32", "float64", "float16"):
            model = wrapped(name, getattr(torch, dtype))
            found = step(model, drawn(1, RANK, dtype))
            bits = {b"".join(gradient.tobytes() for gradient in each) for each in dist.gather_objects(found)}
            assert len(bits) == 1, (name, dtype)
            for got, expected in zip(found, true_mean(1, dtype), strict=True):
                assert got.dtype == dtype
                if name in bounds:
                    np.testing.assert_allclose(got, expected, rtol=0, atol=bounds[name], err_msg=name)


def check_what_is_left_out_of_a_step_comes_with_the_next_ones() -> None:
    for name in WITH_FEEDBACK:
        model = wrapped(name, torch.float64)
        sent: Any = 0
        wanted: Any = 0
        for seed in range(6):
            found = step(model, drawn(seed, RANK, "float64"))
            sent = [a + b for a, b in zip(sent or found, found, strict=True)] if sent else found
            mean = true_mean(seed, "float64")
            wanted = [a + b for a, b in zip(wanted, mean, strict=True)] if wanted else mean
        left = residuals(model)
        if left is None:
            assert HOSTS == 1
            continue
        off = 0.0
        for got, kept, expected in zip(in_rows(model, sent), left, in_rows(model, wanted), strict=True):
            np.testing.assert_allclose(got + kept, expected, rtol=1e-9, atol=1e-9, err_msg=name)
            off = max(off, float(np.abs(got - expected).max()))
        assert off > 1e-4, f"{name} has compressed nothing"


def check_top_k_sends_exactly_k() -> None:
    model = dist.DataParallel(nn.Linear(50, 20), compression=dist.TopK(0.03, everywhere=True))
    source = torch.from_numpy(np.random.default_rng(RANK).normal(size=(1, 50)).astype("float32"))
    model(source).sum().backward()
    if SIZE > 1:
        exchange = model.compressor.sum.exchanges[0]
        k = round(0.03 * 1020)
        assert np.count_nonzero(exchange.residual == 0) == k
        found = np.count_nonzero(model.module.weight.grad.numpy()) + np.count_nonzero(model.module.bias.grad.numpy())
        assert k <= found <= SIZE * k


def check_power_sgd_of_full_rank_is_exact() -> None:
    compression = dist.PowerSGD(5, min_compression_rate=0, everywhere=True)
    model = dist.DataParallel(nn.Linear(9, 5), compression=compression)
    for seed in range(3):
        x = np.random.default_rng((seed, RANK)).normal(size=(4, 9)).astype("float32")
        model.zero_grad()
        model(torch.from_numpy(x)).pow(2).sum().backward()
        alone = nn.Linear(9, 5)
        alone.load_state_dict(model.module.state_dict())
        alone(torch.from_numpy(x)).pow(2).sum().backward()
        mean = np.mean(dist.gather_objects(alone.weight.grad.numpy()), axis=0)
        np.testing.assert_allclose(model.module.weight.grad.numpy(), mean, rtol=1e-3, atol=1e-4)


def check_a_matrix_whose_gradient_was_zero_is_found_again() -> None:
    model = dist.DataParallel(
        nn.Linear(40, 30, bias=False), compression=dist.PowerSGD(2, min_compression_rate=1, everywhere=True)
    )
    for factor in (1.0, 0.0, 0.0, 1.0):
        model.zero_grad()
        (model(torch.ones(2, 40)) * factor).sum().backward()
    np.testing.assert_allclose(model.module.weight.grad.numpy(), np.full((30, 40), 2.0), rtol=1e-4)


def check_unused_parameters_stay_without_gradient() -> None:
    for name in METHODS:
        model = wrapped(name)
        gradients: list[Any] = drawn(3, RANK)
        gradients[1] = None
        if RANK:
            gradients[0] = None
        found = step(model, gradients)
        assert found[1] is None, name
        assert found[0] is not None, name


def expect(error: type[Exception], words: str, call: Callable[[], object]) -> None:
    message = ""
    try:
        call()
    except error as raised:
        message = str(raised)
    assert words in message, message


def check_what_is_not_finite_is_named_and_spoils_no_later_step() -> None:
    for name in METHODS if SIZE > 1 else ():
        for value in (np.nan, np.inf):
            model, clean = wrapped(name), wrapped(name)
            step(model, drawn(0, RANK))
            step(clean, drawn(0, RANK))
            gradients = drawn(1, RANK)
            if RANK == 1:
                gradients[0][3, 4] = value
            expect(FloatingPointError, "rank 1: NaN or infinity in the gradients of", lambda: step(model, gradients))  # noqa: B023
            for seed in (2, 3):
                assert all(np.isfinite(gradient).all() for gradient in step(model, drawn(seed, RANK))), name
            unchecked = wrapped(name, check_finite=False)
            found = step(unchecked, gradients)
            assert not np.isfinite(found[0]).all(), name


def train(model: Any, optimizer: Any, steps: range) -> None:
    for seed in steps:
        optimizer.zero_grad()
        model(drawn(seed, RANK)).backward()
        optimizer.step()


def check_a_run_taken_back_goes_on_to_the_same_bits_and_on_other_hosts_loses_nothing() -> None:
    for name in METHODS:
        with tempfile.TemporaryDirectory() as own:
            folder = dist.broadcast_object(own)
            whole, stopped, resumed = wrapped(name), wrapped(name), wrapped(name)
            optimizers = [torch.optim.SGD(m.parameters(), lr=0.1, momentum=0.9) for m in (whole, stopped, resumed)]
            train(whole, optimizers[0], range(6))
            train(stopped, optimizers[1], range(3))
            with dist.Checkpointer(folder) as checkpointer:
                checkpointer.save(3, model=stopped, optimizer=optimizers[1])
                checkpointer.wait()
                checkpointer.restore(model=resumed, optimizer=optimizers[2])
                train(resumed, optimizers[2], range(3, 6))
                for expected, found in zip(whole.parameters(), resumed.parameters(), strict=True):
                    np.testing.assert_array_equal(found.detach().numpy(), expected.detach().numpy(), err_msg=name)
                apart = dist.DataParallel(Leaves(), compression=METHODS[name](everywhere=True), bucket_cap_mb=1)
                checkpointer.restore(model=apart)
            before, after = total_residual(stopped), total_residual(apart)
            for key, value in before.items():
                np.testing.assert_allclose(after[key], value, rtol=1e-5, atol=1e-6)
            assert bool(before) == (name in WITH_FEEDBACK and HOSTS > 1)


def total_residual(model: Any) -> dict[str, Any]:
    """By parameter, what all ranks together have not sent yet."""
    found: dict[str, Any] = {}
    own = model.compressor.sum
    for k, slots in enumerate(model.compressor.members):
        exchange = own.exchanges[k] if own is not None else None
        mine = exchange.residual if exchange is not None else None
        rows = [row for row in dist.gather_objects(mine) if row is not None]
        if rows:
            ends = np.cumsum([0, *(slot.size for slot in slots)])
            total = np.sum(rows, axis=0)
            found |= {slot.name: total[a:b] for slot, a, b in zip(slots, ends[:-1], ends[1:], strict=True)}
    return found


def check_training_comes_to_the_same_loss() -> None:
    """A classifier of two spirals; each rank has its share of the samples."""
    source = np.random.default_rng(0)
    angle = source.uniform(0.5, 6, 240)
    label = np.arange(240) % 2
    points = np.stack([np.cos(angle + np.pi * label), np.sin(angle + np.pi * label)], 1) * angle[:, None] / 3
    x, y = torch.from_numpy(points.astype("float32"))[RANK::SIZE], torch.from_numpy(label)[RANK::SIZE]
    losses = {}
    for name in [None, *METHODS]:
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(2, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 2))
        model = dist.DataParallel(module, compression=METHODS[name]() if name else None)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.8)
        for _ in range(80):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        losses[name] = dist.mean(loss.item())
    assert losses[None] < 0.3
    for name, loss in losses.items():
        assert loss < losses[None] + 0.05, (name, losses)


def check_what_cannot_be_compressed_is_refused() -> None:
    class Waves(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.phase = nn.Parameter(torch.zeros(3, dtype=torch.complex64))

    make = dist.DataParallel
    expect(TypeError, "parameter phase is complex64", lambda: make(Waves(), compression=dist.Int8()))
    expect(ValueError, "virtual_shards=...", lambda: make(Leaves(), compression=dist.FP16(), virtual_shards=SIZE))
    expect(ValueError, "shard_gradients=...", lambda: make(Leaves(), compression=dist.FP16(), shard_gradients=True))
    expect(TypeError, "compression='fp16'", lambda: make(Leaves(), compression="fp16"))


for name, check in list(globals().items()):
    if name.startswith("check_"):
        check()
        print(f"rank {RANK}: {name}", flush=True)
print(f"rank {RANK}: done")
