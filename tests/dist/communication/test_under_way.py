"""Operations that go on while a rank computes, under both MPIs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher


@pytest.mark.parametrize(("how", "setting"), [("helped", "1"), ("alone", "0")])
def test_a_thread_sees_to_operations_while_ranks_compute_for_long(mpi: Launcher, how: str, setting: str) -> None:
    outcome = mpi.run(2, "under_way.py", how, env={"ALLGRAD_PROGRESS_THREAD": setting})
    assert outcome.code == 0, outcome.output
    assert "done" in outcome.output
