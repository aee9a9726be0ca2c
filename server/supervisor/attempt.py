"""The folder of one attempt: the files by which server, supervisor and ranks tell each other things."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from ..durable import read_json, write_json
from ..jobs.accounts import Account
from ..jobs.hosts import Host, deal
from ..jobs.job import LAUNCHER_LOG
from ..jobs.spec import FailureKind, LauncherKind
from .journal import JournalReader
from .processes import Process, boot_id, find


@dataclass(frozen=True, slots=True)
class Order:
    """What the server tells the supervisor of an attempt to do, in `order.json`."""

    job_id: str
    attempt: int
    argv: list[str]
    ranks: int
    as_torch: bool
    env: Mapping[str, str]
    workdir: str
    output_dir: str
    home: str
    threads: int
    """Threads that one rank may use."""
    grace: float
    """Seconds between SIGTERM and SIGKILL."""
    log_limit: int
    """Bytes of each rank's log that are kept."""
    cores: list[int] = field(default_factory=list)
    """The cores that the ranks are bound to; empty: not bound."""
    max_runtime: float | None = None
    """Seconds after which the attempt is ended and has failed."""
    resume: str = ""
    """Path of the checkpoint to go on from."""
    checkpoint_interval: float | None = None
    """Seconds between checkpoints that the script is asked for."""
    archive: str = ""
    """Path of an archive to unpack into *root*, unless an earlier attempt has."""
    root: str = ""
    journal_limit: int = 1 << 30
    """Bytes of the journal that are kept."""
    tensorboard: bool = False
    """Whether numbers are written as event files, too."""
    hosts: list[tuple[str, int]] = field(default_factory=list)
    """The hosts that the ranks are dealt to, by name and slots; empty: this one."""
    host_patience: float = math.inf
    """Seconds of silence after which a host counts as lost, and after which its ranks are ended there."""
    account: Account | None = None
    """What the ranks run under; None: the server's own account."""

    launcher: LauncherKind = LauncherKind.MPIRUN
    launcher_options: Mapping[str, str] = field(default_factory=dict)
    """What Slurm or Kubernetes are told besides."""
    place: Mapping[str, str] = field(default_factory=dict)
    """What the server has been told of the cluster."""

    @property
    def dealt(self) -> tuple[Host, ...]:
        """How many ranks each host gets; empty: all are on this one."""
        return deal([Host(name, slots) for name, slots in self.hosts], self.ranks) if self.hosts else ()

    @property
    def elsewhere(self) -> tuple[Host | Account, ...]:
        """Where ranks are that a keeper holds: on these hosts, or under another account."""
        return self.dealt if self.account is None else (self.account,)

    def ranks_folder(self, folder: Path) -> Path:
        """Return where the ranks have the job's *folder*: under the same path, unless they run under another account."""
        return folder if self.account is None else Path(self.account.folder, self.job_id)

    def there(self, folder: Path) -> Order:
        """Return the order with the paths under which the ranks have what the server has in the job's *folder*."""
        moved = partial(_moved, source=folder, target=self.ranks_folder(folder))
        return replace(
            self,
            workdir=moved(self.workdir),
            root=moved(self.root),
            output_dir=moved(self.output_dir),
            resume=moved(self.resume),
        )

    def here(self, path: str, folder: Path) -> str:
        """Return under which path the server has, or will have, what the ranks have as *path*."""
        return _moved(path, self.ranks_folder(folder), folder)


@dataclass(frozen=True, slots=True)
class Exit:
    """How an attempt ended, in `exit.json`; *finished* in seconds since the epoch."""

    exit_code: int | None
    """None: it was ended before its ranks were started."""
    reason: str
    stopped: bool
    finished: float
    notes: list[str] = field(default_factory=list)
    """What a person should know beside the reason, such as processes that the ranks left behind."""
    kind: FailureKind = FailureKind.EXIT_CODE
    """How it failed, if it did."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What the first rank that failed said of itself, in `failure.json`."""

    rank: int
    host: str
    exit_code: int | None
    error: str


