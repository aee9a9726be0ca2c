"""The tests of the ranks, the same ones as on one machine, under each MPI in each place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.dist.checkpoints.test_checkpointer import (
    test_a_run_stopped_within_an_epoch_ends_with_the_same_bits_on_other_numbers_of_ranks,
)
from tests.dist.communication.test_collectives import test_every_collective_agrees_with_numpy
from tests.dist.reproducible.test_reproducible import (
    alone,
    test_training_on_any_number_of_ranks_ends_with_the_same_bits,
)
from tests.dist.test_functional import test_gradients_of_collectives_are_those_of_the_sum_of_all_losses
from tests.dist.training.test_data_parallel import (
    test_a_script_written_for_pytorch_runs_unchanged,
    test_models_are_wrapped_averaged_and_refused_as_documented,
    test_training_on_ranks_equals_training_on_one,
    trained_alone,
)

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher

pytestmark = pytest.mark.cluster
__all__ = [
    "alone",
    "test_a_run_stopped_within_an_epoch_ends_with_the_same_bits_on_other_numbers_of_ranks",
    "test_a_script_written_for_pytorch_runs_unchanged",
    "test_every_collective_agrees_with_numpy",
    "test_gradients_of_collectives_are_those_of_the_sum_of_all_losses",
    "test_models_are_wrapped_averaged_and_refused_as_documented",
    "test_training_on_any_number_of_ranks_ends_with_the_same_bits",
    "test_training_on_ranks_equals_training_on_one",
    "trained_alone",
]


@pytest.mark.parametrize("how", ["exception", "before-mpi", "exit"])
def test_a_rank_that_fails_ends_all_and_is_told_once(mpi: Launcher, how: str) -> None:
    outcome = mpi.run(3, "fails.py", how)
    assert outcome.code != 0
    assert outcome.output.count("Traceback (most recent call last)") == (how != "exit"), outcome.output
