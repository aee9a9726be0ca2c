"""Sharded training on this rank: every step, norm and state beside that of the whole optimizer."""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import allgrad as torch
from allgrad import dist, nn
from allgrad.dist.sharding.gradients import ScatteredGradient

dist.init()
RANK, SIZE = dist.rank(), dist.world_size()
assert int(sys.argv[1]) == SIZE
FOLDER = Path(sys.argv[2])
OPTIMIZERS: list[tuple[Any, dict[str, Any]]] = [
    (torch.optim.Adam, {"lr": 0.01, "amsgrad": True}),
    (torch.optim.SGD, {"lr": 0.05, "momentum": 0.9}),
    (torch.optim.RMSprop, {"lr": 0.01}),
    (torch.optim.Adafactor, {"lr": 0.01}),
]


class Branches(nn.Module):
    """A shared weight, a layer that is used on rank 0 alone, one that no rank uses, and one that is frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Linear(7, 7), nn.Linear(7, 7)
        self.right.weight = self.left.weight
        self.sometimes, self.never = nn.Linear(7, 3), nn.Linear(7, 3)
        self.frozen = nn.Parameter(torch.ones(7), requires_grad=False)

    def forward(self, x: Any) -> Any:
        x = self.right(self.left(x).tanh()) * self.frozen
        return self.sometimes(x).sum(1) if RANK == 0 else x.sum(1)


def build(seed: int = 0) -> Branches:
    torch.manual_seed(seed)
    return Branches()


def groups(module: nn.Module) -> list[dict[str, Any]]:
    named = [(name, p) for name, p in module.named_parameters() if p.requires_grad]
    return [
        {"params": [p for name, p in named if name.endswith("weight")], "weight_decay": 0.1},
        {"params": [p for name, p in named if name.endswith("bias")]},
    ]


def batch(step: int) -> Any:
    return torch.from_numpy(np.random.default_rng((step, RANK)).normal(size=(4, 7)).astype("float32"))


def train(model: Any, optimizer: Any, steps: range, clip: float | None = None) -> None:
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)
    for step in steps:
        optimizer.zero_grad()
        (model(batch(step)) ** 2).mean().backward()
        if clip is not None:
            norm = getattr(optimizer, "clip_grad_norm_", None)
            norm(clip) if norm else nn.utils.clip_grad_norm_(model.parameters(), clip)
        optimizer.step()
        scheduler.step()


def same(found: Any, expected: Any, *, exactly: bool) -> None:
    for (name, a), (_, b) in zip(found.named_parameters(), expected.named_parameters(), strict=True):
        a, b = a.detach().numpy(), b.detach().numpy()
        np.testing.assert_allclose(a, b, rtol=0 if exactly else 2e-4, atol=0 if exactly else 2e-5, err_msg=name)


def pair(optimizer: Any, options: dict[str, Any], **parallel: Any) -> tuple[Any, Any, Any, Any]:
    whole, divided = dist.DataParallel(build()), dist.DataParallel(build(), **parallel)
    plain = optimizer(groups(whole.module), **options)
    return whole, plain, divided, dist.ShardedOptimizer(optimizer, groups(divided.module), **options)


def check_state_divided_gives_the_bits_of_the_whole_optimizer() -> None:
    for optimizer, options in OPTIMIZERS:
        whole, plain, divided, sharded = pair(optimizer, options)
        train(whole, plain, range(5))
        train(divided, sharded, range(5))
        same(divided, whole, exactly=True)
        assert isinstance(sharded, torch.optim.Optimizer)
        assert sharded.param_groups[0]["lr"] == plain.param_groups[0]["lr"] != options["lr"]


def check_gradients_divided_give_the_same_training() -> None:
    for optimizer, options in OPTIMIZERS[:3]:
        whole, plain, divided, sharded = pair(optimizer, options, shard_gradients=True, first_bucket_mb=1e-4)
        train(whole, plain, range(5), clip=0.5)
        train(divided, sharded, range(5), clip=0.5)
        same(divided, whole, exactly=False)
        if SIZE > 1:
            assert isinstance(divided.module.left.weight.grad, ScatteredGradient)
            assert divided.module.never.weight.grad is None


def check_clipping_sees_all_shares() -> None:
    for shard_gradients in (False, True):
        whole, plain, divided, sharded = pair(torch.optim.SGD, {"lr": 0.1}, shard_gradients=shard_gradients)
        for power in (2.0, float("inf"), 1.0):
            for model, optimizer in ((whole, plain), (divided, sharded)):
                optimizer.zero_grad()
                (model(batch(1)) ** 2).mean().backward()
            expected = float(nn.utils.clip_grad_norm_(whole.parameters(), 0.1, power))
            found = float(sharded.clip_grad_norm_(0.1, power))
            np.testing.assert_allclose(found, expected, rtol=1e-5)
            np.testing.assert_allclose(float(sharded.clip_grad_norm_(9.0, power)), 0.1, rtol=1e-4)
            assert len(set(dist.gather_objects(found))) == 1


def check_gradients_add_up_until_they_are_reset() -> None:
    whole, plain, divided, sharded = pair(torch.optim.SGD, {"lr": 0.1}, shard_gradients=True)
    for reset in (sharded.zero_grad, divided.zero_grad, divided.module.zero_grad):
        for model in (whole, divided):
            with model.no_sync():
                model(batch(0)).sum().backward()
            model(batch(1)).sum().backward()
            model(batch(2)).sum().backward()
        # The pass after no_sync reduces what has gathered; the next one adds its mean to that.
        expected = float(nn.utils.clip_grad_norm_(whole.parameters(), 1e9))
        np.testing.assert_allclose(float(sharded.clip_grad_norm_(1e9)), expected, rtol=1e-4)
        plain.step()
        sharded.step()
        reset()
        plain.zero_grad()
        assert divided.module.left.weight.grad is None


def check_a_gradient_added_to_one_that_is_there() -> None:
    twice = dist.DataParallel(build(), shard_gradients=True)
    optimizer = dist.ShardedOptimizer(torch.optim.SGD, twice.parameters(), lr=0.1)
    norms = []
    for passes in (1, 2):
        optimizer.zero_grad()
        for _ in range(passes):
            twice(batch(3)).sum().backward()
        norms.append(float(optimizer.clip_grad_norm_(1e9)))
    np.testing.assert_allclose(norms[1], 2 * norms[0], rtol=1e-5)


def check_states_go_from_whole_to_divided_and_back() -> None:
    for optimizer, options in OPTIMIZERS:
        whole, plain, divided, sharded = pair(optimizer, options)
        train(whole, plain, range(3))
        train(divided, sharded, range(3))
        sharded.consolidate_state_dict(to=None)
        state = sharded.state_dict()
        for number, kept in plain.state_dict()["state"].items():
            for name, value in kept.items():
                np.testing.assert_array_equal(state["state"][number][name].numpy(), value.numpy(), err_msg=name)
        other, back = dist.DataParallel(build()), dist.DataParallel(build())
        other.load_state_dict(whole.state_dict())
        back.load_state_dict(whole.state_dict())
        again = dist.ShardedOptimizer(optimizer, groups(other.module), **options)
        again.load_state_dict(plain.state_dict())
        returned = optimizer(groups(back.module), **options)
        returned.load_state_dict(state)
        for model, chosen in ((whole, plain), (other, again), (back, returned)):
            train(model, chosen, range(3, 5))
        same(other, whole, exactly=True)
        same(back, whole, exactly=True)


def check_each_rank_has_its_share_of_the_state() -> None:
    model = dist.DataParallel(nn.Linear(100, 100))
    optimizer = dist.ShardedOptimizer(torch.optim.Adam, model.parameters())
    model(torch.ones(1, 100)).sum().backward()
    optimizer.step()
    here = sum(value.numel() for state in optimizer.state.values() for value in state.values() if value.ndim)
    assert abs(here - 2 * 10100 / SIZE) <= 4, here


def check_checkpoints_hold_the_shares_of_all_ranks() -> None:
    whole, plain, divided, sharded = pair(torch.optim.Adam, {"lr": 0.01})
    train(whole, plain, range(3))
    train(divided, sharded, range(3))
    folder = dist.broadcast_object(tempfile.mkdtemp(dir=FOLDER))
    with dist.Checkpointer(folder) as checkpointer:
        checkpointer.save(3, model=divided, optimizer=sharded)
    saved = torch.load(Path(folder) / "step-0000000003")["state"]["optimizer"]
    for number, kept in plain.state_dict()["state"].items():
        for name, value in kept.items():
            np.testing.assert_array_equal(saved["state"][number][name].numpy(), value.numpy())
    other = dist.DataParallel(build(5))
    again = dist.ShardedOptimizer(torch.optim.Adam, groups(other.module), lr=0.5)
    restored = dist.Checkpointer(folder).restore(model=other, optimizer=again)
    assert restored is not None
    assert restored.step == 3
    for model, optimizer in ((whole, plain), (other, again)):
        train(model, optimizer, range(3, 5))
    same(other, whole, exactly=True)


def check_a_checkpoint_goes_on_on_another_number_of_ranks() -> None:
    """The checkpoint that the run before, on another number of ranks, has left; and one for the run after."""
    folder = FOLDER / "shared"
    model = dist.DataParallel(build())
    optimizer = dist.ShardedOptimizer(torch.optim.Adam, groups(model.module), lr=0.01)
    checkpointer = dist.Checkpointer(folder)
    restored = checkpointer.restore(model=model, optimizer=optimizer)
    step = restored.step if restored is not None else 0
    for _ in range(2):
        optimizer.zero_grad()
        np_batch = np.random.default_rng(step).normal(size=(4, 7)).astype("float32")
        (model.module.right(model.module.left(torch.from_numpy(np_batch))) ** 2).mean().backward()
        optimizer.step()
        step += 1
    checkpointer.save(step, model=model, optimizer=optimizer)
    checkpointer.wait()
    if RANK == 0:
        alone = build()
        plain = torch.optim.Adam(groups(alone), lr=0.01)
        for number in range(step):
            plain.zero_grad()
            np_batch = np.random.default_rng(number).normal(size=(4, 7)).astype("float32")
            (alone.right(alone.left(torch.from_numpy(np_batch))) ** 2).mean().backward()
            plain.step()
        same(model.module, alone, exactly=False)  # a mean over 3 ranks rounds


def expect(error: type[Exception], words: str, call: Callable[[], object]) -> None:
    message = ""
    try:
        call()
    except error as raised:
        message = str(raised)
    assert words in message, message


def check_what_cannot_work_is_refused() -> None:
    adam = torch.optim.Adam
    expect(ValueError, "got no parameters", lambda: dist.ShardedOptimizer(adam, iter([])))
    expect(ValueError, "Invalid learning rate", lambda: dist.ShardedOptimizer(adam, build().parameters(), lr=-1))
    expect(
        ValueError,
        "leave shard_gradients out",
        lambda: dist.DataParallel(build(), virtual_shards=4, shard_gradients=True),
    )
    small, large = (dist.ShardedOptimizer(adam, nn.Linear(n, 1).parameters()) for n in (2, 3))
    for parameter in small.param_groups[0]["params"]:
        parameter.grad = torch.ones(parameter.shape)
    small.step()
    small.consolidate_state_dict(to=None)
    expect(ValueError, "that of another model", lambda: large.load_state_dict(small.state_dict()))
    other = dist.ShardedOptimizer(adam, [nn.Parameter(torch.ones(2))])
    expect(ValueError, "groups of [2] parameters", lambda: other.load_state_dict(small.state_dict()))
    if SIZE > 1:
        small.step()
        expect(RuntimeError, "consolidate_state_dict", small.state_dict)
        differing = nn.Linear(3 if RANK == 1 else 2, 1)
        expect(RuntimeError, "differs between ranks", lambda: dist.ShardedOptimizer(adam, differing.parameters()))
        divided = dist.DataParallel(build(), shard_gradients=True)
        muon = torch.optim.Muon, [divided.module.left.weight]
        expect(ValueError, "needs whole parameters", lambda: dist.ShardedOptimizer(*muon))
        plain = torch.optim.SGD(divided.parameters(), lr=0.1)
        divided(batch(0)).sum().backward()
        expect(RuntimeError, "step with a dist.ShardedOptimizer", plain.step)
        expect(RuntimeError, "clip_grad_norm_", lambda: nn.utils.clip_grad_norm_(divided.parameters(), 1.0))


for name, check in list(globals().items()):
    if name.startswith("check_"):
        check()
        print(f"rank {RANK}: {name}", flush=True)
print(f"rank {RANK}: done")
