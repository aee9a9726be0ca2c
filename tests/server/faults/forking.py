"""Real servers forked from a process that has loaded the code already: a restart costs 50 ms and not a second.

Run as a program it is that process: it reads one line of JSON for each server, forks it, says its pid, waits for its
end and says its status.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from allgrad.server.durable import read_json
from allgrad.server.home import Home

PATIENCE = 60.0


class ForkedServers:
    """One server after the other on one folder."""

    def __init__(self, home: Path, **settings: object) -> None:
        self.home = Home(home)
        self._settings = {"home": str(home), "port": 0, "slots": 2, "grace": 1.0, **settings}
        self._parent = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = 0

    def start(self, failpoint: str = "") -> str | None:
        """Start a server that dies at *failpoint*; return its address, or None if it died before it served."""
        assert self._parent.stdin is not None
        self._parent.stdin.write(json.dumps([failpoint, self._settings]) + "\n")
        self._parent.stdin.flush()
        self.pid = int(self._line())
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            record = read_json(self.home.address_file)
            if record is not None and record["pid"] == self.pid:
                return str(record["address"])
            if is_over(self.pid):
                return None
            time.sleep(0.002)
        raise AssertionError("the server does not come to serve")

    def kill(self, number: signal.Signals = signal.SIGKILL) -> int:
        """Send it a signal, if it still lives, wait for its end, and return the exit code as Popen would."""
        send(self.pid, number)
        self.pid = 0
        return int(self._line())

    @property
    def dead(self) -> bool:
        """Whether the server has died by itself."""
        return is_over(self.pid)

    def close(self) -> None:
        """End the process that forks, and the server that it may still have."""
        if self.pid:
            self.kill()
        self._parent.communicate()

    def _line(self) -> str:
        assert self._parent.stdout is not None
        line = self._parent.stdout.readline()
        assert line, "the process that forks servers has died"
        return line


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def is_over(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):  # the process that forked it was quicker to reap it
        return True


def main() -> None:
    """Fork a server for each line of standard input."""
    from allgrad.server import failpoints
    from allgrad.server.main import serve
    from allgrad.server.service.job_service import mpi_name

    mpi_name()
    for line in sys.stdin:
        failpoint, settings = json.loads(line)
        pid = os.fork()
        if pid == 0:
            failpoints.arm(failpoint)
            serve(**settings, announce=lambda _: None)
            os._exit(0)
        print(pid, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