@dataclass(frozen=True, slots=True)
class RunDir:
    """The layout of the folder."""

    path: Path
    inside: bool = False
    """Seen by a supervisor that Slurm or Kubernetes have started beside the ranks: its records bear other names."""

    @property
    def logs(self) -> Path:
        """The folder of the logs, one file per rank."""
        return self.path / "logs"

    @property
    def journal(self) -> Path:
        """What rank 0 reports, one JSON object a line."""
        return self.path / "journal.jsonl"

    def reports(self, order: Order) -> JournalReader:
        """Return a reader of the journal, which tells of checkpoints where the server has them."""
        return JournalReader(self.journal, partial(order.here, folder=self.path.parent))

    @property
    def supervisor_log(self) -> Path:
        """What the supervisor itself has to say."""
        return self.path / "supervisor.log"

    def log(self, rank: int) -> Path:
        """Return the log of *rank*, or of the launcher."""
        return self.logs / ("launcher.log" if rank == LAUNCHER_LOG else f"rank-{rank}.log")

    def prepare(self, order: Order) -> None:
        """Make the folder and write the order into it."""
        self.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        Path(order.output_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
        write_json(self.path / "order.json", asdict(order))

    def order(self) -> Order:
        """Return what the supervisor is to do."""
        record = _required(self.path / "order.json")
        account = record.get("account")
        found = {
            "launcher": LauncherKind(record.get("launcher", LauncherKind.MPIRUN)),
            "account": account and Account(account["name"], tuple(account["command"]), account["folder"]),
        }
        return Order(**{**record, **found})

    def _record(self, name: str) -> Path:
        return self.path / (f"inside-{name}" if self.inside else name)

    def ask_to_stop(self) -> None:
        """Tell a supervisor that no signal reaches to end the attempt."""
        (self.path / "stop").touch(0o600)

    @property
    def stop_asked(self) -> bool:
        """Whether it has been told to."""
        return (self.path / "stop").exists()

    def note_handle(self, handle: str) -> None:
        """Write down under which name Slurm or Kubernetes have the attempt."""
        write_json(self.path / "batch.json", {"handle": handle})

    def handle(self) -> str:
        """Return that name, or "" if they do not have it yet."""
        record = read_json(self.path / "batch.json")
        return "" if record is None else str(record["handle"])

    def note_delay(self, reason: str) -> None:
        """Write down why the ranks have not been started yet."""
        write_json(self.path / "delay.json", {"reason": reason})

    def delay(self) -> str:
        """Return why the ranks have not been started yet, if anything is known."""
        record = read_json(self.path / "delay.json")
        return "" if record is None else str(record["reason"])

    def note_owed(self, hosts: Sequence[str]) -> None:
        """Write down which hosts without the server's folder may have something that is not here."""
        write_json(self.path / "owed.json", {"hosts": list(hosts)})

    def owed(self) -> list[str]:
        """Return which hosts those are."""
        record: Mapping[str, Any] | None = read_json(self.path / "owed.json")
        return [] if record is None else list(record["hosts"])

    def note_supervisor(self, pid: int, started: float | None) -> None:
        """Write down which process supervises the attempt, and that the ranks were started at *started*; None: not yet."""
        process = find(pid)
        assert process is not None
        record = {"pid": pid, "start_time": process.start, "boot_id": boot_id(), "started": started}
        write_json(self._record("pid.json"), record)

    def started(self) -> float | None:
        """Return when the ranks were started, or None if they have not been."""
        record = read_json(self._record("pid.json"))
        return None if record is None or record["started"] is None else float(str(record["started"]))

    def supervisor(self) -> Process | None:
        """Return the living supervisor: the same process, not another one that inherited its pid."""
        record = read_json(self._record("pid.json"))
        if record is None or record["boot_id"] != boot_id():
            return None
        process = find(int(str(record["pid"])))
        return process if process is not None and process.start == record["start_time"] else None

    def note_exit(self, ended: Exit) -> None:
        """Write down how the attempt ended."""
        write_json(self._record("exit.json"), asdict(ended))

    def exit(self) -> Exit | None:
        """Return how the attempt ended, or None if that was not written down."""
        record: Mapping[str, Any] | None = read_json(self._record("exit.json"))
        if record is None:
            return None
        return Exit(**{**record, "kind": FailureKind(record.get("kind", FailureKind.EXIT_CODE))})

    def failure(self) -> Failure | None:
        """Return what the first rank that failed said of itself, if it could."""
        record: Mapping[str, Any] | None = read_json(self.path / "failure.json")
        if record is None:
            return None
        return Failure(record["rank"], record["host"], record.get("exit_code"), record.get("error") or "")


def _required(path: Path) -> Mapping[str, Any]:
    record = read_json(path)
    if record is None:
        raise FileNotFoundError(path)
    return record


def _moved(path: str, source: Path, target: Path) -> str:
    """Return where *path* is once *source* lies at *target*; one that is not within it stays."""
    return str(target / Path(path).relative_to(source)) if path and Path(path).is_relative_to(source) else path
