"""DataParallel on this rank: what it wraps, averages, leaves alone and refuses."""

import copy
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import allgrad as torch
from allgrad import dist, nn

dist.init()
RANK, SIZE = dist.rank(), dist.world_size()
assert int(sys.argv[1]) == SIZE
MEAN = (SIZE + 1) / 2  # of RANK + 1 over all ranks


class Branches(nn.Module):
    """Two branches, of which a call takes one, a shared weight, and a buffer that moves with each call."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Linear(2, 2)
        self.right = nn.Linear(2, 2)
        self.right.weight = self.left.weight
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)
        self.register_buffer("seen", torch.zeros(2))

    def forward(self, x: Any, branch: str) -> Any:
        self.seen += x.detach().sum(0)
        return (self.left(x) if branch == "left" else self.right(x)) * self.frozen


def ones(scale: float = 1.0) -> Any:
    return torch.ones(3, 2) * scale


def check_the_start_is_rank_0s() -> None:
    torch.manual_seed(RANK)
    module = Branches()
    module.seen += RANK
    before = dist.broadcast_object([p.detach().numpy().copy() for p in module.parameters()])
    model = dist.DataParallel(module)
    for parameter, expected in zip(model.parameters(), before, strict=True):
        np.testing.assert_array_equal(parameter.detach().numpy(), expected)
    assert model.module is module
    assert module.seen.tolist() == [0, 0]


def check_names_lead_with_module() -> None:
    model = dist.DataParallel(Branches())
    assert all(name.startswith("module.") for name in model.state_dict())
    assert set(model.state_dict()) == {f"module.{name}" for name in model.module.state_dict()}
    model.load_state_dict(model.state_dict())
    assert dist.DistributedDataParallel is dist.DataParallel


def check_branches_that_differ_between_ranks_and_shared_weights() -> None:
    model = dist.DataParallel(Branches())
    for _ in range(2):
        model.zero_grad()
        model(ones(RANK + 1), branch="left" if RANK == 0 else "right").sum().backward()
        module = model.module
        np.testing.assert_allclose(module.left.weight.grad.numpy(), np.full((2, 2), 3 * MEAN))
        np.testing.assert_allclose(module.left.bias.grad.numpy(), [3 / SIZE] * 2)
        assert module.frozen.grad is None
        if SIZE > 1:
            np.testing.assert_allclose(module.right.bias.grad.numpy(), [3 * (SIZE - 1) / SIZE] * 2)
        else:
            assert module.right.bias.grad is None


def check_no_sync_gathers_and_the_next_pass_reduces() -> None:
    model = dist.DataParallel(Branches())
    with model.no_sync():
        for _ in range(2):
            model(ones(RANK + 1), "left").sum().backward()
    np.testing.assert_allclose(model.module.left.weight.grad.numpy(), np.full((2, 2), 6.0 * (RANK + 1)))
    model(ones(RANK + 1), "left").sum().backward()
    np.testing.assert_allclose(model.module.left.weight.grad.numpy(), np.full((2, 2), 9 * MEAN), rtol=1e-6)


def check_buffers_follow_rank_0() -> None:
    for follow in (True, False):
        model = dist.DataParallel(Branches(), broadcast_buffers=follow)
        model(ones(RANK + 1), "left").sum().backward()
        assert model.module.seen.tolist() == [3.0 * (RANK + 1)] * 2
        model(ones(RANK + 1), "left")
        start = 3.0 if follow else 3.0 * (RANK + 1)
        assert model.module.seen.tolist() == [start + 3.0 * (RANK + 1)] * 2


def check_batch_norm_over_all_ranks_is_that_of_the_whole_batch() -> None:
    samples = torch.from_numpy(np.random.default_rng(0).normal(size=(3 * SIZE, 2)).astype("float32"))
    scale = torch.arange(3.0 * SIZE).reshape(-1, 1)
    plain = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    parallel = dist.DataParallel(dist.SyncBatchNorm.convert_sync_batchnorm(model), broadcast_buffers=False)
    plain.load_state_dict(model.state_dict())
    mine = slice(3 * RANK, 3 * RANK + 3)
    (parallel(samples[mine]) * scale[mine]).sum().backward()
    (plain(samples) * scale).sum().backward()
    for found, expected in zip(model.parameters(), plain.parameters(), strict=True):
        np.testing.assert_allclose(found.grad.numpy() * SIZE, expected.grad.numpy(), rtol=2e-4, atol=1e-3)
    for name, buffer in plain.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[name].numpy(), buffer.numpy(), rtol=1e-5, atol=1e-6)
    norm = nn.utils.clip_grad_norm_(model.parameters(), 0.1)
    assert len(set(dist.gather_objects(float(norm)))) == 1
    np.testing.assert_allclose(float(nn.utils.get_total_norm([p.grad for p in model.parameters()])), 0.1, rtol=1e-4)
    model.eval()
    plain.eval()
    np.testing.assert_allclose(model(samples).detach().numpy(), plain(samples).detach().numpy(), rtol=1e-3, atol=1e-5)


def check_batch_norm_over_a_group_is_that_of_its_samples() -> None:
    if SIZE == 1:
        return
    groups = [dist.new_group(list(range(start, SIZE, 2))) for start in range(2)]
    mine, other = groups[RANK % 2], groups[1 - RANK % 2]
    images = torch.from_numpy(np.random.default_rng(1).normal(size=(2 * SIZE, 2, 3, 1, 1)))
    made: Any = dist.SyncBatchNorm.convert_sync_batchnorm(nn.Sequential(nn.BatchNorm3d(2, bias=False).double()), mine)
    assert isinstance(made[0], dist.SyncBatchNorm)
    found = made(images[2 * RANK : 2 * RANK + 2])
    of_group = torch.cat([images[2 * rank : 2 * rank + 2] for rank in mine.ranks])
    expected = nn.BatchNorm3d(2).double()(of_group)[2 * mine.rank : 2 * mine.rank + 2]
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-9)
    expect(ValueError, "SyncBatchNorm(process_group=...): rank", lambda: dist.SyncBatchNorm(2, process_group=other))


def check_batch_norm_without_running_statistics_asks_no_other_rank_while_not_training() -> None:
    norm = dist.SyncBatchNorm(2, track_running_stats=False).eval()
    if RANK == 0:
        samples = torch.tensor([[1.0, 2.0], [3.0, 6.0]])
        np.testing.assert_allclose(norm(samples).detach().numpy(), [[-1, -1], [1, 1]], rtol=1e-4)
    dist.barrier()


def check_rank_0_may_evaluate_alone() -> None:
    model = dist.DataParallel(Branches())
    if RANK == 0:
        with torch.no_grad():
            model(ones(), "left")
            model(ones(), "right")
    dist.barrier()


def check_two_models_in_one_step() -> None:
    first, second = dist.DataParallel(nn.Linear(2, 2)), dist.DataParallel(nn.Linear(2, 2))
    for _ in range(3):
        first.zero_grad()
        second.zero_grad()
        second(first(ones(RANK + 1))).sum().backward()
        np.testing.assert_allclose(second.module.bias.grad.numpy(), [3, 3], rtol=1e-6)
        columns = second.module.weight.detach().numpy().sum(0)
        np.testing.assert_allclose(first.module.weight.grad.numpy(), np.outer(columns, [3 * MEAN] * 2), rtol=1e-5)


def expect(error: type[Exception], words: str, call: Callable[[], object]) -> None:
    message = ""
    try:
        call()
    except error as raised:
        message = str(raised)
    assert words in message, message


def check_a_gradient_that_is_not_finite_on_one_rank_is_told_on_all() -> None:
    if SIZE == 1:
        return
    for options in ({}, {"shard_gradients": True}):
        model = dist.DataParallel(nn.Linear(2, 2), **options)
        for value in (float("nan"), float("inf")):
            model.zero_grad()
            loss = (model(ones()) * torch.tensor([1.0, value if RANK == 1 else 1.0])).sum()
            expect(FloatingPointError, "rank 1: NaN or infinity in the gradients of", loss.backward)
        model.zero_grad()
        huge = 1e25  # its square overflows
        (model(ones()) * huge).sum().backward()
    unchecked = dist.DataParallel(nn.Linear(2, 2), check_finite=False)
    (unchecked(ones()) * (float("nan") if RANK == 1 else 1.0)).sum().backward()
    assert unchecked.module.bias.grad.isnan().all()


def check_parameters_that_come_after_the_wrapping_are_refused_until_it_is_wrapped_again() -> None:
    net = nn.Sequential(nn.Linear(2, 2).requires_grad_(False), nn.Linear(2, 1))
    model = dist.DataParallel(net)
    model(ones(RANK + 1)).sum().backward()
    net[0].requires_grad_(True)
    if SIZE == 1:
        model(ones())
        return
    expect(RuntimeError, "0.weight, 0.bias of Sequential were frozen or not there", lambda: model(ones()))
    again = dist.DataParallel(net)
    again(ones(RANK + 1)).sum().backward()
    expected = net[1].weight.detach().T.expand(2, 2) * 3 * MEAN
    np.testing.assert_allclose(net[0].weight.grad.numpy(), expected.numpy(), rtol=1e-5)
    later = dist.DataParallel(net)
    expect(RuntimeError, "have been wrapped again", lambda: again(ones()))
    later(ones()).sum().backward()
    net[1] = nn.Linear(2, 3)
    later.train()
    expect(RuntimeError, "1.weight, 1.bias of Sequential were frozen or not there", lambda: later(ones()))
    with torch.no_grad():
        assert later(ones()).shape == (3, 3)


def check_groups_of_ranks_train_models_of_their_own() -> None:
    if SIZE == 1:
        return
    groups = [dist.new_group(list(range(start, SIZE, 2))) for start in range(2)]
    mine, other = groups[RANK % 2], groups[1 - RANK % 2]
    torch.manual_seed(RANK)
    model = dist.DataParallel(nn.Linear(2, 1), process_group=mine)
    weights = dist.gather_objects(model.module.weight.tolist())
    assert all(weights[rank] == weights[rank % 2] for rank in range(SIZE))
    assert weights[0] != weights[1]
    model(ones(RANK + 1)).sum().backward()
    mean = 3 * sum(rank + 1 for rank in mine.ranks) / mine.size
    np.testing.assert_allclose(model.module.weight.grad.numpy(), mean)
    with model.join(states=[torch.optim.SGD(model.parameters(), lr=0.1)]):
        for _ in range(RANK):
            model(ones(RANK + 1)).sum().backward()
    if mine.size > 1 and mine.ranks[-1] == RANK:
        model.module.bias.data.fill_(float("nan"))
    if mine.size > 1:
        wrong = f"rank {mine.ranks[-1]}: NaN or infinity in the gradients of bias, weight"
        expect(FloatingPointError, wrong, lambda: (model(ones()) ** 2).sum().backward())
    dist.barrier()
    together = dist.DataParallel(nn.Linear(2, 1))
    together(ones(RANK + 1)).sum().backward()
    np.testing.assert_allclose(together.module.weight.grad.numpy(), 3 * MEAN)
    expect(ValueError, "does not belong to this group", lambda: dist.DataParallel(nn.Linear(1, 1), process_group=other))
    sharded = {"process_group": mine, "virtual_shards": 4}
    expect(ValueError, "virtual_shards is for all ranks", lambda: dist.DataParallel(nn.Linear(1, 1), **sharded))


def check_a_copy_is_made_of_the_module_alone() -> None:
    model = dist.DataParallel(nn.Linear(2, 1))
    assert (copy.deepcopy(model.module).weight == model.module.weight).all()
    if SIZE > 1:
        expect(RuntimeError, "copy.deepcopy(model.module)", lambda: copy.deepcopy(model))
    else:
        assert (copy.deepcopy(model).module.weight == model.module.weight).all()


def check_what_cannot_be_wrapped_is_refused() -> None:
    expect(RuntimeError, "no parameter requires grad", lambda: dist.DataParallel(nn.ReLU()))
    lazy = nn.Sequential(nn.LazyLinear(2))
    expect(RuntimeError, "0.weight, 0.bias have no shape yet", lambda: dist.DataParallel(lazy))
    lazy(torch.ones(1, 3))
    dist.DataParallel(lazy)
    expect(ValueError, "bucket_cap_mb=0", lambda: dist.DataParallel(nn.Linear(1, 1), bucket_cap_mb=0))
    if SIZE > 1:
        model = nn.Linear(3 if RANK == 1 else 2, 1)
        expect(RuntimeError, "rank 1: weight float32 (1, 3)", lambda: dist.DataParallel(model))


for name, check in list(globals().items()):
    if name.startswith("check_"):
        check()
        print(f"rank {RANK}: {name}", flush=True)
print(f"rank {RANK}: done")
