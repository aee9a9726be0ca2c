"""``allgrad submit`` with all its policies, and ``list``, ``why``, ``pause``, ``resume``, ``priority``, ``delete``, ``sweep``."""

from __future__ import annotations

import json
from typing import Any

import pytest

from allgrad.server.cli.lifetimes import Span

from .conftest import CommandLine


def record(text: str) -> dict[str, Any]:
    (line,) = text.splitlines()
    found: dict[str, Any] = json.loads(line)
    return found


def submitted(server: CommandLine, *arguments: str) -> str:
    done = server("submit", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--max-parallel", "2"), "cannot use --max-parallel; it is for a sweep"),
        (("--stop-early", "loss"), "cannot use --stop-early; it is for a sweep"),
        (("--stop-after", "1"), "cannot use --stop-after; it is for a sweep"),
        (("--grid", "lr=0.1", "--grid", "lr=0.2"), "names a parameter twice"),
        (("--grid", "lr="), "cannot use --grid lr=; a value in it is empty; write NAME=A,B, as in: --grid lr=0.1,0.01"),
        (("--grid", "lr=0.1,,0.2"), "cannot use --grid lr=0.1,,0.2; a value in it is empty"),
        (("--backoff", "1m"), "cannot use --backoff; nothing is tried again; say how often, as in: --retries 3"),
    ],
)
def test_options_that_would_be_left_aside_are_refused(server: CommandLine, options: tuple[str, ...], says: str) -> None:
    before = server("list", "--json").stdout
    refused = server("submit", *options, "true")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert says in refused.stderr
    assert server("list", "--json").stdout == before


def test_options_in_the_configuration_that_need_others_leave_single_jobs_alone(server: CommandLine) -> None:
    file = server.script("sweeps.toml", "[submit]\nmax_parallel = 2\nbackoff = 60\n")
    assert server("submit", "true", ALLGRAD_CONFIG=str(file)).returncode == 0


@pytest.mark.parametrize("verb", ["cancel", "delete", "pause"])
def test_a_job_with_which_it_cannot_be_done_does_not_hold_up_the_others(server: CommandLine, verb: str) -> None:
    first, last = (submitted(server, "sleep", "60") for _ in range(2))
    if verb == "delete":
        server("cancel", first, last)
        for job in (first, last):
            server("watch", job)
    done = server(verb, first, "nosuchjob", last)
    assert done.returncode == 5
    assert done.stderr == "allgrad: no job 'nosuchjob'; the server has none of that id; see: allgrad list\n"
    assert [line.split()[0] for line in done.stdout.splitlines()] == [first, last]
    server("cancel", first, last)


def test_every_policy_reaches_the_server(server: CommandLine) -> None:
    first = submitted(server, "true")
    server("watch", first)
    told = server(
        *(
            "submit",
            "--json",
            "--priority",
            "-3",
            "--after",
            first,
            "--after",
            first,
            "--after-any",
            first,
            "--retries",
            "2",
        ),
        *("--retries", "oom=0", "--backoff", "5", "--max-runtime", "1.5h", "--threads", "1", "--label", "team=vision"),
        *("--preemptible", "--stop-grace", "2m", "--checkpoint-every", "1h", "--env", "GREETING=two words", "true"),
    )
    job = record(told.stdout)
    assert job["priority"] == -3
    assert [need["condition"] for need in job["after"]] == ["success", "end"]
    assert [(rule["kind"], rule["limit"], rule["backoff"]) for rule in job["retries"]] == [
        (None, 2, 5.0),
        ("oom", 0, 5.0),
    ]
    assert (job["max_runtime"], job["threads"], job["labels"]) == (5400.0, 1, {"team": "vision"})
    assert job["checkpoint_policy"] == {"preemptible": True, "grace": 120.0, "interval": 3600.0}
    assert server("watch", job["id"]).returncode == 0
    page = {line[:13].rstrip(): line[13:] for line in server("show", job["id"]).stdout.splitlines()}
    assert (page["after"], page["after any"], page["retries"]) == (first, first, "2, oom=0")
    assert (page["max runtime"], page["stop grace"], page["checkpoints"]) == ("1 h 30 min", "2 min 0 s", "1 h 0 min")
    assert (page["labels"], page["preemptible"], page["environment"]) == ("team=vision", "yes", "'GREETING=two words'")
    assert page["folder"] == str(server.folder)
    assert server("list", "--label", "team=vision", "--state", "succeeded").stdout.count(job["id"]) == 1
    assert job["id"] not in server("list", "--label", "!team").stdout


def test_a_job_is_paused_explained_raised_resumed_and_deleted(server: CommandLine) -> None:
    job = submitted(server, "sleep", "60")
    assert server("pause", job).stdout.split()[0] == job
    server("pause", job)
    done = server("why", job)
    assert "allgrad resume" in done.stdout or "stopping" in done.stdout
    assert record(server("priority", job, "-5", "--json").stdout)["priority"] == -5
    assert server("resume", job).returncode == 0
    refused = server("delete", job)
    assert refused.returncode == 2
    assert f"first: allgrad cancel {job}" in refused.stderr
    server("cancel", job)
    server("watch", job)
    assert record(server("why", job, "--json").stdout)["causes"] == []
    assert server("delete", job).stdout == f"{job} deleted\n"
    assert server("show", job).returncode == 5


def test_a_grid_makes_a_sweep(server: CommandLine) -> None:
    grid = ["--grid", "lr=0.1,0.01", "--grid", "depth=2", "--max-parallel", "1", "--stop-early", "-accuracy"]
    sweep = submitted(server, *grid, "sh", "-c", "echo {lr}")
    found = record(server("sweep", sweep, "--json").stdout)
    assert found["grid"] == {"lr": ["0.1", "0.01"], "depth": ["2"]}
    for job in found["jobs"]:
        server("watch", job["id"])
    table = server("sweep", sweep).stdout.splitlines()
    assert [line.split()[1] for line in table[1:]] == ["succeeded", "succeeded"]
    assert "lr=0.1,0.01 depth=2" in server("sweeps").stdout
    assert server("sweep", sweep, "--cancel").returncode == 0
    listed = server("list", "--sweep", sweep, "--state", "running")
    assert (listed.returncode, listed.stderr) == (0, "no jobs match\n")
    assert server("submit", "--follow", *grid, "true").returncode == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--retries", "cosmic=2"], "kinds are exit, signal, oom, lost, timeout"),
        (["--max-runtime", "soon"], "write 90, 90s, 15m, 2h or 7d"),
        (["--label", "vision"], "write KEY=VALUE"),
        (["--priority", "101"], "-100<=x<=100"),
        (["--after", "nonsense"], "there is no such job"),
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(server: CommandLine, arguments: list[str], says: str) -> None:
    done = server("submit", *arguments, "true")
    assert done.returncode == 2
    assert says in done.stderr


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("15 m", 900), ("2h", 7200), ("0.5d", 43200)])
def test_lengths_of_time_have_units(text: str, seconds: float) -> None:
    assert Span().convert(text, None, None) == seconds
