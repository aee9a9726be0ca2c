"""What the limits on a request say when one is exceeded."""

from __future__ import annotations

import re

import pytest

from allgrad.server.errors import InvalidRequest
from allgrad.server.jobs.slots import HERE
from allgrad.server.jobs.spec import JobSpec
from allgrad.server.service.requests import check_spec


@pytest.mark.parametrize(
    ("ranks", "threads", "cores_per_slot", "says"),
    [
        (5, 0, 1, "5 ranks cannot run here; the server has 2 slots, and each rank takes one; ask for at most 2 ranks, or "
                  "start the server with: allgrad serve --slots 5"),
        (1, 3, 1, "1 rank with 3 threads cannot run here; the server has 2 slots, and each rank takes 3 for its threads; "
                  "ask for at most 2 threads, or start the server with: allgrad serve --slots 3"),
        (2, 2, 1, "2 ranks with 2 threads .*; ask for at most 1 rank or at most 1 thread, or .*--slots 4"),
        (2, 4, 3, "2 ranks with 4 threads .* each rank takes 2 for its threads; ask for at most 1 rank or at most 3 threads, "),
        (3, 2, 2, "3 ranks cannot run here; .*; ask for at most 2 ranks, or start the server with: allgrad serve --slots 6"),
        (3, 3, 1, "3 ranks with 3 threads .*; start the server with: allgrad serve --slots 9"),
    ],
)  # fmt: skip
def test_a_job_for_which_there_are_too_few_slots_is_told_of_ranks_slots_and_threads(
    ranks: int, threads: int, cores_per_slot: int, says: str
) -> None:
    spec = JobSpec(("true",), ranks=ranks, threads=threads, workdir="/")
    with pytest.raises(InvalidRequest) as refused:
        check_spec(spec, {HERE: 2}, cores_per_slot)
    assert re.match(says, str(refused.value)), refused.value
