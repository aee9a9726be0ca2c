"""A model whose parameters are divided, on this rank: every step beside that of whole ones, and what memory it takes."""

import ctypes
import gc
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import allgrad as torch
from allgrad import dist, nn
from allgrad.dist.sharding.divided import DividedRow
from allgrad.utils.checkpoint import checkpoint

dist.init()
RANK, SIZE = dist.rank(), dist.world_size()
PLACE = sys.argv[1]
"""Whether ranks share memory: all of them together, two by two as on hosts of their own, or each apart."""
os.environ["ALLGRAD_RANKS_PER_WINDOW"] = {"together": "", "two by two": "2", "apart": "1"}[PLACE]
SHARED = PLACE != "apart"
FOLDER = Path(sys.argv[2])
SMALL = {"bucket_cap_mb": 1e-4, "first_bucket_mb": 1e-4}
DIVIDED: dict[str, Any] = {"shard_parameters": "host" if PLACE == "two by two" else True}


class Branches(nn.Module):
    """Views of a weight, one that two layers share, one used on rank 0 alone, one that nobody uses, and a frozen layer."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(7, 7), nn.Linear(7, 7)
        self.right.weight = self.left.weight
        self.frozen = nn.Linear(7, 7).requires_grad_(False)
        self.sometimes, self.never = nn.Linear(7, 3), nn.Linear(7, 3)
        self.norm = nn.LayerNorm(7)
        self.turned = nn.Parameter(torch.randn(7, 7))
        self.recurrent = nn.LSTM(7, 7)

    def forward(self, x: Any) -> Any:
        early, alias = self.turned.t(), self.norm.weight.detach()
        x = self.norm(self.frozen(self.right(self.left(x).tanh())))
        x = self.recurrent(x.reshape(2, 2, 7))[0].reshape(4, 7)
        x = checkpoint(self.left, x, use_reentrant=False).tanh() @ early + x * alias
        # Ranks that gather must use the same modules.
        return self.sometimes(x).sum(1) if RANK == 0 or not SHARED else x.sum(1)


def build(seed: int = 0) -> Branches:
    torch.manual_seed(seed)
    return Branches()


def batch(step: int) -> Any:
    return torch.from_numpy(np.random.default_rng((step, RANK)).normal(size=(4, 7)).astype("float32"))


def train(model: Any, optimizer: Any, steps: range) -> list[float]:
    losses = []
    for step in steps:
        optimizer.zero_grad()
        loss = (model(batch(step)) ** 2).mean()
        loss.backward()
        optimizer.clip_grad_norm_(0.5)
        optimizer.step()
        losses.append(loss.item())
    return losses


def adam(model: Any) -> Any:
    return dist.ShardedOptimizer(torch.optim.Adam, model.parameters(), lr=0.01)


def values(model: Any) -> dict[str, Any]:
    with model.gathered():
        return {name: value.detach().numpy().copy() for name, value in model.module.state_dict().items()}


def same(found: dict[str, Any], expected: dict[str, Any]) -> None:
    assert list(found) == list(expected)
    for name, value in found.items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


def rows_of(model: Any) -> list[Any]:
    return [] if model.divided is None else model.divided._rows


def check_training_has_the_bits_of_whole_parameters() -> None:
    whole = dist.DataParallel(build(), shard_gradients=True, **SMALL)
    divided = dist.DataParallel(build(), **DIVIDED, **SMALL)
    assert train(whole, adam(whole), range(5)) == train(divided, adam(divided), range(5))
    same(values(divided), values(whole))
    assert all(isinstance(row, DividedRow) is not SHARED for row in rows_of(divided))
    assert SIZE == 1 or len(rows_of(divided)) > 5


def check_two_rows_at_most_are_whole() -> None:
    model = dist.DataParallel(nn.Sequential(*(nn.Linear(9, 9) for _ in range(6))), **DIVIDED, **SMALL)
    found: list[int] = []

    def look(*_: object) -> None:
        found.append(sum(row.is_gathered for row in rows_of(model) if isinstance(row, DividedRow)))

    for layer in model.module:
        layer.register_forward_hook(look)
        layer.bias.register_post_accumulate_grad_hook(look)
    model(torch.ones(2, 9, requires_grad=True)).sum().backward()
    look()
    assert max(found) == (0 if SHARED or SIZE == 1 else 2), found
    assert found[-1] == 0


def check_evaluation_leaves_nothing_gathered_and_changes_nothing() -> None:
    model = dist.DataParallel(build(), **DIVIDED, **SMALL)
    plain = dist.DataParallel(build())
    with torch.no_grad():
        np.testing.assert_array_equal(model(batch(0)).numpy(), plain(batch(0)).numpy())
    assert not any(row.is_gathered for row in rows_of(model) if isinstance(row, DividedRow))


def check_gradients_of_several_passes_add_up() -> None:
    whole = dist.DataParallel(build(), shard_gradients=True, **SMALL)
    divided = dist.DataParallel(build(), **DIVIDED, **SMALL)
    optimizers = {model: adam(model) for model in (whole, divided)}
    for model, optimizer in optimizers.items():
        with model.no_sync():
            model(batch(0)).sum().backward()
        model(batch(1)).sum().backward()
        model(batch(2)).sum().backward()
        optimizer.step()
    same(values(divided), values(whole))


def check_inputs_gradients_and_a_second_pass_through_the_graph() -> None:
    model = dist.DataParallel(nn.Sequential(nn.Linear(7, 9), nn.Tanh(), nn.Linear(9, 2)), **DIVIDED, **SMALL)
    x = batch(0).requires_grad_()
    with model.gathered():
        expected = torch.autograd.grad(model.module(x).sum(), x)[0]
    loss = model(x).sum()
    for _ in range(2):
        (found,) = torch.autograd.grad(loss, x, retain_graph=True)
        np.testing.assert_array_equal(found.numpy(), expected.numpy())


def check_what_is_changed_while_gathered_stays() -> None:
    model = dist.DataParallel(build(), **DIVIDED, **SMALL)
    with model.gathered(), torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(0.0).add_(3.0)
        model.module.norm.weight.data = torch.ones(7)
    found = values(model)
    assert (found["norm.weight"] == 1).all()
    assert all((value == 3).all() for name, value in found.items() if name != "norm.weight")
    model.load_state_dict({f"module.{name}": value for name, value in build(4).state_dict().items()})
    same(values(model), values(dist.DataParallel(build(4))))


def check_a_checkpoint_goes_on_on_any_number_of_ranks_and_in_a_whole_model() -> None:
    folder = dist.broadcast_object(tempfile.mkdtemp(dir=FOLDER))
    model = dist.DataParallel(build(), **DIVIDED, **SMALL)
    optimizer = adam(model)
    train(model, optimizer, range(3))
    with dist.Checkpointer(folder) as checkpointer:
        checkpointer.save(3, model=model, optimizer=optimizer)
    train(model, optimizer, range(3, 5))
    for options in ({**DIVIDED, **SMALL}, {"shard_gradients": True, **SMALL}):
        other = dist.DataParallel(build(5), **options)
        again = adam(other)
        restored = dist.Checkpointer(folder).restore(model=other, optimizer=again)
        assert restored is not None
        train(other, again, range(3, 5))
        same(values(other), values(model))
    alone = build(6)
    alone.load_state_dict(torch.load(Path(folder) / "step-0000000003")["state"]["model"])


def check_a_checkpoint_of_the_run_before() -> None:
    """The one that the run before, on another number of ranks, has left; and one for the run after."""
    folder = FOLDER / "shared"
    model = dist.DataParallel(build(SIZE), **DIVIDED, **SMALL)
    optimizer = adam(model)
    checkpointer = dist.Checkpointer(folder)
    restored = checkpointer.restore(model=model, optimizer=optimizer)
    before = FOLDER / "values.npz"
    if restored is not None:
        same(values(model), dict(np.load(before)))
    dist.barrier()
    train(model, optimizer, range(2))
    checkpointer.save(2 if restored is None else restored.step + 2, model=model, optimizer=optimizer)
    checkpointer.wait()
    found = values(model)
    if RANK == 0:
        np.savez(before, **found)


def expect(error: type[Exception], words: str, call: Callable[[], object]) -> None:
    message = ""
    try:
        call()
    except error as raised:
        message = str(raised)
    assert words in message, message


def check_what_cannot_work_is_refused() -> None:
    expect(ValueError, "expected False, True", lambda: dist.DataParallel(build(), shard_parameters="socket"))
    expect(
        ValueError,
        "leave shard_parameters out",
        lambda: dist.DataParallel(build(), virtual_shards=4, shard_parameters=True),
    )
    if SIZE == 1:
        return
    model = dist.DataParallel(build(), **DIVIDED, **SMALL)
    weight = model.module.left.weight
    assert weight.shape == (7, 7)
    assert weight.dtype == torch.float32
    assert weight.numel() == weight.nelement() == 49
    plain = torch.optim.SGD(model.parameters(), lr=0.1)
    model(batch(0)).sum().backward()
    expect(RuntimeError, "step with a dist.ShardedOptimizer", plain.step)
    expect(RuntimeError, "read-only" if SHARED else "model.gathered()", lambda: weight.data.zero_())
    if not SHARED:
        expect(RuntimeError, "model.gathered()", weight.sum)
        expect(RuntimeError, "model.gathered()", model.module.state_dict)
        expect(RuntimeError, "model.gathered()", lambda: setattr(weight, "data", torch.zeros(7, 7)))
        assert "of [7, 7] are on this rank" in repr(weight)


def memory() -> float:
    """MB of this process, of memory that several share its part."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    dist.barrier()  # a rank's part is larger while another has not touched, or has left, what they share
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    dist.barrier()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1e3


