"""``allgrad run``: ranks here and now, their output, their ends, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from allgrad.server.cli.script import find_script
from allgrad.server.errors import InvalidRequest

from .conftest import CommandLine

RANK = """
import os, sys, time
rank = int(os.environ.get("OMPI_COMM_WORLD_RANK", os.environ.get("PMI_RANK", 0)))
"""
FOR_TORCH = """
import torch
x = torch.ones(2, requires_grad=True)
(x * 3).sum().backward()
print(x.grad)
"""
Living = Callable[[Path], Sequence[str]]


def test_one_rank_is_the_script_itself(allgrad: CommandLine) -> None:
    allgrad.script("hello.py", "import sys; print('hello', *sys.argv[1:]); print('oops', file=sys.stderr)")
    done = allgrad("run", "hello.py", "--lr", "0.1", "-n", "5")
    assert (done.returncode, done.stdout, done.stderr) == (0, "hello --lr 0.1 -n 5\n", "oops\n")


def test_the_lines_of_several_ranks_are_led_by_their_rank(allgrad: CommandLine) -> None:
    allgrad.script("hello.py", RANK + "print('hello'); print(f'from {rank}', file=sys.stderr)")
    done = allgrad("run", "-n", "2", "hello.py")
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == ["[0] from 0", "[0] hello", "[1] from 1", "[1] hello"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_timeline_of_all_ranks_is_written_where_it_is_asked_for(allgrad: CommandLine, ranks: int) -> None:
    allgrad.script("together.py", "from allgrad import dist\ndist.init()\ndist.barrier()\n")
    done = allgrad("run", "-n", str(ranks), "--trace", "trace.json", "together.py")
    assert done.returncode == 0, done.stdout + done.stderr
    events = json.loads((allgrad.folder / "trace.json").read_text())["traceEvents"]
    assert sorted(event["pid"] for event in events if event["name"] == "barrier") == list(range(ranks))


@pytest.mark.parametrize("ranks", ["1", "2"])
def test_a_script_for_torch_runs_as_it_is(allgrad: CommandLine, ranks: str) -> None:
    allgrad.script("own.py", FOR_TORCH)
    done = allgrad("run", "-n", ranks, "--as-torch", "own.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("tensor([3., 3.])") == int(ranks)


@pytest.mark.parametrize("ranks", ["1", "2"])
@pytest.mark.parametrize(
    ("ending", "code"), [("sys.exit(3)", 3), ("raise ValueError('no')", 1), ("os.kill(os.getpid(), 9)", 137)]
)
def test_the_exit_code_is_the_jobs_own(allgrad: CommandLine, ranks: str, ending: str, code: int) -> None:
    allgrad.script("end.py", RANK + f"if rank == {int(ranks) - 1}: {ending}\ntime.sleep(600)")
    done = allgrad("run", "-n", ranks, "end.py")
    returncode = 128 - done.returncode if done.returncode < 0 else done.returncode
    assert returncode == code


def test_the_traceback_of_the_rank_that_failed_is_shown_once(allgrad: CommandLine) -> None:
    allgrad.script("fail.py", RANK + "if rank == 1: raise ValueError('no such luck')\ntime.sleep(600)")
    done = allgrad("run", "-n", "2", "fail.py")
    assert done.stdout.count("[1] ValueError: no such luck") == 1
    assert "[1] allgrad: rank 1 on" in done.stdout
    assert "prterun" not in done.stdout + done.stderr


def test_what_fails_on_all_ranks_has_one_traceback_and_one_line_for_each_other_rank(allgrad: CommandLine) -> None:
    allgrad.script("fail.py", RANK + "raise ValueError('no such luck')")
    done = allgrad("run", "-n", "3", "fail.py")
    assert done.stdout.count("Traceback") == 1
    # A rank may be ended before it comes to its line.
    others = [line for line in done.stdout.splitlines() if line.endswith("failed too: ValueError: no such luck")]
    assert len(others) <= 2
    assert done.stdout.count("no such luck") == 2 + len(others), done.stdout  # the raising line, and the error's own


def test_a_rank_that_fails_when_the_first_has_gone_adds_no_traceback(allgrad: CommandLine) -> None:
    allgrad.script(
        "late.py",
        RANK + "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if rank == 0:\n"
        "    while not os.path.exists('first'): time.sleep(0.01)\n"
        "    while os.path.exists('/proc/' + open('first').read()): time.sleep(0.01)\n"
        "else:\n"
        "    open('draft', 'w').write(str(os.getpid())); os.rename('draft', 'first')\n"
        "raise ValueError('no such luck')",
    )
    done = allgrad("run", "-n", "2", "late.py")
    assert done.stdout.count("Traceback") == 1, done.stdout
    assert "[1] allgrad: rank 1 on" in done.stdout


def test_a_killed_rank_is_told_with_its_signal(allgrad: CommandLine) -> None:
    allgrad.script("die.py", RANK + "if rank == 1: os.kill(os.getpid(), 9)\ntime.sleep(600)")
    assert "a rank was ended by signal 9 (Killed)" in allgrad("run", "-n", "2", "die.py").stderr


def test_a_program_that_fails_without_a_word_is_explained_by_the_launcher(allgrad: CommandLine) -> None:
    done = allgrad("run", "-n", "2", "false")
    assert done.returncode == 1
    assert "[mpi] " in done.stderr
    assert "---" not in done.stderr


def test_a_background_child_neither_blocks_nor_stays(allgrad: CommandLine, processes_of: Living) -> None:
    allgrad.script("child.py", "import subprocess; subprocess.Popen(['setsid', 'sleep', '300'])")
    assert allgrad("run", "-n", "2", "child.py").returncode == 0
    assert processes_of(allgrad.folder) == []


@pytest.mark.parametrize(
    ("number", "told"),
    [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "ended by SIGTERM"), (signal.SIGHUP, "ended by SIGHUP")],
)
def test_a_signal_ends_all_ranks_even_stubborn_ones_and_is_told_in_a_line(
    allgrad: CommandLine, processes_of: Living, number: signal.Signals, told: str
) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('up', flush=True)\n"
    allgrad.script("stubborn.py", RANK + stubborn + "time.sleep(60)")
    running = allgrad.start("run", "-n", "2", "stubborn.py")
    assert running.stdout is not None
    assert "up" in running.stdout.readline()
    running.send_signal(number)
    output, _ = running.communicate(timeout=60)
    assert output.splitlines()[-1] == f"allgrad: {told}; all ranks have ended"
    assert running.returncode == 128 + number
    assert processes_of(allgrad.folder) == []


def test_nothing_of_the_launcher_is_left_in_the_folder_for_temporary_files(allgrad: CommandLine) -> None:
    # A later mpirun that gets the same process number would find it, and fail.
    allgrad.script("die.py", "import os; os.kill(os.getppid(), 9)")
    places = allgrad.folder / "tmp"
    places.mkdir()
    assert allgrad("run", "-n", "2", "die.py", TMPDIR=str(places)).returncode == 137
    assert list(places.iterdir()) == []


def test_a_reader_that_leaves_ends_the_ranks(allgrad: CommandLine, processes_of: Living) -> None:
    allgrad.script("flood.py", "while True: print('x' * 100)")
    running = allgrad.start("run", "-n", "2", "flood.py")
    assert running.stdout is not None
    running.stdout.readline()
    running.stdout.close()
    assert running.wait(timeout=60) == 141
    assert processes_of(allgrad.folder) == []


def test_a_long_line_without_an_end_passes(allgrad: CommandLine) -> None:
    allgrad.script("long.py", "import sys; sys.stdout.write('x' * 1_000_000)")
    done = allgrad("run", "-n", "2", "long.py")
    assert done.stdout.count("x") == 2_000_000


def test_more_ranks_than_cores_are_only_warned_of(allgrad: CommandLine) -> None:
    ranks = len(os.sched_getaffinity(0)) + 1
    done = allgrad("run", "-n", str(ranks), "true")
    assert done.returncode == 0
    assert f"{ranks} ranks share {ranks - 1} core" in done.stderr


def test_a_missing_mpi_says_what_to_install(allgrad: CommandLine, tmp_path: Path) -> None:
    """A Python without mpirun beside it or on its PATH, which finds our packages where they are."""
    bare = bare_python(tmp_path)
    allgrad.script("hello.py", "print('hello')")
    command = [str(bare), "-m", "allgrad.server.cli", "run"]
    env = {**allgrad.env, "PATH": "/nowhere"}
    two = subprocess.run([*command, "-n", "2", "hello.py"], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert two.returncode == 2
    assert two.stderr.startswith("allgrad: 2 ranks need MPI; ")
    assert "pip install 'allgrad[mpi]'" in two.stderr
    one = output([*command, "hello.py"], tmp_path, env)
    assert (one.returncode, one.stdout) == (0, "hello\n")


def output(command: list[str], folder: Path, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=60)


def bare_python(folder: Path) -> Path:
    """A virtual environment without programs beside its Python, which sees the packages of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "bare")], check=True)
    packages = next((folder / "bare" / "lib").glob("python*")) / "site-packages"
    here = next(path for path in sys.path if path.endswith("site-packages"))
    (packages / "here.pth").write_text(f"import site; site.addsitedir({here!r})\n")
    return folder / "bare" / "bin" / "python"


