"""Checkpoints: resumed to the bit on other ranks, and good whatever happens while they are written."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import allgrad as torch
from allgrad import dist, nn
from allgrad.dist import journal
from allgrad.serialization.sharded import MANIFEST, plan, write_manifest, write_part

if TYPE_CHECKING:
    from tests.dist.conftest import Launcher


def test_a_run_stopped_within_an_epoch_ends_with_the_same_bits_on_other_numbers_of_ranks(
    mpi: Launcher, tmp_path: Path
) -> None:
    whole = mpi.run(1, "checkpointing.py", str(tmp_path / "whole"), "4", "0", launcher=False)
    assert whole.code == 0, whole.output
    for ranks, stop in ((2, 5), (3, 8)):
        mpi.run(ranks, "checkpointing.py", str(tmp_path / "stopped"), "4", str(stop), entry=False)
        assert torch.load(tmp_path / "stopped" / f"step-{stop - stop % 2:010}")["state"]["epoch"] == (stop - 1) // 3
    resumed = mpi.run(4, "checkpointing.py", str(tmp_path / "stopped"), "4", "0")
    assert resumed.code == 0, resumed.output
    assert resumed.output == whole.output


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_checkpoint_of_another_model_is_refused_on_every_rank(mpi: Launcher, ranks: int, tmp_path: Path) -> None:
    outcome = mpi.run(ranks, "other_model.py", str(tmp_path))
    assert outcome.code == 0, outcome.output
    assert outcome.output.count("model.0.weight has shape (3, 2) in it and (4, 2) here") == ranks
    assert outcome.output.count("model.2.bias is not in it; model.1.bias is only in it") == ranks
    if ranks == 2:
        assert outcome.output.count("ranks 1 do not see what rank 0 has put into") == 2


def saved_steps(folder: Path) -> list[int]:
    return sorted(int(path.parent.name.partition("-")[2]) for path in folder.glob(f"*/{MANIFEST}"))


def fork(child: Any) -> int:
    """Run *child* in a forked process, which ends by a signal or with 0."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(0)
    return pid


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")
def test_a_kill_at_any_moment_of_a_save_leaves_the_one_before_it_good(tmp_path: Path) -> None:
    source = random.Random(0)
    reached = 0
    for _ in range(8):

        def save_for_ever(first: int = reached) -> None:
            checkpointer = dist.Checkpointer(tmp_path, keep_last=2)
            step = first
            while True:
                step += 1
                checkpointer.save(step, values={f"{k}": np.full(30_000, float(step)) for k in range(6)})

        pid = fork(save_for_ever)
        time.sleep(source.uniform(0.05, 0.3))
        committed = saved_steps(tmp_path)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        restored = dist.Checkpointer(tmp_path).restore()
        if committed:
            assert restored is not None
            assert restored.step >= committed[-1]
            for array in restored.values["values"].values():
                np.testing.assert_array_equal(array, np.full(30_000, float(restored.step)))
            reached = restored.step
    assert reached > 8


def test_a_rank_killed_during_a_save_leaves_the_one_before_it_good(mpi: Launcher, tmp_path: Path) -> None:
    outcome = mpi.run(2, "killed_saving.py", str(tmp_path))
    assert outcome.code != 0
    committed = saved_steps(tmp_path)
    restored = dist.Checkpointer(tmp_path).restore()
    assert restored is not None
    assert restored.step == committed[-1] > 1
    for array in restored.values["values"].values():
        np.testing.assert_array_equal(array, np.full(30_000, float(restored.step)))


