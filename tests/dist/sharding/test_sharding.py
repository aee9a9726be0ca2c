"""Optimizer state, gradients and parameters divided among ranks train as whole ones do: the checks are in the programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher


def test_divided_training_is_whole_training_and_goes_on_on_other_numbers_of_ranks(
    mpi: Launcher, tmp_path: Path
) -> None:
    for ranks in (2, 4, 3, 1):
        outcome = mpi.run(ranks, "sharding.py", str(ranks), str(tmp_path))
        assert outcome.code == 0, outcome.output
        assert outcome.output.count("done") == ranks


@pytest.mark.parametrize(("place", "worlds"), [("together", (2, 1)), ("two by two", (3,)), ("apart", (2, 3))])
def test_divided_parameters_train_as_whole_ones_in_memory_that_falls_with_the_number_of_ranks(
    mpi: Launcher, tmp_path: Path, place: str, worlds: tuple[int, ...]
) -> None:
    for ranks in worlds:
        outcome = mpi.run(ranks, "divided_parameters.py", place, str(tmp_path))
        assert outcome.code == 0, outcome.output
        assert outcome.output.count("done") == ranks
