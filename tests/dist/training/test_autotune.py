"""Sizes of buckets tried out: the choice is a pure function, the rest is in programs/autotune.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from allgrad.dist.training.autotune import ROUNDS, choose

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher


@pytest.mark.parametrize(("launcher", "ranks"), [("openmpi", 2), ("mpich", 3), ("openmpi", 4)])
def test_all_ranks_keep_the_same_sizes_and_gradients_stay_right(
    request: pytest.FixtureRequest, launcher: str, ranks: int
) -> None:
    mpi: Launcher = request.getfixturevalue(launcher)
    outcome = mpi.run(ranks, "autotune.py", str(ranks), env={"ALLGRAD_RANKS_PER_WINDOW": "2" if ranks > 2 else "1"})
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("done") == ranks


def test_a_world_of_one_rank_has_nothing_to_tune(openmpi: Launcher) -> None:
    outcome = openmpi.run(1, "autotune.py", "1", launcher=False)
    assert outcome.code == 0, outcome.output


def test_noise_alone_hardly_ever_changes_a_setting() -> None:
    source = np.random.default_rng(0)
    changed = sum(choose(source.lognormal(0, 0.3, (4, ROUNDS)))[0] != 0 for _ in range(1000))
    assert changed < 60


def test_an_outlier_neither_makes_nor_hides_a_choice() -> None:
    times = np.ones((3, ROUNDS))
    times[1] = 0.8
    times[1, 0] = 50
    times[2, 0] = 1e-3
    assert choose(times) == (1, 0.8)
    times[1] = 0.97
    assert choose(times) == (0, 1.0)