def test_a_full_disk_leaves_the_checkpoint_before_it_good(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    checkpointer = dist.Checkpointer(tmp_path)
    checkpointer.save(1, values=np.ones(10))
    checkpointer.wait()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        checkpointer.save(2, values=np.ones(1_000_000))
        with pytest.raises(dist.CheckpointError, match=r"step 2 was not saved .*File too large.* stays good"):
            checkpointer.wait()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "the checkpoint of step 2 was not saved: OSError" in capfd.readouterr().err
    assert os.listdir(tmp_path) == ["step-0000000001"]
    checkpointer.save(3, values=np.ones(1_000_000))
    restored = checkpointer.restore()
    assert restored is not None
    assert restored.step == 3


def test_a_rank_that_fails_or_is_gone_is_told_by_rank_0(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    from allgrad.dist.checkpoints.folder import CheckpointFolder
    from allgrad.dist.checkpoints.writer import Write

    for mark, words in (("failed-1-token", "rank 1 has not written its part"), (None, "no part of rank 1")):
        folder = CheckpointFolder(tmp_path, 1, None)
        (tmp_path / folder.name(1)).mkdir(exist_ok=True)
        if mark is not None:
            (tmp_path / folder.name(1) / mark).touch()
        writing = Write(folder, {"step": 1}, "token", 0, {}, ["part-0", "part-1"], None, timeout=0.01)
        writing.run()
        assert words in writing.failure
        folder.tidy()
        assert not folder.good()
    assert capfd.readouterr().err.count("the checkpoint of step 1 was not saved") == 2


def test_the_last_and_the_best_are_kept(tmp_path: Path) -> None:
    accuracies = {1: 0.5, 2: 0.9, 3: float("nan"), 4: 0.7, 5: 0.6, 6: 0.65}
    with dist.Checkpointer(tmp_path, keep_last=2, keep_best=("accuracy", 2, "max"), asynchronous=False) as checkpointer:
        for step, accuracy in accuracies.items():
            checkpointer.save(step, metrics={"accuracy": torch.tensor(accuracy)}, step_again=step)
        assert saved_steps(tmp_path) == [2, 4, 5, 6]
        restored = checkpointer.restore(step=2)
        assert restored is not None
        assert (restored.step, restored.values) == (2, {"step_again": 2})
        assert restored.metrics["accuracy"] == pytest.approx(0.9)
        with pytest.raises(ValueError, match="keep_best goes by 'accuracy', so give it"):
            checkpointer.save(7)


def test_a_damaged_checkpoint_gives_way_to_the_one_before_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with dist.Checkpointer(tmp_path, asynchronous=False) as checkpointer:
        for step in (1, 2, 3, 4):
            checkpointer.save(step, weight=torch.full((50,), float(step)))
        part = next((tmp_path / "step-0000000004").glob("part*"))
        content = bytearray(part.read_bytes())
        content[-9] ^= 1
        part.write_bytes(content)
        manifest = tmp_path / "step-0000000003" / MANIFEST
        manifest.write_text(manifest.read_text().replace("weight", "height"))
        restored = checkpointer.restore()
        assert restored is not None
        assert restored.step == 2
        assert capfd.readouterr().err.count("cannot be taken back, so the one before it is tried") == 2
        with pytest.raises(dist.CheckpointError, match="its data has check sum"):
            checkpointer.restore(step=4)
        with pytest.raises(dist.CheckpointError, match="there is no checkpoint of step 9"):
            checkpointer.restore(step=9)


def test_random_numbers_and_all_parts_go_on_where_they_were(tmp_path: Path) -> None:
    model = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    model(torch.ones(3, 2)).sum().backward()
    optimizer.step()
    scheduler.step()
    with dist.Checkpointer(tmp_path) as checkpointer:
        checkpointer.save(1, model=model, optimizer=optimizer, scheduler=scheduler)
        expected = [torch.rand(1).item(), np.random.random(), random.random(), model.weight.tolist()]
        with torch.no_grad():
            model.weight.zero_()
        scheduler.step()
        optimizer.step()
        checkpointer.restore(model=model, optimizer=optimizer, scheduler=scheduler)
    assert [torch.rand(1).item(), np.random.random(), random.random(), model.weight.tolist()] == expected
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
    state = torch.load(tmp_path / "step-0000000001")["state"]
    assert list(state["model"]) == ["weight", "bias"]


def test_a_snapshot_does_not_follow_what_training_does_next(tmp_path: Path) -> None:
    weight = np.zeros(3_000_000)
    with dist.Checkpointer(tmp_path) as checkpointer:
        checkpointer.save(1, weight=weight)
        weight += 1
        restored = checkpointer.restore()
    assert restored is not None
    assert not restored.values["weight"].any()


def test_a_checkpoint_is_reported_once_it_is_good(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALLGRAD_RUN_DIR", str(tmp_path))
    monkeypatch.setenv("ALLGRAD_OUTPUT_DIR", str(tmp_path))
    with dist.Checkpointer() as checkpointer:
        checkpointer.save(7, value=1)
    entries = journal.read(tmp_path / "journal.jsonl")
    path = str(tmp_path / "checkpoints" / "step-0000000007")
    assert [(entry["kind"], entry["step"], entry["path"]) for entry in entries] == [("checkpoint", 7, path)]
    assert torch.load(path)["state"] == {"value": 1}


def test_what_cannot_be_asked_for_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="at least the last one"):
        dist.Checkpointer(tmp_path, keep_last=0)
    with pytest.raises(ValueError, match="expected"):
        dist.Checkpointer(tmp_path, keep_best=("loss", 0))
    checkpointer = dist.Checkpointer(tmp_path)
    assert checkpointer.restore(model=nn.Linear(1, 1)) is None
    checkpointer.save(1, epoch=1)
    with pytest.raises(dist.CheckpointError, match="it has no 'model', but epoch"):
        checkpointer.restore(model=nn.Linear(1, 1))
    with pytest.raises(dist.CheckpointError, match=r"epoch \(int\) has no load_state_dict"):
        checkpointer.restore(epoch=3)
    with pytest.raises(TypeError, match="what can be saved is"):
        checkpointer.save(2, thing=object())


def test_going_on_with_other_shards_is_told(tmp_path: Path) -> None:
    checkpointer = dist.Checkpointer(tmp_path)
    parallel = dist.DataParallel(nn.Linear(1, 1), virtual_shards=2, seed=5)
    parallel.steps = 3
    checkpointer.save(1, model=parallel)
    other = dist.DataParallel(nn.Linear(1, 1), virtual_shards=4)
    with pytest.warns(UserWarning, match="virtual_shards was 2 and is 4"):
        checkpointer.restore(model=other)
    assert (other.steps, other.seed) == (3, 5)
    checkpointer.restore(model=dist.DataParallel(nn.Linear(1, 1)))
    checkpointer.save(2, model=nn.Linear(1, 1))
    with pytest.warns(UserWarning, match="made in the fast mode"):
        checkpointer.restore(model=other)


def test_parts_are_dealt_by_size_and_bound_to_their_manifest(tmp_path: Path) -> None:
    value = {"large": np.ones(100), "small": [np.zeros(3), np.ones(40)]}
    prepared = plan(value, 2)
    assert [list(part) for part in prepared.parts] == [["large"], ["small.1", "small.0"]]
    for number, names in enumerate(prepared.parts):
        write_part(tmp_path / f"part-{number}", {name: prepared.arrays[name] for name in names})
    write_manifest(tmp_path, ["part-0", "part-1"], prepared.structure, {})
    found = torch.load(tmp_path)
    np.testing.assert_array_equal(found["small"][1], np.ones(40))
    write_part(tmp_path / "part-1", {"small.0": np.ones(3), "small.1": np.ones(40)})
    with pytest.raises(RuntimeError, match="its part part-1 is of another save"):
        torch.load(tmp_path)
    (tmp_path / "part-0").unlink()
    with pytest.raises(RuntimeError, match="its part part-0 is missing"):
        torch.load(tmp_path)
