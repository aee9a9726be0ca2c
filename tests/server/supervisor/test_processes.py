"""Ending processes, and what is left of them."""

from __future__ import annotations

import subprocess
import time

from allgrad.server.supervisor import processes
from allgrad.server.supervisor.processes import Process


def test_what_dies_just_before_the_last_look_is_reaped_too() -> None:
    child = subprocess.Popen(["sleep", "60"])

    def members() -> list[Process]:
        child.kill()
        while processes.find(child.pid):  # a dead one that waits to be reaped is none
            time.sleep(0.01)
        return []

    processes.end(members, 1.0, meanwhile=child.poll)
    assert child.returncode == -9