@pytest.mark.parametrize("verb", ["run", "submit"])
def test_a_script_that_cannot_run_is_refused_before_anything_starts(allgrad: CommandLine, verb: str) -> None:
    allgrad.script("train.py", "")
    allgrad.script("data.txt", "")
    (allgrad.folder / "folder").mkdir()
    for name, told in {
        "nosuch.py": "script not found: nosuch.py; looked in",
        "no/such.py": "there is no folder",
        "train": "there is a train.py; did you mean that?",
        "folder": "it is a folder",
        "data.txt": "neither a .py file nor executable",
    }.items():
        done = allgrad(verb, name)
        assert done.returncode == 2
        assert done.stdout == ""
        assert done.stderr.startswith("allgrad: ")
        assert told in done.stderr


def test_an_unreadable_script_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "secret.py").touch()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)  # root may read everything
    with pytest.raises(InvalidRequest, match="chmod \\+r"):
        find_script(str(tmp_path / "secret.py"))


FADING = (
    RANK
    + """
size = int(os.environ.get("OMPI_COMM_WORLD_SIZE", 1))
print(f"attempt {os.environ['ALLGRAD_ATTEMPT']} of {size}", flush=True)
if size > 1 and rank == size - 1: os.kill(os.getpid(), 9)
if size > 1: time.sleep(600)
"""
)


