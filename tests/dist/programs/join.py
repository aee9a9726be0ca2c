"""Uneven inputs on this rank: ranks without batches take part until all have run out."""

import sys
from collections.abc import Callable
from typing import Any

import numpy as np

import allgrad as torch
from allgrad import dist, nn

dist.init()
RANK, SIZE = dist.rank(), dist.world_size()
assert int(sys.argv[1]) == SIZE
BATCHES = [3, 5, 0, 4][:SIZE]  # of each rank
LONGEST = BATCHES.index(max(BATCHES))


def net(norm: Any = nn.BatchNorm1d) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 4), norm(4), nn.Tanh(), nn.Linear(4, 1))


def batch(rank: int, number: int) -> Any:
    return torch.from_numpy(np.random.default_rng((rank, number)).normal(size=(6, 2)).astype("float32"))


def same_everywhere(values: Any) -> bool:
    return len(set(dist.gather_objects(repr(values)))) == 1


def bits(model: Any) -> list[bytes]:
    return [tensor.numpy().tobytes() for tensor in model.state_dict().values()]


def check_gradients_are_those_of_the_ranks_that_have_batches() -> None:
    for by_initial in (True, False):
        torch.manual_seed(0)
        model = dist.DataParallel(nn.Linear(2, 1))
        with model.join(divide_by_initial_world_size=by_initial):
            for number in range(BATCHES[RANK]):
                model.zero_grad()
                (model(batch(RANK, number)).sum() * (RANK + 1)).backward()
                active = [rank for rank in range(SIZE) if BATCHES[rank] > number]
                divisor = SIZE if by_initial else len(active)
                expected = 6 * sum(rank + 1 for rank in active) / divisor
                np.testing.assert_allclose(model.module.bias.grad.item(), expected, rtol=1e-5)


def check_weights_buffers_and_optimizers_are_the_same_afterwards() -> None:
    for epochs in (1, 2):
        model = dist.DataParallel(net())
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 2)
        for epoch in range(epochs):
            with model.join(states=[optimizer, schedule]):
                for number in range(BATCHES[(RANK + epoch) % SIZE]):
                    optimizer.zero_grad()
                    model(batch(RANK, number)).pow(2).sum().backward()
                    optimizer.step()
                    schedule.step()
            assert same_everywhere(bits(model.module))
            assert same_everywhere(optimizer.state_dict())
            assert same_everywhere(schedule.last_epoch)
            assert schedule.last_epoch == max(BATCHES) * (epoch + 1)


def check_it_is_the_run_that_sees_zeros_of_the_others() -> None:
    model = trained_with_join()
    alone = net()
    by_hand = torch.optim.SGD(alone.parameters(), lr=0.05, momentum=0.9)
    for number in range(max(BATCHES)):
        active = [rank for rank in range(SIZE) if BATCHES[rank] > number]
        total = None
        for rank in reversed(active):  # the first of them gives its buffers to all
            before = {name: buffer.clone() for name, buffer in alone.named_buffers()}
            alone.zero_grad()
            alone(batch(rank, number)).pow(2).sum().backward()
            found = [p.grad.numpy() / SIZE for p in alone.parameters()]
            total = found if total is None else [a + b for a, b in zip(total, found, strict=True)]
            if rank != active[0]:
                with torch.no_grad():
                    for name, buffer in alone.named_buffers():
                        buffer.copy_(before[name])
        for parameter, gradient in zip(alone.parameters(), total or [], strict=True):
            parameter.grad = torch.from_numpy(gradient)
        by_hand.step()
    for found, expected in zip(model.module.parameters(), alone.parameters(), strict=True):
        np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-3, atol=1e-5)


def trained_with_join() -> Any:
    model = dist.DataParallel(net())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    with model.join(states=[optimizer]):
        for number in range(BATCHES[RANK]):
            optimizer.zero_grad()
            model(batch(RANK, number)).pow(2).sum().backward()
            optimizer.step()
    return model


def check_no_sync_and_compression_work_within() -> None:
    model = dist.DataParallel(nn.Linear(2, 1), compression=dist.Int8(everywhere=True))
    with model.join():
        for number in range(BATCHES[RANK]):
            model.zero_grad()
            with model.no_sync():
                model(batch(RANK, number)).sum().backward()
            model(batch(RANK, number)).sum().backward()
            active = sum(count > number for count in BATCHES)
            np.testing.assert_allclose(model.module.bias.grad.item(), 12 * active / SIZE, rtol=0.02)


def check_even_inputs_and_disabled_cost_nothing_new() -> None:
    for enable in (True, False):
        model = dist.DataParallel(net())
        with model.join(enable=enable):
            for number in range(2):
                model(batch(RANK, number)).sum().backward()
        assert same_everywhere([p.detach().numpy().tobytes() for p in model.parameters()])


def expect(error: type[Exception], words: str, call: Callable[[], object]) -> None:
    message = ""
    try:
        call()
    except error as raised:
        message = str(raised)
    assert words in message, message


def check_every_rank_may_be_told_of_an_early_end() -> None:
    for norm in (nn.BatchNorm1d, dist.SyncBatchNorm):
        model = dist.DataParallel(net(norm))
        steps = 0

        def run(model: Any = model) -> None:
            nonlocal steps
            with model.join(throw_on_early_termination=True):
                for number in range(BATCHES[RANK]):
                    model(batch(RANK, number)).sum().backward()
                    steps += 1

        if SIZE == 1:
            run()
            continue
        fewest = min(BATCHES)
        without = ", ".join(str(rank) for rank in range(SIZE) if BATCHES[rank] == fewest)
        expect(RuntimeError, f"ranks {without} have no more batches, and ranks", run)
        assert steps == fewest
        model(batch(RANK, 0)).sum().backward()  # and training can go on


def check_what_cannot_take_part_is_refused() -> None:
    if SIZE == 1:
        return
    expect(RuntimeError, "1 is a SyncBatchNorm, in which", lambda: enter(dist.DataParallel(net(dist.SyncBatchNorm))))
    sharded = dist.DataParallel(nn.Linear(2, 1), shard_gradients=True)
    expect(RuntimeError, "shard_gradients=True needs every rank", lambda: enter(sharded))
    reproducible = dist.DataParallel(nn.Linear(2, 1), virtual_shards=SIZE)
    expect(RuntimeError, "belongs to the fast mode", lambda: enter(reproducible))


def enter(model: Any) -> None:
    with model.join():
        pass


def check_an_optimizer_that_communicates_is_named_on_every_rank() -> None:
    if SIZE == 1:
        return
    model = dist.DataParallel(nn.Linear(2, 1))
    optimizer = dist.ShardedOptimizer(torch.optim.SGD, model.parameters(), lr=0.1)

    def run() -> None:
        with model.join():
            for number in range(BATCHES[RANK]):
                model(batch(RANK, number)).sum().backward()
                optimizer.step()

    expect(RuntimeError, "a step of ShardedOptimizer(SGD)", run)


for name, check in list(globals().items()):
    if name.startswith("check_"):
        check()
        print(f"rank {RANK}: {name}", flush=True)
print(f"rank {RANK}: done")
