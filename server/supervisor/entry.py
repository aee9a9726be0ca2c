"""Starts a command under the account that this runs as: ``python -m allgrad.server.supervisor.entry``.

The supervisor starts it through the command that leads to the account, and tells it on its standard input what to
execute, where and with which environment: arguments would show that to everybody on the machine.
"""

from __future__ import annotations

import json
import os
import pwd
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import IO

from ..jobs.accounts import Account
from ..launchers import Command, reach
from . import linux

_MODULE = "allgrad.server.supervisor.entry"
CANNOT_START = 127


def start(
    account: Account, command: Command, folder: str, output: IO[bytes], prepare: Callable[[], None]
) -> subprocess.Popen[bytes]:
    """Start *command* in *folder* under *account*, and return the process that leads there; *prepare* it before.

    What *command* prints, and why it could not be started, goes to *output*.
    """
    child = subprocess.Popen(
        reach.python_on(account, ["-m", _MODULE], os.environ),
        env=reach.environment(account, os.environ),
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        preexec_fn=prepare,
    )
    assert child.stdin is not None
    with suppress(BrokenPipeError), child.stdin:  # it has ended, and its exit code tells
        child.stdin.write(json.dumps({"argv": command.argv, "env": dict(command.env), "folder": folder}).encode())
    return child


def main() -> None:
    """Execute what the standard input says."""
    told = json.load(sys.stdin)
    person = pwd.getpwuid(os.getuid())
    own = {"HOME": person.pw_dir, "USER": person.pw_name, "LOGNAME": person.pw_name, "SHELL": person.pw_shell}
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    linux.die_with_parent()
    try:
        os.chdir(told["folder"])
        os.execvpe(told["argv"][0], told["argv"], own | told["env"])  # noqa: S606 -- it is what the job is to be
    except OSError as error:
        print(
            f"cannot start {told['argv'][0]} in {told['folder']} as {person.pw_name}: {error.strerror}", file=sys.stderr
        )
        sys.exit(CANNOT_START)


if __name__ == "__main__":
    main()