def check_memory_falls_with_the_number_of_ranks() -> None:
    width, layers = 1000, 4
    megabytes = 4e-6 * width * width * layers
    rows = {"bucket_cap_mb": 3, "first_bucket_mb": 3}
    taken = {}
    for kind in ("parameters", "state"):
        before = memory()
        model = dist.DataParallel(
            nn.Sequential(*(nn.Linear(width, width) for _ in range(layers))),
            **rows,
            **(DIVIDED if kind == "parameters" else {}),
        )
        optimizer = dist.ShardedOptimizer(torch.optim.Adam, model.parameters())
        model(torch.ones(1, width)).sum().backward()
        middle = memory()
        optimizer.step()
        dist.barrier()
        after = memory()
        taken[kind] = after - middle if kind == "state" else after - before
        del model, optimizer
        dist.barrier()
    # Adam's two averages; parameters and gradients besides.
    assert abs(taken["state"] - 2 * megabytes / SIZE) < 0.3 * megabytes, taken
    if SIZE > 1:
        sharing = min(2, SIZE - RANK // 2 * 2) if PLACE == "two by two" else SIZE
        assert abs(taken["parameters"] - megabytes / sharing - 3 * megabytes / SIZE) < 0.5 * megabytes, taken


for name, check in list(globals().items()):
    if name.startswith("check_"):
        check()
        print(f"rank {RANK}: {name}", flush=True)
print(f"rank {RANK}: done")
