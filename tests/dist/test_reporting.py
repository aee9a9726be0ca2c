"""dist.report as a script calls it: inside a run, outside of one, and wrongly."""

import os
import time
from pathlib import Path

import numpy as np
import pytest

from allgrad import dist
from allgrad.dist import reporting
from allgrad.dist.journal import Journal, read


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ALLGRAD_RUN_DIR", str(tmp_path))
    return tmp_path / "journal.jsonl"


def test_losses_and_checkpoints_reach_the_journal(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(journal.parent)
    dist.report(1, loss=np.float32(0.5), correct=3)
    dist.report(2, loss=np.array([0.25]), good=True)
    dist.report_checkpoint("step-2", step=2)
    first, second, third = read(journal)
    assert first["values"] == {"loss": 0.5, "correct": 3.0}
    assert second["values"] == {"loss": 0.25, "good": 1.0}
    assert (third["step"], third["path"]) == (2, str(journal.parent / "step-2"))


def test_outside_of_a_run_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ALLGRAD_RUN_DIR", raising=False)
    monkeypatch.chdir(tmp_path)
    dist.report(1, loss=0.5)
    dist.report_checkpoint("x", step=1)
    assert list(tmp_path.iterdir()) == []


def test_only_rank_0_writes(journal: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMPI_COMM_WORLD_RANK", "1")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    dist.report(1, loss=0.5)
    assert not journal.exists()


def test_a_forked_child_does_not_write_into_its_parents_journal(journal: Path) -> None:
    dist.report(1, loss=0.5)
    child = os.fork()
    if child == 0:
        dist.report(2, loss=0.25)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    dist.report(3, loss=0.125)
    assert [(entry["seq"], entry["step"]) for entry in read(journal)] == [(1, 1), (2, 3)]


def test_a_journal_that_cannot_be_written_is_told_and_training_goes_on(
    journal: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = Journal(journal)
    dist.report(1, loss=0.5)
    dist.report(2, loss=0.5)
    assert capsys.readouterr().err.count("does not reach the server: ") == 1
    taken.close()
    monkeypatch.setattr(reporting._Open, "key", None)
    monkeypatch.setattr(os, "write", lambda file, line: len(line) // 2)
    dist.report(3, loss=0.5)
    assert "is the disk full?" in capsys.readouterr().err
    monkeypatch.undo()
    assert read(journal) == []
    assert journal.read_bytes() == b""


@pytest.mark.parametrize(
    ("step", "values", "words"),
    [
        (1, {}, "nothing to report"),
        (1.5, {"loss": 1.0}, "step is 1.5; it must be an integer"),
        (-1, {"loss": 1.0}, "step is -1; steps count from 0"),
        (2**63, {"loss": 1.0}, "step is 9223372036854775808; 9223372036854775807 is the last"),
        (1, {"loss": "low"}, "loss is a str, not a number"),
        (1, {"loss": np.zeros(3)}, "loss is a ndarray, not a number or one-element Tensor"),
    ],
)
def test_a_wrong_report_is_refused_outside_of_a_run_too(
    step: int, values: dict[str, object], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ALLGRAD_RUN_DIR", raising=False)
    with pytest.raises((TypeError, ValueError), match=words):
        dist.report(step, **values)


def test_a_report_costs_a_training_step_next_to_nothing(journal: Path) -> None:
    dist.report(0, loss=0.5, accuracy=0.9)
    times = []
    for step in range(1, 501):
        started = time.perf_counter()
        dist.report(step, loss=0.5, accuracy=0.9)
        times.append(time.perf_counter() - started)
    # 50 microseconds is the promise on a quiet machine; the median on a busy one may be a few times that.
    assert sorted(times)[250] < 500e-6
    assert len(read(journal)) == 501
