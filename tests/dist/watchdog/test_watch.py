"""A rank that others wait for in vain is named on all of them, with the operation and its line, and all ranks end."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from allgrad import dist
from allgrad.dist.watchdog.beats import Hub, Spoke, listen
from allgrad.dist.watchdog.hang import Status
from allgrad.dist.watchdog.watch import Watch, seconds_of

from ..conftest import PROGRAMS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.dist.conftest import Launcher, Outcome

SECONDS = 3.0
LINES = (PROGRAMS / "hangs.py").read_text().splitlines()
HANGS = next(number for number, line in enumerate(LINES, 1) if line.endswith("# the line where it hangs"))
WAITS = next(number for number, line in enumerate(LINES, 1) if line.endswith("# the line where they wait"))


def run(mpi: Launcher, how: str, where: str = "world", missing: int = 1, **env: str) -> Outcome:
    return mpi.run(3, "hangs.py", how, where, str(missing), env={"SECONDS": str(SECONDS), **env})


def assert_ended_in_time(outcome: Outcome, seconds: float = SECONDS) -> None:
    (since,) = map(float, re.findall(r"missing at ([\d.]+)", outcome.output))
    assert outcome.ended - since < seconds + 5.0, "promised are 2 s, on a machine that does nothing else"


def test_a_rank_that_hangs_in_its_own_code_is_named_with_the_operation_and_its_line(mpi: Launcher) -> None:
    outcome = run(mpi, "asleep")
    assert outcome.code == 1
    message = r"rank 1 is missing at all_reduce\(sum\) of float32 \(3,\), for which rank [02] has waited"
    assert re.search(message, outcome.output), outcome.output
    assert f"hangs.py:{HANGS} in load_batch" in outcome.output
    assert f"waits in all_reduce at {PROGRAMS}/hangs.py:{WAITS}" in outcome.output
    assert_ended_in_time(outcome)


def test_every_rank_writes_into_its_own_log_who_is_missing(mpi: Launcher, tmp_path: Path) -> None:
    outcome = run(mpi, "asleep", missing=2, ALLGRAD_LOG_DIR=str(tmp_path))
    assert outcome.code == 1
    for rank in range(3):
        assert "rank 2 is missing at all_reduce(sum) of float32 (3,)" in (tmp_path / f"rank-{rank}.log").read_text()
    assert f"this is rank 2, which came there by\n  {PROGRAMS.parent}" in (tmp_path / "rank-2.log").read_text()


@pytest.mark.parametrize("missing", [0, 1])
def test_a_frozen_rank_is_named_on_all_others(mpi: Launcher, missing: int, tmp_path: Path) -> None:
    outcome = run(mpi, "frozen", missing=missing, ALLGRAD_LOG_DIR=str(tmp_path))
    assert outcome.code != 0
    for rank in {0, 1, 2} - {missing}:
        log = (tmp_path / f"rank-{rank}.log").read_text()
        assert f"rank {missing} is missing at all_reduce(sum) of float32 (3,)" in log
        assert "has given no sign of life" in log


def test_a_rank_that_is_missing_in_the_backward_pass_is_named_with_the_parameters_that_are_reduced(
    openmpi: Launcher,
) -> None:
    outcome = run(openmpi, "asleep", "backward")
    assert outcome.code == 1
    # Whether the announcement of the gradients was answered before the bucket began depends on the moment.
    assert re.search(r"rank 1 is missing at the .* bucket 0 \(1.bias, 1.weight, 0.bias, 0.weight\)", outcome.output)
    assert "in load_batch" in outcome.output
    assert_ended_in_time(outcome)


def test_the_rank_that_holds_all_others_up_is_named_and_not_one_that_waits_itself(openmpi: Launcher) -> None:
    outcome = run(openmpi, "asleep", "group")
    assert outcome.code == 1
    assert "\nrank 1 is missing at" in outcome.output.replace("HangError: ", "\n")
    assert "rank 0 on " in outcome.output
    assert "waits in barrier at" in outcome.output


def test_a_message_that_is_never_sent_shows_where_every_rank_is(openmpi: Launcher) -> None:
    outcome = run(openmpi, "asleep", "recv")
    assert outcome.code == 1
    assert "rank 1 is missing at recv, for which rank " in outcome.output
    assert f"hangs.py:{HANGS} in load_batch" in outcome.output


@pytest.mark.parametrize(("how", "missing"), [("ended", 1), ("ended", 0), ("raised", 1)])
def test_a_rank_that_ends_while_others_wait_is_named_long_before_the_timeout(
    mpi: Launcher, how: str, missing: int
) -> None:
    outcome = mpi.run(3, "hangs.py", how, "world", str(missing), env={"SECONDS": "60"}, entry=False)
    assert outcome.code != 0
    assert_ended_in_time(outcome, 0.0)
    assert f"rank {missing} is missing at all_reduce(sum) of float32 (3,)" in outcome.output
    assert "has come to the end of its script" in outcome.output


@pytest.mark.parametrize("wrong", ["0", "-3", "soon"])
def test_a_timeout_that_is_no_time_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLGRAD_TIMEOUT", wrong)
    with pytest.raises(ValueError, match=f"ALLGRAD_TIMEOUT={wrong}: expected a number of seconds above 0"):
        seconds_of(None)


def test_init_refuses_a_timeout_of_zero() -> None:
    with pytest.raises(ValueError, match=r"dist.init\(timeout=0\): expected a number of seconds"):
        dist.init(timeout=0)


@pytest.mark.parametrize("missing", [0, 2])
def test_a_monitored_barrier_raises_on_every_rank_that_came_and_names_the_one_that_did_not(
    mpi: Launcher, missing: int
) -> None:
    outcome = mpi.run(3, "monitored.py", str(missing))
    assert outcome.code == 1
    for rank in range(3):
        assert f"rank {rank} has passed" in outcome.output
        heard = f"rank {rank} heard: monitored_barrier: rank {missing} did not come within"
        assert (heard in outcome.output) == (rank != missing)


def test_a_rank_0_that_has_ended_before_it_was_reached_is_told_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    listener = listen(everywhere=False)
    port = listener.getsockname()[1]
    listener.close()
    spoke = Spoke(1, "here", ["127.0.0.1"], port, "token")
    asked = {"all ranks": 1}, {"all ranks": [0, 1]}, {"all ranks": ["barrier"]}
    assert spoke.exchange(Status(1, "here", "train.py:3 in <module>", "barrier", 0.5, *asked), 600, 0.01) is None
    found = spoke.exchange(Status(1, "here", "train.py:3 in <module>", "barrier", 1.5, *asked), 600, 0.01)
    spoke.close()
    assert found is not None
    assert found.message.startswith(
        "rank 0 is missing at barrier, for which rank 1 has waited 1.5 s: it has ended already"
    )
    assert capsys.readouterr().err == ""


class _WokenLate(Hub):
    def wake(self) -> None:
        time.sleep(0.5)
        super().wake()


def test_a_thread_that_sees_the_end_before_it_is_woken_ends_as_quietly() -> None:
    watch = Watch(0, 0.1, _WokenLate(listen(everywhere=False), "token", 1))
    watch.start()
    watch.stop("has come to the end of its script")
    assert not watch.is_alive()
