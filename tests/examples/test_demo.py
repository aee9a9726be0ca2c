"""``make demo`` as a newcomer runs it: it ends well, and Ctrl-C leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """This environment, with its temporary folder in the test's own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ALLGRAD_")}
    return {**kept, "TMPDIR": str(tmp_path)}


def left_behind(folder: Path) -> Sequence[str]:
    """The living processes that name *folder* in their command line or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            said = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
        except OSError:
            continue
        if str(folder).encode() in said and int(entry.name) != os.getpid():
            found.append(entry.name)
    return found


def test_the_demo_learns_to_read_and_leaves_a_checkpoint_and_no_process(
    environment: dict[str, str], tmp_path: Path
) -> None:
    command = [sys.executable, str(EXAMPLES / "demo.py")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    accuracy = re.search(r"^test accuracy (\S+)$", done.stdout, re.MULTILINE)
    checkpoint = re.search(r"^checkpoint    (\S+)$", done.stdout, re.MULTILINE)
    assert accuracy is not None
    assert checkpoint is not None
    assert float(accuracy[1]) >= 0.97
    assert Path(checkpoint[1]).stat().st_size > 0
    assert left_behind(tmp_path) == []
    assert list(tmp_path.glob("allgrad-demo-*")) == []


def test_ctrl_c_cancels_the_job_of_the_demo_and_leaves_no_process(environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / "demo.py")]
    demo = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, process_group=0
    )
    assert demo.stdout is not None
    line = ""
    while not line.startswith("step"):
        line = demo.stdout.readline()
        assert line, "the demo ended before its first step"
    os.killpg(demo.pid, signal.SIGINT)
    rest, _ = demo.communicate(timeout=60)
    assert demo.returncode == 130
    assert "cancelling job" in rest
    assert "Traceback" not in rest
    assert left_behind(tmp_path) == []
    assert list(tmp_path.glob("allgrad-demo-*")) == []
