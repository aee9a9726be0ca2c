"""Ranks killed with -9 in the middle of training: the others go on, or the run starts again, and no bit is another."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import allgrad as torch
from allgrad import dist
from allgrad.utils.data import DataLoader, TensorDataset

from ..conftest import PROGRAMS, SETTINGS, launched

if TYPE_CHECKING:
    from ..conftest import Launcher, Outcome

PROGRAM = "surviving.py"
SECONDS_TO_GO_ON = 1.0 + 9.0
"""What is promised, and what a busy machine with fewer cores than ranks may add."""


@pytest.fixture(scope="module")
def undisturbed(openmpi: Launcher) -> str:
    """What a run ends with in which nobody dies."""
    return told(openmpi.run(1, PROGRAM, "-", launcher=False), "ranks")


def told(outcome: Outcome, what: str) -> str:
    assert outcome.code == 0, outcome.output
    return next(line for line in outcome.output.splitlines() if line.startswith(f"{what} "))


def tolerant(openmpi: Launcher, *args: str, program: str = PROGRAM, ranks: int = 4) -> Outcome:
    """Run the program on ranks that may outlive each other."""
    command = [str(openmpi.home / "bin" / "mpiexec"), "--with-ft", "ulfm", "-n", str(ranks), openmpi.python]
    return launched([*command, "-m", "allgrad.dist.rank", str(PROGRAMS / program), *args], SETTINGS)


@pytest.mark.parametrize(
    ("deaths", "left"),
    [(["0:3:before"], 3), (["2:5:after", "3:5:inside", "1:9:inside"], 1)],
)
def test_the_others_go_on_at_once_and_end_with_the_same_bits(
    openmpi: Launcher, undisturbed: str, deaths: list[str], left: int
) -> None:
    outcome = tolerant(openmpi, "-", *deaths)
    # Losses and the samples' numbers of each step are part of what is compared: none is lost or repeated.
    assert told(outcome, "ranks") == undisturbed.replace("ranks 1", f"ranks {left}")
    assert_they_went_on_at_once(outcome)


def assert_they_went_on_at_once(outcome: Outcome) -> None:
    steps = json.loads(told(outcome, "times").removeprefix("times "))
    for line in outcome.output.splitlines():
        if line.startswith("killed"):
            killed = float(line.split()[1])
            assert min(time for time in steps if time > killed) - killed < SECONDS_TO_GO_ON


@pytest.mark.parametrize(
    ("deaths", "left"),
    [(["0:3:inside"], 3), (["2:5:before", "3:5:inside", "1:9:after"], 1)],
)
def test_in_the_fast_mode_the_others_go_on_at_once_and_learn_from_every_sample_once(
    openmpi: Launcher, tmp_path: Path, deaths: list[str], left: int
) -> None:
    outcome = tolerant(openmpi, str(tmp_path), *deaths, program="surviving_fast.py")
    assert told(outcome, "ranks") == f"ranks {left}"
    assert_they_went_on_at_once(outcome)
    # The steps of each rank, those that died among them, and the numbers of the samples that it learned from in each.
    learned = sorted(
        tuple(map(int, line.split())) for path in tmp_path.iterdir() for line in path.read_text().splitlines()
    )
    for epoch in range(3):
        steps = [(step, number) for step, number in learned if step // 4 == epoch]
        assert [step for step, _ in steps] == [4 * epoch + number // 12 for number in range(48)]
        assert sorted(number for _, number in steps) == list(range(48))


@pytest.fixture(scope="module")
def never_replaced(openmpi: Launcher, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What a run in the reproducible mode ends with in which nobody dies."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return told(openmpi.run(1, "joining.py", "reproducible", str(folder), "1", launcher=False), "ranks").split()[-1]


@pytest.mark.parametrize("mode", ["reproducible", "fast"])
@pytest.mark.parametrize(
    ("ranks", "deaths", "left"),
    [
        (2, ["1:3:inside"], [1]),
        (3, ["0:2:before", "1:6:inside"], [2, 2]),
        (4, ["3:2:inside", "0:2:before"], [2]),
    ],
    ids=["one of two", "two in turn, rank 0 first", "two at once, rank 0 with them"],
)
def test_replacements_take_the_places_of_dead_ranks(
    openmpi: Launcher, tmp_path: Path, never_replaced: str, mode: str, ranks: int, deaths: list[str], left: list[int]
) -> None:
    outcome = tolerant(openmpi, mode, str(tmp_path), str(ranks), *deaths, program="joining.py", ranks=ranks)
    end, weights = told(outcome, "ranks").split(" weights ")
    assert end == f"ranks {ranks}"
    sizes = json.loads(told(outcome, "sizes").removeprefix("sizes "))
    assert [*dict.fromkeys(sizes)] == [ranks, *dict.fromkeys(left)]
    assert_every_sample_counted_once(tmp_path)
    assert_they_went_on_at_once(outcome)
    if mode == "reproducible":
        assert weights == never_replaced


def assert_every_sample_counted_once(folder: Path) -> None:
    """Of two epochs of ten steps of twelve samples, going by what all ranks have written down, the dead among them."""
    learned = [tuple(map(int, line.split())) for path in folder.iterdir() for line in path.read_text().splitlines()]
    assert sorted(step for _, step, _ in learned) == [number // 12 for number in range(240)]
    assert all(step // 10 == epoch for epoch, step, _ in learned)
    assert sorted((epoch, number) for epoch, _, number in learned) == [divmod(number, 120) for number in range(240)]


def test_parts_of_a_replacement_need_to_know_the_epochs() -> None:
    data = TensorDataset(torch.arange(4))
    loader = DataLoader(data, batch_sampler=dist.DistributedBatchSampler(data, 2))
    with pytest.raises(ValueError, match=r"elastic_steps\(model\): .* give epochs="):
        dist.elastic_steps(loader, model=torch.nn.Linear(1, 1))


def _hooked() -> dist.DataParallel:
    parallel = dist.DataParallel(torch.nn.Linear(1, 1))
    parallel.register_comm_hook(None, lambda state, bucket: bucket.buffer())
    return parallel


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (lambda: dist.ShardedOptimizer(torch.optim.SGD, torch.nn.Linear(1, 1).parameters()), "each rank has a share"),
        (lambda: dist.DataParallel(torch.nn.Linear(1, 1), shard_gradients=True), "with shard_gradients each rank has"),
        (
            lambda: dist.DataParallel(torch.nn.Linear(1, 1), shard_parameters=True),
            "with shard_parameters each rank has",
        ),
        (lambda: dist.DataParallel(torch.nn.Linear(1, 1), compression=dist.Int8()), "with compression each rank has"),
        (_hooked, "with register_comm_hook each rank has"),
        (lambda: {"steps": 3}, "it has no state_dict and load_state_dict"),
    ],
    ids=["sharded optimizer", "gradients", "parameters", "compression", "hook", "plain value"],
)
def test_parts_that_no_rank_has_alone_cannot_be_replaced_and_are_refused(part: Callable[[], Any], why: str) -> None:
    data = TensorDataset(torch.arange(4))
    loader = DataLoader(data, batch_sampler=dist.DistributedBatchSampler(data, 2))
    with pytest.raises(TypeError, match=rf"elastic_steps\(part=\w+\): {why}.* no rank can be replaced"):
        dist.elastic_steps(loader, epochs=1, done=torch.nn.Linear(1, 1), part=part())


def test_with_epochs_the_loop_goes_on_where_the_sampler_is() -> None:
    data = TensorDataset(torch.arange(2))
    sampler = dist.DistributedBatchSampler(data, 2, shuffle=False)
    sampler.set_epoch(1)
    loader = DataLoader(data, batch_sampler=sampler)
    seen = []
    for step in dist.elastic_steps(loader, epochs=3, model=torch.nn.Linear(1, 1)):
        with step as (numbers,):
            seen.append((sampler.epoch, numbers.tolist()))
    assert seen == [(1, [0, 1]), (2, [0, 1])]


def test_checkpoints_go_on_without_the_dead(openmpi: Launcher, undisturbed: str, tmp_path: Path) -> None:
    outcome = tolerant(openmpi, str(tmp_path), "0:5:before")
    assert told(outcome, "ranks") == undisturbed.replace("ranks 1", "ranks 3")
    assert sorted(path.parent.name for path in tmp_path.glob("*/manifest.json"))[-1] == "step-0000000012"


@pytest.mark.parametrize("name", ["openmpi", "mpich"])
def test_a_run_started_again_with_those_that_are_left_ends_with_the_same_bits(
    request: pytest.FixtureRequest, undisturbed: str, tmp_path: Path, name: str
) -> None:
    mpi: Launcher = request.getfixturevalue(name)
    command = [mpi.python, "-m", "allgrad.server.cli", "run", "-n", "3", "--restarts", "1"]
    # The command line needs click, which the environment of MPICH does not have.
    import click

    (tmp_path / "click").symlink_to(Path(click.__file__).parent)
    outcome = launched(
        [*command, str(PROGRAMS / PROGRAM), str(tmp_path / "checkpoints"), "1:7:inside"],
        {**SETTINGS, "PYTHONPATH": str(tmp_path), "PATH": os.environ["PATH"]},
    )
    assert outcome.code == 0, outcome.output
    assert "starting again with 2 ranks (restart 1 of 1)" in outcome.output
    end = next(line for line in outcome.output.splitlines() if line.startswith("[0] ranks"))
    assert end.startswith("[0] ranks 2 losses resumed")
    assert end.split()[-1] == undisturbed.split()[-1]


def test_a_loader_that_cannot_deal_anew_is_refused() -> None:
    data = TensorDataset(torch.arange(4))
    with pytest.raises(TypeError, match=r"use DataLoader\(dataset, batch_sampler=dist\.DistributedBatchSampler"):
        dist.elastic_steps(DataLoader(data))


def test_without_an_mpi_an_elastic_loop_is_a_plain_one_and_passes_errors_on() -> None:
    data = TensorDataset(torch.arange(4))
    loader = DataLoader(data, batch_sampler=dist.DistributedBatchSampler(data, 2, virtual_shards=2, shuffle=False))
    seen = []
    for step in dist.elastic_steps(loader):
        with step as (numbers,):
            seen.append(numbers.tolist())
    assert seen == [[0, 1], [2, 3]]
    with pytest.raises(ZeroDivisionError), next(dist.elastic_steps(loader)):
        raise ZeroDivisionError
