"""The server's folder: where its address, token, store and jobs lie, readable by its owner only."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from .durable import read_json, write_atomically

DEFAULT_PORT = 7447


@dataclass(frozen=True, slots=True)
class Home:
    """The layout of a server's folder."""

    path: Path

    @classmethod
    def find(cls, given: str | os.PathLike[str] | None = None) -> Home:
        """Return the folder *given*, or `$ALLGRAD_HOME`, or `~/.allgrad`."""
        return cls(Path(given or os.environ.get("ALLGRAD_HOME") or "~/.allgrad").expanduser().absolute())

    @property
    def address_file(self) -> Path:
        """`server.json`: address and pid of the running server."""
        return self.path / "server.json"

    @property
    def token_file(self) -> Path:
        """The token that every call must bear."""
        return self.path / "token"

    @property
    def lock_file(self) -> Path:
        """Locked by the running server, so that a second one is refused."""
        return self.path / "lock"

    @property
    def state_db(self) -> Path:
        """Jobs and their state events."""
        return self.path / "state.db"

    @property
    def metrics_db(self) -> Path:
        """What the jobs' journals reported."""
        return self.path / "metrics.db"

    @property
    def uploads(self) -> Path:
        """The archives that clients have uploaded."""
        return self.path / "uploads"

    def archive(self, digest: str) -> Path:
        """Return where the archive with the SHA-256 *digest* lies once it is complete."""
        return self.uploads / f"{digest}.tar.gz"

    def uploaded_file(self, digest: str) -> Path:
        """Return where the plain file with the SHA-256 *digest* lies once it is complete."""
        return self.uploads / f"{digest}.file"

    def job_dir(self, job_id: str) -> Path:
        """Return the folder of a job."""
        return self.path / "jobs" / job_id

    def output_dir(self, job_id: str) -> Path:
        """Return where the scripts of a job keep what should remain, over all attempts."""
        return self.path.joinpath("jobs", job_id, "output")

    def run_dir(self, job_id: str, attempt: int) -> Path:
        """Return the folder of one attempt: journal, logs, pid and exit files."""
        return self.job_dir(job_id) / f"attempt-{attempt}"

    def address(self) -> str | None:
        """Return the address in `server.json`, or None if no server has run here."""
        record = read_json(self.address_file)
        return None if record is None else str(record["address"])

    def token(self) -> str | None:
        """Return the token, or None if no server has run here."""
        try:
            return self.token_file.read_text(encoding="utf-8", errors="replace").strip()
        except FileNotFoundError:
            return None

    def prepare(self) -> str:
        """Make the folder and the token if they are missing; return the token."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.path / "jobs").mkdir(mode=0o700, exist_ok=True)
        token = self.token()
        if not token:
            import secrets  # loads OpenSSL, which a supervisor has no use for

            token = secrets.token_urlsafe(32)
            write_atomically(self.token_file, token.encode("ascii") + b"\n")
        return token
