"""Configuration by file, environment and flag, in the order that docs/configuration.md states; completion; diff."""

from __future__ import annotations

import json

import pytest

from .conftest import CommandLine

REPORT = """import os, sys, zlib
with open(os.environ["ALLGRAD_RUN_DIR"] + "/journal.jsonl", "a") as journal:
    for step in range(1, 6):
        body = f'{{"seq":{step},"time":1.0,"kind":"metrics","step":{step},"values":{{"loss":{float(sys.argv[1]) / step}}}'
        journal.write(f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}' + chr(10))
"""


def test_a_flag_wins_over_the_environment_and_that_over_the_file(allgrad: CommandLine) -> None:
    file = allgrad.script("config.toml", 'server = "127.0.0.1:1"\n')
    config = {"ALLGRAD_CONFIG": str(file), "ALLGRAD_TOKEN": "token"}
    assert "127.0.0.1:1;" in allgrad("list", **config).stderr
    assert "127.0.0.1:2;" in allgrad("list", ALLGRAD_SERVER="127.0.0.1:2", **config).stderr
    assert "127.0.0.1:3;" in allgrad("list", "--server", "127.0.0.1:3", ALLGRAD_SERVER="127.0.0.1:2", **config).stderr


def test_the_file_gives_the_options_of_each_verb(server: CommandLine) -> None:
    file = server.script("config.toml", '[submit]\nname = "from-file"\nranks = 2\n[list]\nlimit = 1\n')
    for _ in range(2):
        assert server("submit", "--ranks", "1", "true", ALLGRAD_CONFIG=str(file)).returncode == 0
    listed = server("list", "--json", ALLGRAD_CONFIG=str(file)).stdout.splitlines()
    assert [(job["name"], job["ranks"]) for job in map(json.loads, listed)] == [("from-file", 1)]


def test_the_file_names_options_as_the_command_line_does(server: CommandLine) -> None:
    file = server.script("config.toml", '[submit]\nlabel = ["team=file"]\nmax-runtime = 60\njson = true\n')
    job = json.loads(server("submit", "true", ALLGRAD_CONFIG=str(file)).stdout)
    assert (job["labels"], job["max_runtime"]) == ({"team": "file"}, 60.0)
    file.write_text('[list]\nstate = ["queued", "running"]\n[submit]\nfollow = true\n')
    assert "succeeded" in server("submit", "true", ALLGRAD_CONFIG=str(file)).stdout
    assert server("list", "--label", "team=file", ALLGRAD_CONFIG=str(file)).stdout == ""


def test_a_file_that_is_named_and_not_there_is_told_and_a_home_that_is_none_has_none(allgrad: CommandLine) -> None:
    done = allgrad("completion", "bash", ALLGRAD_CONFIG="nosuch.toml")
    assert done.returncode == 2
    assert done.stderr.startswith("allgrad: cannot read nosuch.toml; there is no such file; ")
    assert allgrad("completion", "bash", HOME="/dev/null", XDG_CONFIG_HOME="").returncode == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sevrer = 'x'", "'sevrer' is not known; there are home, server"),
        ("token = 'secret'", "'token' is not known"),
        ("[submitt]", "'submitt' is not known"),
        ("[submit]\nrnaks = 2", "'rnaks' in [submit] is not known"),
        ("[submit]\ntoken = 'secret'", "'token' in [submit] is not known; there are after, after_any"),
        ("[submit]\nenv = 'A=1'", "'env' in [submit] is a list; it says 'A=1'; write env = ['A=1']"),
        ("[submit]\nranks = [2]", "'ranks' in [submit] is no single value; it says [2]; write ranks = VALUE"),
        ("[submit]\nname = {a = 1}", "'name' in [submit] is no single value"),
        ("[submit]\nenv = [['A=1']]", "'env' in [submit] is no single value"),
        ("[token]\ncreate = 3", "'token.create' is a table of options; it says 3; write [token.create], and below it"),
        ("submit = 3", "'submit' is a table of options; it says 3; write [submit], and below it NAME = VALUE"),
        ("home = 3", "'home' is a text; it says 3; write home = \"TEXT\""),
        ("[submit]\nworkdir = 3", "Invalid value for '--workdir': 3 is no path"),
        ("[token.crate]", "'crate' in [token] is not known"),
        ("= 3", "it is a TOML file"),
    ],
)
def test_a_mistake_in_the_file_is_told(allgrad: CommandLine, text: str, said: str) -> None:
    done = allgrad("submit", "true", ALLGRAD_CONFIG=str(allgrad.script("config.toml", text)))
    assert done.returncode == 2
    assert said in done.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_get_what_completes_verbs(allgrad: CommandLine, shell: str) -> None:
    assert f"_ALLGRAD_COMPLETE={shell}_complete" in allgrad("completion", shell).stdout
    asked = {"_ALLGRAD_COMPLETE": "bash_complete", "COMP_WORDS": "allgrad sub", "COMP_CWORD": "1"}
    assert allgrad(**asked).stdout == "plain,submit\n"


def test_two_jobs_are_compared_step_by_step(server: CommandLine) -> None:
    script = str(server.script("report.py", REPORT))
    for factor in ("1", "2"):
        assert server("submit", "--follow", script, factor).returncode == 0
    second, first = (json.loads(line)["id"] for line in server("list", "--json", "--limit", "2").stdout.splitlines())
    lines = server("diff", first, second, "--rows", "2").stdout.splitlines()
    assert lines[0].split() == ["STEP", "loss", "OF", first, "OF", second, "DIFFERENCE"]
    assert [line.split() for line in lines[1:3]] == [["1", "1", "2", "+1"], ["5", "0.2", "0.4", "+0.2"]]
    assert lines[3] == "5 steps in common, 0 equal; largest difference 1"
    records = [json.loads(line) for line in server("diff", "--json", first, second).stdout.splitlines()]
    assert records[0] == {"series": "loss", "step": 1, "first": 1.0, "second": 2.0}
    refused = server("diff", first, second, "--series", "accuracy")
    assert refused.returncode == 2
    assert "both have loss" in refused.stderr
