"""Training on several ranks is training on one; the finer checks are in programs/data_parallel.py."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher
    from tests.dist.worlds import World


@pytest.fixture(scope="module")
def trained_alone(openmpi: Launcher, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights and losses of one process that knows nothing of MPI."""
    folder = tmp_path_factory.mktemp("alone")
    outcome = openmpi.run(1, "training.py", str(folder), entry=False, launcher=False)
    assert outcome.code == 0, outcome.output
    return folder


@pytest.mark.parametrize("ranks", [1, 2, 3])
def test_training_on_ranks_equals_training_on_one(world: World, ranks: int, trained_alone: Path) -> None:
    outcome = world(ranks, "training")
    assert outcome.code == 0, outcome.output
    for name in ("sgd", "adam"):
        expected, found = np.load(trained_alone / f"{name}-1.npz"), np.load(world.folder / f"{name}-{ranks}.npz")
        losses = expected["arr_0"]
        assert losses[-1] < losses[0]
        assert set(expected) == set(found)
        for key in expected:
            np.testing.assert_allclose(found[key], expected[key], rtol=1e-7, atol=1e-9, err_msg=f"{name} {key}")


@pytest.mark.parametrize("ranks", [1, 2, 3, 4])
def test_models_are_wrapped_averaged_and_refused_as_documented(world: World, ranks: int) -> None:
    outcome = world(ranks, "data_parallel")
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("done") == ranks


def test_a_script_written_for_pytorch_runs_unchanged(mpi: Launcher) -> None:
    outcome = mpi.run(2, "--as-torch", "torch_script.py")
    assert outcome.code == 0, outcome.output
    assert outcome.output.splitlines()[-1] == "torch is allgrad, loss fell below 1: True"
