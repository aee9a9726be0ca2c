"""What is shown of a job: lines, JSON, the live picture, tables and endings."""

from __future__ import annotations

import io
import json
import math
from dataclasses import replace

import pytest
from rich.console import Console

from allgrad.server import Alert, Checkpoint, Event, Heartbeat, Job, JobSpec, JobState, Metrics, StateChanged
from allgrad.server.display.comparison import comparison_table
from allgrad.server.display.ending import ending, failing_rank
from allgrad.server.display.live import picture
from allgrad.server.display.progress import Progress
from allgrad.server.display.records import event_record, job_record
from allgrad.server.display.screens import describe, showing
from allgrad.server.display.tables import job_page, job_table

JOB = Job("j1", JobSpec(("/home/ada/train.py", "--lr", "0.1"), ranks=2), created=1000.0)
DONE = replace(JOB, state=JobState.SUCCEEDED, started=1001.0, finished=1009.5, exit_code=0, checkpoint="/out/best")


def drawn(progress: Progress, width: int = 80, height: int = 30, encoding: str = "utf-8") -> str:
    out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    console = Console(file=out, width=width, height=height, force_terminal=True, color_system=None)
    console.print(picture(progress, console))
    out.flush()
    out.seek(0)
    return out.read()


def trained(steps: int = 50) -> Progress:
    progress = Progress.of(JOB)
    progress.absorb(StateChanged(1, 1001.0, JobState.RUNNING))
    for step in range(steps):
        progress.absorb(Metrics(step + 2, 1002.0, step, {"loss": 1 / (1 + step), "accuracy": step / steps}))
    return progress


def test_events_sum_up_to_the_state_the_series_the_checkpoint_and_the_alerts() -> None:
    progress = trained(3)
    progress.absorb(Checkpoint(90, 1003.0, 2, "/out/best"))
    progress.absorb(Alert(91, 1003.0, "loss became NaN at step 2"))
    progress.absorb(Heartbeat(91, 1004.0))
    assert progress.state is JobState.RUNNING
    assert progress.step == 2
    assert progress.series["loss"].values == [1.0, 0.5, 1 / 3]
    assert progress.checkpoint == "/out/best"
    assert progress.alerts == ["loss became NaN at step 2"]
    assert progress.cursor == 91


def test_the_loss_gets_the_plot_and_without_one_the_first_series() -> None:
    progress = Progress.of(JOB)
    assert progress.main_series() == ""
    progress.absorb(Metrics(1, 0.0, 0, {"accuracy": 0.5, "train_loss": 0.7}))
    assert progress.main_series() == "train_loss"
    del progress.series["train_loss"]
    assert progress.main_series() == "accuracy"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (StateChanged(1, 0.0, JobState.QUEUED, "waits for 2 slots"), "queued: waits for 2 slots"),
        (StateChanged(1, 0.0, JobState.RUNNING), "running"),
        (StateChanged(1, 0.0, JobState.FAILED, "rank 1 failed"), ""),
        (Metrics(1, 0.0, 7, {"loss": 0.123456, "accuracy": 0.9}), "step 7  loss 0.1235  accuracy 0.9"),
        (Metrics(1, 0.0, 7, {"loss": math.nan}), "step 7  loss nan"),
        (Checkpoint(1, 0.0, 7, "/out/best"), "checkpoint at step 7: /out/best"),
        (Alert(1, 0.0, "loss became NaN"), "warning: loss became NaN"),
        (Metrics(1, 0.0, 7, {"\x1b[31mred\n": 1.0}), "step 7   [31mred  1"),
        (Alert(1, 0.0, "\x1b[31mred became NaN"), "warning:  [31mred became NaN"),
        (Heartbeat(1, 0.0), "queued"),
    ],
)
def test_each_kind_of_event_has_its_line(event: Event, line: str) -> None:
    progress = Progress.of(JOB)
    progress.absorb(event)
    assert describe(event, progress) == line


def test_the_reason_of_waiting_stays_until_the_job_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress.of(replace(JOB, reason="waits for 2 slots"))
    with showing(progress, as_json=False) as show:
        for event in (
            StateChanged(1, 0.0, JobState.QUEUED),
            Heartbeat(1, 1.0),
            StateChanged(2, 2.0, JobState.RUNNING),
        ):
            progress.absorb(event)
            show(event)
    assert capsys.readouterr().out.splitlines() == [
        "job j1: train.py on 2 ranks",
        "queued: waits for 2 slots",
        "running",
    ]


