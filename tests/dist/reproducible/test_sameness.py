"""What ranks must have in common to compute the same bits."""

import platform

import pytest

from tests.dist.conftest import Launcher


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the kernels that the program chooses are for x86-64")
def test_ranks_whose_matrix_products_round_otherwise_are_refused_in_the_reproducible_mode(mpi: Launcher) -> None:
    outcome = mpi.run(2, "unlike.py", entry=False)
    assert outcome.code != 0
    assert "as they differ in BLAS: rank 0: " in outcome.output
    assert "Haswell; rank 1: " in outcome.output
    assert "set OPENBLAS_CORETYPE alike on all of them" in outcome.output
