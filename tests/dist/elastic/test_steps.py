"""Ranks killed with -9 in the middle of training: the others go on, or the run starts again, and no bit is another."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING

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


def tolerant(openmpi: Launcher, *args: str, program: str = PROGRAM) -> Outcome:
    """Run the program on four ranks that may outlive each other."""
    command = [str(openmpi.home / "bin" / "mpiexec"), "--with-ft", "ulfm", "-n", "4", openmpi.python]
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
