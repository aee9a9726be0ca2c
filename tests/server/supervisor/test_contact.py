"""One keeper as its supervisor speaks with it, over an ssh that is a script here."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from allgrad.server.jobs.hosts import Host
from allgrad.server.supervisor import keeper
from allgrad.server.supervisor.contact import Contact

PATIENCE = 60.0


@pytest.fixture
def contact_over(tmp_path: Path) -> Iterator[Callable[[str], Contact]]:
    """Makes a contact whose ssh first does what the shell is told, and then what is behind that; both end with the test."""
    made: list[Contact] = []

    def over(first: str) -> Contact:
        script = tmp_path / "ssh"
        script.write_text(f'#!/bin/sh\n{first}\nexec "$@"\n')
        script.chmod(0o755)
        words = [sys.executable, "-P", "-m", keeper.__name__, "kept", "1", "0", str(PATIENCE)]
        made.append(Contact(Host("far"), [str(script), *words], os.environ, PATIENCE))
        return made[0]

    yield over
    for each in made:
        each.close()
        os.waitpid(each.pid, 0)


def until(contact: Contact, condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be"
        contact.tend()
        if contact.absent:
            contact.connect()
        time.sleep(0.01)


def test_a_connection_that_has_been_silent_for_long_is_made_again_and_its_ssh_ended(
    contact_over: Callable[[str], Contact], tmp_path: Path
) -> None:
    silent = contact_over(f"mkdir {tmp_path}/once 2>/dev/null && exec sleep 600")
    silent.connect()
    first = silent.pid
    until(silent, (tmp_path / "once").exists)
    silent.heard = silent.tried = time.monotonic() - PATIENCE / 2
    assert silent.absent
    until(silent, lambda: silent.answered)
    assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == -signal.SIGTERM
    assert silent.pid != first
