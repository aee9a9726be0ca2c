"""What ``make demo`` shows: a server, a training job on two ranks submitted to it, and its loss falling."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

EXAMPLES = Path(__file__).resolve().parent
CHECKPOINTS = EXAMPLES.parent / "build" / "demo"
ALLGRAD = [sys.executable, "-m", "allgrad.server.cli"]
GOAL = 0.97
PATIENCE = 20.0
"""Seconds that the server may take to start or to stop."""


def main() -> int:
    """Run the demo; return 0 if the network has learned to read, the exit code of the failure otherwise."""
    with tempfile.TemporaryDirectory(prefix="allgrad-demo-") as folder:
        os.environ["ALLGRAD_HOME"] = folder
        with a_server(Path(folder)):
            try:
                return train()
            finally:
                cancel_what_is_left()


@contextmanager
def a_server(home: Path) -> Iterator[None]:
    """A server on a free port, in a session of its own so that Ctrl-C reaches the client only."""
    command = [*ALLGRAD, "serve", "--port", "0"]
    with (home / "serve.log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until_serving(server, home)
        yield
    finally:
        server.terminate()
        server.wait(PATIENCE)


def wait_until_serving(server: subprocess.Popen[bytes], home: Path) -> None:
    """Return once the server has written its address, which it does when it serves."""
    deadline = time.monotonic() + PATIENCE
    while not (home / "server.json").exists():
        if server.poll() is not None or time.monotonic() > deadline:
            sys.exit(f"the server did not start; it said:\n{(home / 'serve.log').read_text()}")
        time.sleep(0.02)


def train() -> int:
    """Submit the training, follow it to its end and judge it."""
    command = ["submit", "-n", "2", "--follow", str(EXAMPLES / "digits.py"), "--output", str(CHECKPOINTS)]
    code = wait_through_ctrl_c(subprocess.Popen([*ALLGRAD, *command]))
    if code:
        return code
    job = next(records("list", "--limit", "1"))
    reported = [event["values"] for event in records("watch", job["id"]) if event["event"] == "metrics"]
    accuracy = next(values["test_accuracy"] for values in reversed(reported) if "test_accuracy" in values)
    print(f"test accuracy {accuracy:.4f}")
    print(f"checkpoint    {job['checkpoint']}")
    if accuracy < GOAL or not Path(job["checkpoint"]).is_file():
        print(f"expected an accuracy of at least {GOAL} and a checkpoint", file=sys.stderr)
        return 1
    return 0


def wait_through_ctrl_c(client: subprocess.Popen[bytes]) -> int:
    """Wait for *client*, which has had the Ctrl-C too and is cancelling the job; return its exit code."""
    while True:
        try:
            code = client.wait()
        except KeyboardInterrupt:
            continue
        return 128 - code if code < 0 else code


def records(*arguments: str) -> Iterator[dict[str, Any]]:
    """What an ``allgrad`` command prints as JSON, one object a line."""
    shown = subprocess.run([*ALLGRAD, *arguments, "--json"], check=True, stdout=subprocess.PIPE, text=True)
    return map(json.loads, shown.stdout.splitlines())


def cancel_what_is_left() -> None:
    """Cancel jobs that have not ended, and wait: a job outlives its server."""
    ended = ("SUCCEEDED", "FAILED", "CANCELLED")
    for job in [job for job in records("list") if job["state"] not in ended]:
        subprocess.run([*ALLGRAD, "cancel", job["id"]], check=False, stdout=subprocess.DEVNULL)
        subprocess.run([*ALLGRAD, "watch", job["id"]], check=False, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
