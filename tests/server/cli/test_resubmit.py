"""``allgrad resubmit``: a job once more, as it was submitted."""

from __future__ import annotations

import json

from .conftest import CommandLine

SPEC = (
    "argv",
    "ranks",
    "name",
    "env",
    "workdir",
    "archive",
    "labels",
    "retries",
    "max_runtime",
    "checkpoint_policy",
    "threads",
)


def test_a_job_is_submitted_once_more_with_all_that_it_had(server: CommandLine) -> None:
    work = server.folder / "work"
    work.mkdir()
    (work / "train.py").write_text("import os, sys; print(sys.argv[1:], os.environ['A'], 'words' in os.listdir())")
    (work / "words").touch()
    options = [
        *("--workdir", "work", "-n", "2", "--env", "A=1=2", "--label", "team=vision", "--retries", "oom=2"),
        *("--max-runtime", "1h", "--preemptible", "--priority", "3", "--name", "first", "--threads", "1"),
    ]
    first = json.loads(server("submit", "--json", *options, "work/train.py", "--lr", "0.1").stdout)
    server("wait", first["id"])
    (work / "words").unlink()  # what was uploaded counts
    done = server("resubmit", first["id"][:7], "--follow")
    assert done.returncode == 0, done.stderr
    assert "['--lr', '0.1'] 1=2 True" in done.stdout
    again = json.loads(server("list", "--json", "--limit", "1").stdout)
    assert again["id"] != first["id"]
    assert {name: again[name] for name in SPEC} == {name: first[name] for name in SPEC}
    assert again["priority"] == 3
    plain = server("resubmit", first["id"])
    assert (plain.returncode, plain.stderr) == (0, "")
    assert server("wait", plain.stdout.strip()).returncode == 0


def test_a_job_of_a_sweep_is_submitted_once_more_by_itself_and_as_the_callers(server: CommandLine) -> None:
    sweep = server("submit", "--grid", "lr=0.1,0.2", "true").stdout.strip()
    job = json.loads(server("sweep", sweep, "--json").stdout)["jobs"][1]["id"]
    token = server("token", "create", "mia").stdout.strip()
    again = json.loads(server("resubmit", "--json", job, ALLGRAD_TOKEN=token).stdout)
    assert (again["sweep"], again["owner"], again["labels"]) == ("", "mia", {"lr": "0.2", "sweep": sweep})
    assert again["argv"][1:] == ["--lr", "0.2"]
    assert server("resubmit", "nosuchjob").returncode == 5
    server("cancel", "--all", "--yes")
