"""The reproducible mode: the same bits on any number of ranks, under either MPI."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest

import allgrad as torch
from allgrad import dist, nn

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher


# The number of virtual shards, the processes that load, and what more the program is to do.
CASES = [("6", "0"), ("8", "0"), ("6", "0", "synchronised")]
Alone = Callable[..., str]


@pytest.fixture(scope="module")
def alone(openmpi: Launcher) -> Alone:
    """What a program prints in a world of one rank, without MPI; run once for each choice of arguments."""

    @cache
    def run(*arguments: str) -> str:
        outcome = openmpi.run(1, *arguments, launcher=False)
        assert outcome.code == 0, outcome.output
        assert len(outcome.output.split()[-1]) == 64, outcome.output
        return outcome.output

    return run


@pytest.mark.parametrize(("ranks", "case"), [(2, CASES[0]), (3, CASES[1]), (4, CASES[2])])
def test_training_on_any_number_of_ranks_ends_with_the_same_bits(
    mpi: Launcher, alone: Alone, ranks: int, case: tuple[str, ...]
) -> None:
    outcome = mpi.run(ranks, "reproducible.py", *case)
    assert outcome.code == 0, outcome.output
    assert outcome.output == alone("reproducible.py", *case)


def test_six_ranks_and_loading_by_workers_change_no_bit(openmpi: Launcher, alone: Alone) -> None:
    outcome = openmpi.run(6, "reproducible.py", *CASES[0])
    assert outcome.output == alone("reproducible.py", *CASES[0]) == alone("reproducible.py", "6", "1")


def test_shards_that_differ_in_their_synchronised_layers_are_told_apart() -> None:
    norm = dist.SyncBatchNorm(2)
    parallel = dist.DataParallel(norm, virtual_shards=3)
    with pytest.raises(RuntimeError, match=r"shards \[0\] came to their end, while the others wait"):
        parallel.backward(lambda x: (x * norm.weight).mean() if x[0, 0] == 0 else parallel(x).mean(), batch())
    with pytest.raises(ZeroDivisionError):
        parallel.backward(lambda x: parallel(x).mean() if x[0, 0] == 0 else 1 / 0, batch())
    assert norm.weight.grad is None
    assert norm.num_batches_tracked.item() == 0
    expected = (batch(10).numpy() - batch(10).numpy().mean(0)) / batch(10).numpy().std(0)
    found = parallel.evaluate(lambda x: (parallel(x).mean(), {"first": parallel(x)[0, 0]}), batch())[1]["first"]
    np.testing.assert_allclose(found, (4 * expected[0, 0] + 3 * expected[4, 0] + 3 * expected[7, 0]) / 10, rtol=1e-4)


def quadratic(shards: int | None = 4, **options: object) -> dist.DataParallel:
    return dist.DataParallel(nn.Linear(2, 1), virtual_shards=shards, **options)


def batch(size: int = 10) -> torch.Tensor:
    return torch.arange(2.0 * size).reshape(size, 2)


def test_a_step_gives_the_loss_and_gradients_of_the_whole_batch() -> None:
    parallel, plain = quadratic(), nn.Linear(2, 1)
    plain.load_state_dict(parallel.module.state_dict())
    for _ in range(2):
        loss = parallel.backward(nn.MSELoss(), batch(), torch.ones(10, 1))
        expected = nn.functional.mse_loss(plain(batch()), torch.ones(10, 1))
        expected.backward()
        np.testing.assert_allclose(loss.item(), expected.item(), rtol=1e-6)
        for found, wanted in zip(parallel.parameters(), plain.parameters(), strict=True):
            np.testing.assert_allclose(found.grad.numpy(), wanted.grad.numpy(), rtol=1e-6)
    assert not loss.requires_grad


def test_a_loss_of_float64_stays_one_and_metrics_are_means_over_samples() -> None:
    parallel = dist.DataParallel(nn.Linear(2, 1).double(), virtual_shards=4)
    sizes: list[int] = []

    def loss_of(x: torch.Tensor) -> object:
        sizes.append(len(x))
        return parallel(x.double()).mean(), {"first": x[0, 0]}

    loss, metrics = parallel.backward(loss_of, batch())
    assert (loss.dtype, sizes) == (torch.float64, [3, 3, 2, 2])
    assert metrics == {"first": (3 * 0 + 3 * 6 + 2 * 12 + 2 * 16) / 10}
    before = [parameter.grad.tolist() for parameter in parallel.parameters()]
    assert parallel.evaluate(loss_of, batch())[1] == metrics
    assert [parameter.grad.tolist() for parameter in parallel.parameters()] == before
    assert parallel.steps == 1


def test_running_statistics_move_by_the_mean_over_shards_and_other_buffers_stay() -> None:
    norm = nn.BatchNorm1d(2)
    norm.register_buffer("mask", torch.tensor([-torch.inf, 0.0]))
    parallel = dist.DataParallel(norm, virtual_shards=2)
    parallel.backward(lambda x: parallel(x).mean(), batch(8))
    np.testing.assert_allclose(norm.running_mean.numpy(), 0.1 * batch(8).numpy().mean(0), rtol=1e-6)
    assert norm.num_batches_tracked.item() == 1
    assert norm.mask.tolist() == [-torch.inf, 0.0]


def test_the_scripts_own_random_numbers_go_on_as_though_nothing_had_been_drawn() -> None:
    parallel = dist.DataParallel(nn.Sequential(nn.Linear(2, 8), nn.Dropout()), virtual_shards=2)
    torch.manual_seed(0)
    expected = torch.rand(3).tolist()
    torch.manual_seed(0)
    parallel.backward(lambda x: parallel(x).mean(), batch())
    assert torch.rand(3).tolist() == expected


def test_a_plain_backward_pass_is_refused_and_says_what_to_call() -> None:
    parallel = quadratic()
    loss = parallel(batch()).sum()
    with pytest.raises(RuntimeError, match=r"call loss = parallel\.backward\(loss_fn, \*batch\)"):
        loss.backward()
    assert parallel.module.weight.grad is None
    with torch.no_grad():
        assert parallel(batch()).shape == (10, 1)


def test_what_does_not_belong_to_the_mode_is_refused() -> None:
    with pytest.raises(RuntimeError, match="wrap the model with virtual_shards"):
        quadratic(None).backward(nn.MSELoss(), batch(), batch(10)[:, :1])
    with pytest.raises(RuntimeError, match="no_sync belongs to the fast mode"), quadratic().no_sync():
        pass
    with pytest.raises(ValueError, match=r"virtual_shards=0\): 1 ranks need at least 1 shards"):
        quadratic(0)
    with pytest.raises(TypeError, match=r"a Tensor of shape \(3, 2\): it is to return the mean loss"):
        quadratic().backward(lambda x: x, batch())
    with pytest.raises(ValueError, match="have 4, 10 samples"):
        quadratic().backward(nn.MSELoss(), batch(), torch.ones(4, 1))
    with pytest.raises(ValueError, match="the batch has no samples on any rank"):
        quadratic().backward(nn.MSELoss(), batch(0), torch.ones(0, 1))


def test_after_a_loss_function_that_raises_the_next_step_works() -> None:
    parallel = quadratic()
    with pytest.raises(ZeroDivisionError):
        parallel.backward(lambda x: 1 / 0, batch())
    parallel.backward(nn.MSELoss(), batch(), torch.ones(10, 1))
    assert parallel.module.weight.grad is not None
    assert parallel.steps == 1
