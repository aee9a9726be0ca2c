"""Jobs named by the beginning of an id; what the shell completes; whose jobs are listed."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from itertools import pairwise, takewhile

import pytest

from .conftest import CommandLine


@pytest.fixture(scope="module")
def ids(server: CommandLine) -> Iterator[list[str]]:
    """The ids of more jobs than there are letters, so that two begin alike; none of them runs."""
    first = server("submit", "sleep", "600").stdout.strip()
    grid = f"n={','.join(map(str, range(33)))}"
    sweep = server("submit", "--after", first, "--grid", grid, "true").stdout.strip()
    yield [job["id"] for job in json.loads(server("sweep", sweep, "--json").stdout)["jobs"]]
    server("cancel", first)
    server("watch", first)


def alike(ids: list[str]) -> tuple[str, str]:
    """Two ids that begin alike."""
    return max(pairwise(sorted(ids)), key=lambda pair: len(shared_by(*pair)))


def shared_by(one: str, other: str) -> str:
    """The beginning that both have."""
    return "".join(letter for letter, _ in takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=True)))


def test_the_beginning_of_an_id_is_enough_where_no_other_begins_so(server: CommandLine, ids: list[str]) -> None:
    one, other = alike(ids)
    everyone = [json.loads(line)["id"] for line in server("list", "--json").stdout.splitlines()]
    short = one[: 1 + max(len(shared_by(one, each)) for each in everyone if each != one)]
    assert short != one
    assert server("show", short).stdout.split()[1] == one
    assert server("priority", short, "3").stdout.startswith(one)
    assert server("diff", short, other).stderr.startswith(f"allgrad: jobs {one} and {other} cannot be compared")
    both = server("pause", short, other)
    assert [line.split()[0] for line in both.stdout.splitlines()] == [one, other]
    after = json.loads(server("submit", "--after", short, "--after", one, "--json", "true").stdout)
    assert [need["job_id"] for need in after["after"]] == [one]


def test_the_beginning_of_several_ids_is_refused_with_some_of_them(server: CommandLine, ids: list[str]) -> None:
    one, other = alike(ids)
    shared = shared_by(one, other)
    for verb in (["show"], ["cancel", one], ["logs"], ["submit", "true", "--after"]):
        words = [verb[0], "--after", shared, "true"] if verb[0] == "submit" else [*verb, shared]
        refused = server(*words)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert f"job {shared!r} could be any of several" in refused.stderr
        assert "begin so; write more of its id" in refused.stderr
    assert json.loads(server("show", one, "--json").stdout)["state"] in ("QUEUED", "PAUSED")


def test_what_begins_no_id_is_an_unknown_job(server: CommandLine, ids: list[str]) -> None:
    unknown = server("show", "lll")  # no id has this letter
    assert (unknown.returncode, unknown.stdout) == (5, "")
    assert "no job 'lll'" in unknown.stderr
    assert server("show", "").returncode == 2


def completed(server: CommandLine, *words: str, **env: str) -> list[str]:
    """What bash is told to offer for the last of *words*."""
    asked = {
        "_ALLGRAD_COMPLETE": "bash_complete",
        "COMP_WORDS": " ".join(["allgrad", *words]),
        "COMP_CWORD": str(len(words)),
    }
    return [line.partition(",")[2] for line in server(**asked, **env).stdout.splitlines() if line]


def test_the_shell_completes_ids_of_jobs(server: CommandLine, ids: list[str]) -> None:
    one, other = alike(ids)
    shared = shared_by(one, other)
    assert {one, other} <= set(completed(server, "show", shared))
    assert completed(server, "cancel", one, other[:7]) == [other]
    assert completed(server, "submit", "--after", one[:7]) == [one]
    assert completed(server, "top", "--job", one[:7]) == [one]


def test_the_shell_is_offered_nothing_and_soon_where_no_server_answers(allgrad: CommandLine) -> None:
    assert completed(allgrad, "show", "a") == []
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        assert completed(allgrad, "show", "a", ALLGRAD_SERVER=address, ALLGRAD_TOKEN="any") == []
        assert time.monotonic() - began < 5


def test_jobs_are_listed_by_user_and_with_users_where_there_are_several(server: CommandLine) -> None:
    token = server("token", "create", "mia").stdout.strip()
    hers = server("submit", "true", ALLGRAD_TOKEN=token).stdout.strip()
    his = server("submit", "true").stdout.strip()
    head, *rows = server("list", "--limit", "2").stdout.splitlines()
    assert head.split()[:3] == ["JOB", "USER", "STATE"]
    assert [row.split()[:2] for row in rows] == [[his, "admin"], [hers, "mia"]]
    for arguments, token_given in ((("--user", "mia"), ""), (("--me",), token)):
        head, *rows = server("list", *arguments, ALLGRAD_TOKEN=token_given).stdout.splitlines()
        assert head.split()[:2] == ["JOB", "STATE"]
        assert [row.split()[0] for row in rows] == [hers]
    assert hers not in server("list", "--me").stdout
    assert server("list", "--user", "nobody").stderr == "no jobs match\n"
    assert server("list", "--me", "--user", "mia").returncode == 2
