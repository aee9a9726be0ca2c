"""Gradients in memory that ranks share; the checks are in programs/window.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_share_what_they_bring_and_keep_what_they_change(mpi: Launcher, ranks: int) -> None:
    outcome = mpi.run(ranks, "window.py", str(ranks))
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("done") == ranks