def test_json_records_are_one_line_of_strict_json() -> None:
    record = event_record(Metrics(5, 1.5, 7, {"loss": math.nan, "norm": math.inf}))
    assert "\n" not in record
    loaded = json.loads(record, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert loaded == {
        "event": "metrics", "cursor": 5, "time": 1.5, "step": 7, "values": {"loss": "NaN", "norm": "Infinity"}
    }  # fmt: skip
    job = json.loads(job_record(DONE))
    assert (job["id"], job["name"], job["state"], job["ranks"]) == ("j1", "train.py", "SUCCEEDED", 2)
    assert job["argv"] == ["/home/ada/train.py", "--lr", "0.1"]


@pytest.mark.parametrize("width", [20, 30, 40, 60, 80, 200])
@pytest.mark.parametrize("height", [5, 12, 24, 50])
def test_the_picture_fits_the_terminal(width: int, height: int) -> None:
    lines = drawn(trained(), width, height).rstrip("\n").split("\n")
    assert max(len(line) for line in lines) <= width
    assert len(lines) <= max(height, 5)


def test_the_picture_shows_state_values_course_and_plot() -> None:
    shown = drawn(trained())
    assert "running" in shown
    assert "train.py" in shown
    assert "0.02" in shown
    assert "▁" in shown
    assert "┤" in shown


def test_a_narrow_terminal_gets_values_without_a_plot() -> None:
    shown = drawn(trained(), width=34)
    assert "loss" in shown
    assert "┤" not in shown


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_terminal_without_unicode_gets_plain_characters(encoding: str) -> None:
    shown = drawn(trained(), encoding=encoding)
    assert "#" in shown
    assert shown.isascii()


def test_the_picture_tells_alerts_and_the_reason_of_waiting() -> None:
    progress = replace(trained(), reason="waits for 2 slots", alerts=["loss became NaN at step 2"])
    shown = drawn(progress)
    assert "waits for 2 slots" in shown
    assert "warning: loss became NaN at step 2" in shown


def test_an_ending_says_what_when_why_and_where() -> None:
    failed = replace(DONE, state=JobState.FAILED, exit_code=3, reason="rank 1 on ada exited with code 3")
    assert ending(failed).splitlines() == [
        "job j1 failed in 8.5 s with exit code 3",
        "  rank 1 on ada exited with code 3",
        "  checkpoint: /out/best",
    ]
    assert failing_rank(failed) == 1
    assert failing_rank(DONE) is None


def test_the_table_aligns_its_columns() -> None:
    head, *rows = job_table([DONE, replace(JOB, id="longer", reason="waits for 2 slots")])
    assert head.split()[0] == "JOB"
    column = head.index("STATE")
    assert [row[column:].split()[0] for row in rows] == ["succeeded", "queued"]


def test_what_a_user_named_cannot_steer_the_terminal() -> None:
    nasty = replace(JOB, spec=replace(JOB.spec, name="\x1b[2Jboo\r\n"))
    assert all(line.isprintable() for line in job_table([nasty]))
    assert all(line.isprintable() for line in job_page(nasty))
    progress = Progress.of(nasty)
    progress.absorb(Metrics(1, 0.0, 1, {"\x1b[2Jloss": 1.0}))
    progress.absorb(Alert(2, 0.0, "\x1b[2J"))
    assert "\x1b[2J" not in drawn(progress)
    assert "\x1b" not in ending(replace(DONE, state=JobState.FAILED, reason="rank 0: \x1b[2J"))
    assert "\x1b" not in "".join(comparison_table("\x1b[2J", ("a", "b"), {1: 0.5}, {1: 0.5}, 9))


def test_the_time_of_a_job_that_waits_or_is_paused_stands_still() -> None:
    running = replace(JOB, state=JobState.RUNNING, started=1001.0)
    waiting = [replace(running, state=state) for state in (JobState.PAUSED, JobState.QUEUED)]
    head, first, *others = job_table([running, *waiting])
    at = head.index("TIME")
    assert first[at].isdigit()
    assert [line[at:].split()[0] for line in others] == ["-", "-"]


def test_the_page_leaves_out_what_is_not_known() -> None:
    page = dict(line.split(maxsplit=1) for line in job_page(JOB))
    assert page["command"] == "/home/ada/train.py --lr 0.1"
    assert "finished" not in page
    assert "checkpoint" not in page
