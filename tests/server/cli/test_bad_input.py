"""What a new user gets wrong, and what the command line says then: an exit code, one line, no traceback."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path

import pytest

from .conftest import CommandLine, serving


def complaint(client: CommandLine, code: int, *arguments: str, **env: str) -> str:
    """The one line on standard error of a command that ends with *code* and prints nothing else."""
    done = client(*arguments, **env)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("allgrad: ")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


@pytest.mark.parametrize("arguments", ["nonsense", "submit", "list --nonsense", "submit -n 0 x.py", "cancel"])
def test_wrong_usage_points_to_the_help(allgrad: CommandLine, arguments: str) -> None:
    assert "--help" in complaint(allgrad, 2, *arguments.split())


@pytest.mark.parametrize(
    "arguments",
    [
        "submit -n 9999999999 true",
        "submit --hosts a:9999999999 true",
        "submit --retries 9999999999 true",
        "submit --retries \N{SUPERSCRIPT TWO} true",
        "submit --max-runtime 99999999999999999d true",
        "submit --grid a=1 --max-parallel 9999999999 true",
        "logs --tail 0 j",
        "list --limit 99999999999999999999",
        "logs --tail 9999999999 j",
        "logs --attempt 9999999999 j",
        "watch --from 99999999999999999999 j",
        "quota ben --slots 9999999999",
        "serve --slots 9999999999",
        "serve --grace nan",
        "show \udcff",
        "list --name \udcff",
        "token create \udcff",
    ],
)
def test_what_cannot_be_sent_is_wrong_usage_and_no_internal_error(server: CommandLine, arguments: str) -> None:
    assert "internal error" not in complaint(server, 2, *arguments.split())


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        ("serve --home=", "--home"),
        ("serve --run-as-command=", "--run-as-command"),
        ("serve --run-as-folder=", "--run-as-folder"),
        ("serve --tls-cert= --tls-key=", "--tls-cert"),
        ("list --home=", "--home"),
        ("list --server=", "--server"),
        ("list --sweep=", "--sweep"),
        ("submit --workdir= true", "--workdir"),
        ("submit --request-id= true", "--request-id"),
        ("run --hosts= true", "--hosts"),
    ],
)
def test_an_option_that_an_unset_variable_has_left_empty_is_refused(
    allgrad: CommandLine, arguments: str, option: str
) -> None:
    said = complaint(allgrad, 2, *arguments.split())
    assert f"Invalid value for '{option}': it is empty: give it a value, or leave it away" in said
    assert list(allgrad.folder.iterdir()) == []


@pytest.mark.parametrize("option", ["--tls-ca", "--tls-cert", "--tls-key"])
@pytest.mark.parametrize("server", [[], ["--server", "127.0.0.1:1"]])
def test_a_file_for_tls_that_is_not_there_is_named_whatever_the_address(
    allgrad: CommandLine, option: str, server: list[str]
) -> None:
    said = complaint(allgrad, 2, "list", *server, option, "nosuch.pem", ALLGRAD_TOKEN="any")
    assert f"Invalid value for '{option}': File 'nosuch.pem' does not exist" in said


@pytest.mark.parametrize("token", ["\N{LATIN SMALL LETTER U WITH DIAERESIS}", "two\nlines"])
def test_a_token_that_cannot_be_sent_is_told_from_a_wrong_one(server: CommandLine, token: str, tmp_path: Path) -> None:
    said = complaint(server, 4, "list", ALLGRAD_TOKEN=token)
    assert "cannot be sent; the one given has characters that no token has; copy it again" in said
    (tmp_path / "token").write_text(token, encoding="utf-8")
    address = json.loads((server.folder / "home" / "server.json").read_text())["address"]
    assert f"{tmp_path / 'token'} has characters" in complaint(
        server, 4, "list", "--server", address, "--home", str(tmp_path)
    )


def test_an_empty_environment_variable_counts_as_none(allgrad: CommandLine, tmp_path: Path) -> None:
    home = tmp_path / "user"
    said = complaint(allgrad, 3, "list", ALLGRAD_HOME="", ALLGRAD_SERVER="", ALLGRAD_TOKEN="", HOME=str(home))
    assert f"no server has written its address into {home / '.allgrad'}" in said


@pytest.mark.parametrize("verb", ["list", "show j", "watch j", "logs j", "cancel j", "submit true"])
def test_without_a_server_every_verb_says_how_to_start_one(allgrad: CommandLine, verb: str) -> None:
    assert "allgrad serve" in complaint(allgrad, 3, *verb.split())


def test_an_address_where_nothing_answers_is_named(allgrad: CommandLine) -> None:
    said = complaint(allgrad, 3, "list", "--server", "127.0.0.1:1", ALLGRAD_TOKEN="any")
    assert "127.0.0.1:1" in said
    assert "allgrad serve" in said


@pytest.mark.parametrize("address", ["trainer", ":", "http://trainer:7447", "trainer:http", "trainer:0", "::1"])
def test_an_address_without_host_and_port_is_wrong_usage(allgrad: CommandLine, address: str) -> None:
    said = complaint(allgrad, 2, "list", "--server", address, ALLGRAD_TOKEN="any")
    assert f"cannot use the server address {address!r}; write HOST:PORT" in said


def test_a_server_whose_metrics_port_is_taken_ends_with_one_line_and_leaves_no_address(allgrad: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = allgrad("serve", "--port", "0", "--metrics-port", str(taken.getsockname()[1]))
    assert done.returncode == 2
    assert done.stderr.startswith("allgrad: cannot serve metrics at ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert not (allgrad.folder / "home" / "server.json").exists()


@pytest.mark.parametrize("verb", ["show", "watch", "logs", "cancel"])
def test_an_unknown_job_is_not_found(server: CommandLine, verb: str) -> None:
    assert "nosuchjob" in complaint(server, 5, verb, "nosuchjob")


def test_more_ranks_than_slots_are_refused_with_the_fix(server: CommandLine) -> None:
    server.script("train.py", "")
    said = complaint(server, 2, "submit", "-n", "5", "train.py")
    assert "2 slots" in said
    assert "--slots 5" in said
    assert server("list").stdout == ""


def test_a_list_without_entries_says_so_on_standard_error_alone(allgrad: CommandLine) -> None:
    with serving(allgrad):
        for arguments, said in {
            ("list",): "no jobs; submit one with: allgrad submit SCRIPT\n",
            ("list", "--state", "running"): "no jobs match\n",
            ("list", "--since", "1h"): "no jobs match\n",
            ("sweeps",): "no sweeps; make one with: allgrad submit --grid NAME=A,B SCRIPT\n",
            ("quota",): "no quotas: each user may have all that there is\n",
        }.items():
            listed = allgrad(*arguments)
            assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", said)
            listed = allgrad(*arguments, "--json")
            assert (listed.returncode, listed.stdout, listed.stderr) == (0, "", "")


@pytest.mark.parametrize("options", [[], ["--json"], ["--state", "failed"]])
def test_the_jobs_of_an_unknown_sweep_are_not_none_but_an_error(server: CommandLine, options: list[str]) -> None:
    assert "no sweep 'nosuch'; the server has none of that id" in complaint(
        server, 5, "list", "--sweep", "nosuch", *options
    )


def test_a_missing_script_is_refused_before_anything_is_submitted(server: CommandLine) -> None:
    assert "script not found: nosuch.py" in complaint(server, 2, "submit", "nosuch.py")
    assert server("list").stdout == ""


@pytest.mark.parametrize("path", ["/dev/zero", "/dev/fd/0"])
def test_a_checkpoint_that_is_no_plain_file_is_refused_at_once(server: CommandLine, path: str) -> None:
    assert f"cannot upload {path}; it is no plain file" in complaint(server, 2, "submit", "--resume", path, "true")


@pytest.mark.parametrize("setting", ["NOT_SET_ANYWHERE", "=value"])
def test_a_variable_that_is_not_there_is_refused(server: CommandLine, setting: str) -> None:
    assert "KEY=VALUE" in complaint(server, 2, "submit", "--env", setting, "true")


def test_a_wrong_token_is_refused(server: CommandLine) -> None:
    assert "token" in complaint(server, 4, "list", ALLGRAD_TOKEN="wrong")


def test_a_missing_token_is_refused(server: CommandLine, tmp_path: Path) -> None:
    address = json.loads((server.folder / "home" / "server.json").read_text())["address"]
    said = complaint(server, 4, "list", "--server", address, "--home", str(tmp_path / "elsewhere"))
    assert "ALLGRAD_TOKEN" in said


def test_a_taken_port_is_refused(allgrad: CommandLine) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        said = complaint(allgrad, 2, "serve", "--port", str(taken.getsockname()[1]))
    assert "the port is taken" in said
    assert "--port" in said


def test_the_port_of_another_server_is_refused(server: CommandLine, tmp_path: Path) -> None:
    port = json.loads((server.folder / "home" / "server.json").read_text())["address"].rpartition(":")[2]
    said = complaint(server, 2, "serve", "--port", port, "--home", str(tmp_path / "other"))
    assert "the port is taken" in said


def test_a_backup_of_nothing_is_wrong_usage_and_a_damaged_one_is_not(allgrad: CommandLine) -> None:
    assert "no server has ever run there" in complaint(allgrad, 2, "backup", "new.zip")
    assert "there is no such file" in complaint(allgrad, 2, "restore", "new.zip")
    allgrad.script("new.zip", "no backup")
    assert "it is no whole backup" in complaint(allgrad, 1, "restore", "new.zip")


def test_a_second_server_on_the_same_folder_is_refused(server: CommandLine) -> None:
    assert "another folder" in complaint(server, 2, "serve", "--port", "0")


def test_a_server_for_the_whole_network_is_refused(allgrad: CommandLine) -> None:
    assert "127.0.0.1" in complaint(allgrad, 2, "serve", "--host", "0.0.0.0", "--port", "0")


def test_a_server_that_has_stopped_is_said_to_be_gone(allgrad: CommandLine) -> None:
    with serving(allgrad) as process:
        assert allgrad("list").returncode == 0
    assert process.returncode == 0
    assert "allgrad serve" in complaint(allgrad, 3, "list")


def test_following_goes_on_when_the_server_is_killed_and_started_again(allgrad: CommandLine) -> None:
    allgrad.script("wait.py", "import pathlib, time\nwhile not pathlib.Path('go').exists(): time.sleep(0.02)")
    with serving(allgrad) as first:
        following = allgrad.start("submit", "--follow", "wait.py")
        assert following.stdout is not None
        while "running" not in following.stdout.readline():
            assert following.poll() is None
        first.kill()
        first.wait()
        time.sleep(0.2)
    with serving(allgrad):
        (allgrad.folder / "go").touch()
        rest, _ = following.communicate(timeout=60)
    assert following.returncode == 0, rest
    assert "succeeded" in rest
