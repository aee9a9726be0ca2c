"""``allgrad top`` shows slots, jobs, losses and a log, never more than the terminal has room for."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from allgrad.server import Job, JobSpec, JobState, Metrics, ServerInfo
from allgrad.server.display.overview import Overview, screen
from allgrad.server.display.progress import Progress


def shown(overview: Overview, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, color_system=None)
    with console.capture() as captured:
        console.print(screen(overview, console))
    return captured.get().splitlines()


@pytest.fixture
def overview() -> Overview:
    jobs = [Job(f"job{number}", JobSpec(("train.py",)), JobState.QUEUED, "waits") for number in range(40)]
    jobs[0] = Job("first", JobSpec(("train.py",), ranks=2), JobState.RUNNING, started=1.0)
    progress = Progress.of(jobs[0])
    for step in range(1, 9):
        progress.absorb(Metrics(step, 0.0, step, {"loss": 1 / step}))
    made = Overview(ServerInfo("1", 4, 2, "3", 0.0, "", 0, 39, 1), jobs, {"first": progress}, "first")
    made.log.extend(f"line {number}\x1b[2J" for number in range(100))
    return made


def test_the_losses_of_running_jobs_and_the_end_of_a_log_are_shown(overview: Overview) -> None:
    lines = shown(overview, 100, 30)
    assert "2 of 4 slots in use  1 running, 39 queued" in lines[0]
    assert lines[2].split()[:4] == ["first", "running", "train.py", "2"]
    assert "0.125" in lines[2]
    assert "█" in lines[2]
    assert any("line 99" in line for line in lines)
    assert not any("\x1b" in line for line in lines)


@pytest.mark.parametrize(("width", "height"), [(100, 30), (40, 12), (20, 8)])
def test_the_screen_holds_all_that_is_drawn(overview: Overview, width: int, height: int) -> None:
    lines = shown(overview, width, height)
    assert len(lines) <= height
    assert max(map(len, lines)) <= width


@pytest.mark.parametrize("width", [40, 50, 80])
def test_a_jobs_id_is_shown_whole_however_narrow_the_terminal(overview: Overview, width: int) -> None:
    overview.jobs = [Job("h7k3q0zm", JobSpec(("train.py",), name="a rather long name"), JobState.SUCCEEDED)]
    assert shown(overview, width, 12)[2].split()[0] == "h7k3q0zm"


@pytest.mark.parametrize("number", [0, 3, 20, 39])
def test_the_job_whose_log_is_shown_is_always_among_those_that_are(overview: Overview, number: int) -> None:
    overview.shown = overview.jobs[number].id
    lines = shown(overview, 100, 20)
    assert any(line.split()[:1] == [overview.shown] for line in lines)
    assert any(f"log of {overview.shown}" in line for line in lines)
    assert len(lines) <= 20
