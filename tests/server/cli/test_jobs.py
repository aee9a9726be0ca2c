"""``allgrad submit``, ``list``, ``show``, ``cancel``, ``watch`` and ``logs`` against a real server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from .conftest import CommandLine

Living = Callable[[Path], Sequence[str]]

JOURNAL = """
import json, math, os, sys, time, zlib
def record(seq, kind, **what):
    body = json.dumps({"seq": seq, "time": time.time(), "kind": kind, **what}, separators=(",", ":"))[:-1]
    return f'{body},"crc":"{zlib.crc32(body.encode()):08x}"}}\\n'.encode()
journal = os.open(os.environ["ALLGRAD_RUN_DIR"] + "/journal.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
if int(os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK", 0))):
    sys.exit()
for step in range(5):
    loss = "NaN" if step == 3 and "nan" in sys.argv else 1 / (1 + step)
    os.write(journal, record(step + 1, "metrics", step=step, values={"loss": loss}))
checkpoint = os.environ["ALLGRAD_OUTPUT_DIR"] + "/best"
os.write(journal, record(6, "checkpoint", step=4, path=checkpoint))
print("trained")
"""

RANK = """
import os, sys, time
rank = int(os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK", 0)))
"""


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def submitted(server: CommandLine, *arguments: str) -> str:
    done = server("submit", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ended(server: CommandLine, job: str) -> dict[str, Any]:
    server("watch", job)
    return records(server("show", job, "--json").stdout)[0]


def test_submit_prints_nothing_but_the_id(server: CommandLine) -> None:
    server.script("quick.py", "print('quick')")
    done = server("submit", "quick.py")
    assert done.returncode == 0
    assert done.stdout.strip().isalnum()
    assert done.stderr == ""


def test_arguments_environment_name_and_folder_reach_the_job(server: CommandLine) -> None:
    said = "sys.argv[1:], os.environ['A'], os.environ['B'], os.getcwd()"
    server.script("args.py", f"import os, sys; print({said})")
    options = ["--name", "first", "--env", "A=1=2", "--env", "B"]
    done = server("submit", "--follow", *options, "args.py", "--lr", "0.1", "-n", "7", B="passed on")
    assert done.returncode == 0
    assert f"['--lr', '0.1', '-n', '7'] 1=2 passed on {server.folder}" in done.stdout
    assert ": first on 1 rank" in done.stdout


def test_a_script_for_torch_runs_as_it_is(server: CommandLine) -> None:
    server.script("own.py", "import torch; print(torch.arange(3))")
    done = server("submit", "--follow", "--as-torch", "own.py")
    assert done.returncode == 0
    assert "tensor([0, 1, 2])" in done.stdout


def test_follow_shows_states_losses_and_the_checkpoint(server: CommandLine) -> None:
    server.script("train.py", JOURNAL)
    done = server("submit", "-n", "2", "--follow", "train.py")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert "running" in lines
    assert [line for line in lines if line.startswith("step")] == [
        "step 0  loss 1", "step 1  loss 0.5", "step 2  loss 0.3333", "step 3  loss 0.25", "step 4  loss 0.2"
    ]  # fmt: skip
    assert " succeeded in " in lines[-2]
    assert lines[-1].startswith("  checkpoint: ")
    assert lines[-1].endswith("/output/best")


def test_follow_as_json_is_one_event_a_line_with_rising_cursors(server: CommandLine) -> None:
    server.script("train.py", JOURNAL)
    events = records(server("submit", "--follow", "--json", "train.py").stdout)
    cursors = [event["cursor"] for event in events]
    assert cursors == sorted(set(cursors))
    assert {event["event"] for event in events} == {"state", "metrics", "checkpoint"}
    assert events[-1]["state"] == "SUCCEEDED"


def test_watching_from_a_cursor_continues_after_it(server: CommandLine) -> None:
    server.script("train.py", JOURNAL)
    job = submitted(server, "train.py")
    whole = records(server("watch", job, "--json").stdout)
    rest = records(server("watch", job, "--json", "--from", str(whole[3]["cursor"])).stdout)
    assert rest == whole[4:]


def test_a_loss_that_is_not_a_number_is_told_and_the_job_goes_on(server: CommandLine) -> None:
    server.script("train.py", JOURNAL)
    done = server("submit", "--follow", "train.py", "nan")
    assert done.returncode == 0
    assert "warning: " in done.stdout
    assert "step 3  loss nan" in done.stdout
    assert "step 4" in done.stdout


@pytest.mark.parametrize(
    ("ending", "code", "told"),
    [
        ("raise ValueError('no such luck')", 1, "ValueError: no such luck"),
        ("sys.exit(3)", 3, "exit code 3"),
        ("os.kill(os.getpid(), 9)", 137, "signal 9"),
    ],
)
@pytest.mark.parametrize("ranks", ["1", "2"])
def test_follow_exits_with_the_jobs_code_and_says_why(
    server: CommandLine, processes_of: Living, ranks: str, ending: str, code: int, told: str
) -> None:
    last = int(ranks) - 1
    server.script("fail.py", RANK + f"print('at work', rank)\nif rank == {last}: {ending}\ntime.sleep(600)")
    done = server("submit", "-n", ranks, "--follow", "fail.py")
    assert done.returncode == code
    assert told in done.stdout
    assert f"at work {last}" in done.stderr
    assert processes_of(server.folder / "fail.py") == []


def test_the_tail_of_a_failure_is_short_however_much_was_printed(server: CommandLine) -> None:
    server.script("flood.py", "for i in range(200_000): print('line', i)\nraise ValueError('after all that')")
    done = server("submit", "--follow", "flood.py")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) < 30
    assert "ValueError: after all that" in done.stderr


def test_a_background_child_does_not_keep_the_job(server: CommandLine, processes_of: Living) -> None:
    server.script("child.py", "import subprocess; subprocess.Popen(['setsid', 'sleep', '300'])")
    assert server("submit", "-n", "2", "--follow", "child.py").returncode == 0
    assert [process for process in processes_of(server.folder) if "sleep" in process] == []


def test_ctrl_c_cancels_a_followed_job_and_says_so(server: CommandLine, processes_of: Living) -> None:
    server.script("long.py", "import time; time.sleep(600)")
    following = server.start("submit", "-n", "2", "--follow", "long.py")
    job = wait_for(following, "running")
    following.send_signal(signal.SIGINT)
    rest, _ = following.communicate(timeout=60)
    assert following.returncode == 130
    assert f"allgrad: cancelling job {job}" in rest
    assert f"job {job} cancelled" in rest
    assert ended(server, job)["state"] == "CANCELLED"
    assert processes_of(server.folder / "long.py") == []


@pytest.mark.parametrize("verb", [["watch"], ["logs", "-f"]])
def test_ctrl_c_stops_looking_and_leaves_the_job_alone(server: CommandLine, verb: list[str]) -> None:
    server.script("long.py", "import time; print('up'); time.sleep(600)")
    job = submitted(server, "long.py")
    looking = server.start(*verb, job)
    wait_for(looking, "up" if verb[0] == "logs" else "running")
    looking.send_signal(signal.SIGINT)
    rest, _ = looking.communicate(timeout=60)
    assert looking.returncode == 130
    assert f"job {job} goes on" in rest
    assert records(server("show", job, "--json").stdout)[0]["state"] == "RUNNING"
    server("cancel", job)
    assert server("watch", job).returncode == 6


def wait_for(process: subprocess.Popen[str], line: str) -> str:
    """Read up to *line*; return the job's id from the first line."""
    assert process.stdout is not None
    first = process.stdout.readline()
    seen = [first]
    while line not in seen[-1]:
        seen.append(process.stdout.readline())
        assert seen[-1], "".join(seen)
    return first.removeprefix("job ").partition(":")[0]


def test_cancelling_ends_a_job_and_watching_it_exits_with_6(server: CommandLine) -> None:
    server.script("long.py", "import time; time.sleep(600)")
    job = submitted(server, "-n", "2", "long.py")
    done = server("cancel", job)
    assert done.returncode == 0
    assert done.stdout.split()[0] == job
    assert server("watch", job).returncode == 6
    again = server("cancel", job)
    assert (again.returncode, again.stdout) == (0, f"{job} cancelled\n")


def test_all_jobs_of_ones_own_or_those_with_a_label_are_cancelled_when_that_is_confirmed(server: CommandLine) -> None:
    token = server("token", "create", "mia").stdout.strip()
    hers = server("submit", "sleep", "600", ALLGRAD_TOKEN=token).stdout.strip()
    plain, marked = submitted(server, "sleep", "600"), submitted(server, "--label", "team=vision", "sleep", "600")
    asked = server("cancel", "--all")
    assert (asked.returncode, asked.stdout) == (2, "")
    assert "2 jobs would be cancelled, and there is no terminal to ask on: add --yes" in asked.stderr
    for arguments in (["cancel", "--all", plain], ["cancel", "--label", "team=vision", plain], ["cancel"]):
        assert server(*arguments).returncode == 2
    assert server("cancel", "--label", "team=vision", "--yes").stdout.split()[0] == marked
    shown = in_terminal(server, "cancel", "--all", answer="n\n", code=1)
    assert f"cancel 1 job ({plain})? [y/N]" in shown
    assert "nothing was cancelled" in shown
    assert f"{plain} " in in_terminal(server, "cancel", "--all", answer="y\n")
    nothing = server("cancel", "--all")
    assert (nothing.returncode, nothing.stderr) == (0, "no jobs match\n")
    assert records(server("show", hers, "--json").stdout)[0]["state"] in ("QUEUED", "STARTING", "RUNNING")
    server("cancel", hers)
    for job in (hers, plain, marked):
        assert ended(server, job)["state"] == "CANCELLED"


def test_a_queued_job_says_what_it_waits_for(server: CommandLine) -> None:
    server.script("long.py", "import time; time.sleep(600)")
    first, second = submitted(server, "-n", "2", "long.py"), submitted(server, "long.py")
    shown = server("show", second).stdout
    assert "queued" in shown
    assert "slot" in shown
    listed = server("list", "--state", "queued").stdout
    assert second in listed
    assert first not in listed
    server("cancel", second, first)
    assert ended(server, first)["state"] == ended(server, second)["state"] == "CANCELLED"


def test_list_is_a_table_newest_first_and_json_on_request(server: CommandLine) -> None:
    server.script("quick.py", "")
    jobs = [submitted(server, "quick.py") for _ in range(3)]
    head, *rows = server("list", "--limit", "3").stdout.splitlines()
    assert head.split()[:3] == ["JOB", "STATE", "NAME"]
    assert [row.split()[0] for row in rows] == jobs[::-1]
    assert [job["id"] for job in records(server("list", "--limit", "3", "--json").stdout)] == jobs[::-1]
    for job in jobs:
        ended(server, job)


def test_the_same_request_id_makes_one_job(server: CommandLine) -> None:
    server.script("quick.py", "")
    once = submitted(server, "--request-id", "only-once", "quick.py")
    assert submitted(server, "--request-id", "only-once", "quick.py") == once
    other = server("submit", "--request-id", "only-once", "quick.py", "--other")
    assert other.returncode == 2


def test_logs_are_exact_for_one_rank_and_led_by_the_rank_for_several(server: CommandLine) -> None:
    server.script("speak.py", RANK + "print('rank', rank, flush=True); sys.stdout.buffer.write(b'\\xff\\x00 raw\\n')")
    job = submitted(server, "-n", "2", "speak.py")
    command = server.command("logs", "-f", job, "--rank", "1")
    raw = subprocess.run(command, cwd=server.folder, env=server.env, capture_output=True, timeout=60)
    assert raw.stdout == b"rank 1\n\xff\x00 raw\n"
    both = subprocess.run(server.command("logs", job), env=server.env, capture_output=True, timeout=60)
    lines = [line for line in both.stdout.splitlines() if not line.startswith(b"[mpi]")]
    assert sorted(lines) == [b"[0] rank 0", b"[0] \xff\x00 raw", b"[1] rank 1", b"[1] \xff\x00 raw"]


@pytest.mark.parametrize(
    "env", [{"PYTHONIOENCODING": "ascii"}, {"LC_ALL": "C", "PYTHONUTF8": "0"}, {"TERM": "nonsense"}]
)
def test_no_encoding_and_no_terminal_breaks_the_output(server: CommandLine, env: dict[str, str]) -> None:
    server.script("quick.py", "import sys; print('ünïcode ✓', *sys.argv[1:])")
    followed = server("submit", "--name", "ünïcode ✓", "--follow", "quick.py", "✓", **env)
    assert followed.returncode == 0
    job = records(server("list", "--limit", "1", "--json", **env).stdout)[0]
    assert (job["name"], job["argv"][1:]) == ("ünïcode ✓", ["✓"])


def test_an_argument_that_is_not_text_is_refused(server: CommandLine) -> None:
    server.script("quick.py", "")
    command = [argument.encode() for argument in server.command("submit", "quick.py")] + [b"\xff\xfe"]
    done = subprocess.run(command, cwd=server.folder, env=server.env, capture_output=True, timeout=60)
    assert done.returncode == 2
    assert b"not UTF-8" in done.stderr


def test_a_reader_that_leaves_early_is_no_error(server: CommandLine) -> None:
    server.script("train.py", JOURNAL)
    submitted(server, "train.py")
    for verb in (["list"], ["list", "--json"]):
        gone, ours = os.pipe()
        os.close(gone)
        command = server.command(*verb)
        done = subprocess.run(command, env=server.env, stdout=ours, stderr=subprocess.PIPE, timeout=60)
        os.close(ours)
        assert (done.returncode, done.stderr) == (141, b"")


def test_a_closed_output_is_no_error(server: CommandLine) -> None:
    line = f"{' '.join(server.command('list'))} >&-"
    done = subprocess.run(["sh", "-c", line], env=server.env, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_terminal_gets_the_live_picture_and_the_ending(server: CommandLine) -> None:
    server.script("train.py", JOURNAL)
    shown = in_terminal(server, "submit", "--follow", "train.py")
    assert "\x1b[" in shown
    assert "succeeded" in shown
    assert "┤" in shown
    assert "checkpoint: " in shown


def in_terminal(client: CommandLine, *arguments: str, answer: str = "", code: int = 0) -> str:
    """What a terminal of 80 columns receives from the command, which reads *answer* from it and ends with *code*."""
    ours, theirs = os.openpty()
    env = {**client.env, "COLUMNS": "80", "LINES": "30", "TERM": "xterm-256color", "LANG": "C.UTF-8"}
    command = client.command(*arguments)
    with subprocess.Popen(command, cwd=client.folder, env=env, stdin=theirs, stdout=theirs, stderr=theirs) as shown:
        os.close(theirs)
        os.write(ours, answer.encode())
        received = b""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                received += os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
        os.close(ours)
        assert shown.wait(timeout=60) == code
    return received.decode()