def test_a_run_whose_ranks_are_killed_starts_again_with_those_that_are_left(allgrad: CommandLine) -> None:
    allgrad.script("fading.py", FADING)
    done = allgrad("run", "-n", "3", "--restarts", "2", "fading.py")
    assert done.returncode == 0, done.stderr
    assert {line[4:] for line in done.stdout.splitlines() if line.startswith("[")} == {
        "attempt 1 of 3",
        "attempt 2 of 2",
    }
    assert done.stdout.splitlines()[-1] == "attempt 3 of 1"
    assert "allgrad: starting again with 2 ranks (restart 1 of 2)\n" in done.stderr
    assert "allgrad: starting again with 1 rank (restart 2 of 2)\n" in done.stderr


def test_with_too_few_ranks_left_or_no_restart_left_a_run_fails_as_it_failed(allgrad: CommandLine) -> None:
    allgrad.script("fading.py", FADING)
    done = allgrad("run", "-n", "2", "--restarts", "5", "--min-ranks", "2", "fading.py")
    assert done.returncode == 137
    assert "allgrad: 1 ranks are left, fewer than --min-ranks 2: not started again\n" in done.stderr
    allgrad.script("failing.py", "import sys; print('tried'); sys.exit(3)")
    done = allgrad("run", "--restarts", "2", "failing.py")
    assert (done.returncode, done.stdout) == (3, "tried\n" * 3)


def test_a_rank_that_was_used_wrongly_is_not_started_again(allgrad: CommandLine) -> None:
    allgrad.script("wrong.py", "import sys; print('tried'); sys.exit(2)")
    done = allgrad("run", "--restarts", "2", "wrong.py")
    assert (done.returncode, done.stdout) == (2, "tried\n")
    done = allgrad("run", "-n", "2", "--min-ranks", "3", "wrong.py")
    assert done.returncode == 2
    assert "cannot run 2 ranks with --min-ranks 3" in done.stderr


AGENT = """#!/bin/sh
# Takes the place of ssh: every host is this machine.
while [ "${1#-}" != "$1" ]; do case $1 in -o|-p|-l|-i) shift 2;; *) shift;; esac; done
case $1 in lost*) echo "ssh: connect to host $1 port 22: No route to host" >&2; exit 255;; esac
shift
exec sh -c "$*"
"""


@pytest.fixture
def agent(allgrad: CommandLine) -> str:
    path = allgrad.script("agent", AGENT)
    path.chmod(0o755)
    return str(path)


def test_ranks_on_hosts_print_through_the_launcher_and_keep_their_names(allgrad: CommandLine, agent: str) -> None:
    allgrad.script("hello.py", RANK + "print('hello', flush=True); print('told', os.environ['DATA'], file=sys.stderr)")
    done = allgrad("run", "--hosts", "localhost:1,other.host:1", "-x", "DATA", "hello.py", ALLGRAD_SSH=agent, DATA="7")
    # The other host is this one, whose mpirun is told of two: it cannot tell that from a host that lies.
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.splitlines()) == ["[0] hello", "[0] told 7", "[1] hello", "[1] told 7"]


def test_a_host_that_cannot_be_reached_ends_a_run_before_it_starts(allgrad: CommandLine, agent: str) -> None:
    allgrad.script("hello.py", "print('hello')")
    done = allgrad("run", "--hosts", "localhost,lost", "hello.py", ALLGRAD_SSH=agent)
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot reach the host lost; ssh: connect to host lost port 22: No route to host; " in done.stderr


def test_hosts_with_too_little_room_are_refused(allgrad: CommandLine) -> None:
    allgrad.script("hello.py", "print('hello')")
    done = allgrad("run", "-n", "5", "--hosts", "a:2,b:2", "hello.py")
    assert done.returncode == 2
    assert "5 ranks do not fit on the hosts a:2,b:2; they have 4 slots" in done.stderr
    done = allgrad("run", "--hosts", "a", "--hostfile", str(allgrad.script("hosts", "a\n")), "hello.py")
    assert done.returncode == 2


def test_where_srun_has_started_several_each_is_one_rank(allgrad: CommandLine) -> None:
    allgrad.script("hello.py", "print('hello')")
    step = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
    done = allgrad("run", "hello.py", **step)
    assert (done.returncode, done.stdout) == (0, "hello\n")
    assert allgrad("run", "-n", "2", "hello.py", **step).stdout == "hello\n"
    done = allgrad("run", "-n", "4", "hello.py", **step)
    assert done.returncode == 2
    assert "srun has already started 2 of this process" in done.stderr


def test_a_hostfile_in_the_environment_is_used(allgrad: CommandLine, agent: str) -> None:
    allgrad.script("hello.py", "print('hello')")
    hosts = allgrad.script("hostfile", "localhost slots=1\nlost.job.ns.svc slots=1\n")
    done = allgrad("run", "hello.py", ALLGRAD_SSH=agent, OMPI_MCA_orte_default_hostfile=str(hosts))
    assert done.returncode == 2
    assert f"2 ranks on 2 hosts, as {hosts} says" in done.stderr
