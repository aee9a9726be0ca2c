"""Backups of what a server remembers: one file, made while it runs, verified when it is made and when it is read.

The file is a zip archive of both databases, the uploads that unfinished jobs name, and a manifest with the checksums. The
token is not in it, since a backup must not be a key; nor are logs, checkpoints and outputs, which are plain files under
`jobs/`, nor uploads that only finished jobs had.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import apsw

from allgrad.proto import jobs_pb2 as pb

from .durable import sync
from .errors import BackupFailed, BackupRefused
from .files.uploads import Uploads
from .home import Home
from .jobs.job import JobState
from .store.schema import METRICS, STATE, damage

FORMAT = 1
_MANIFEST = "manifest.json"
_VERSIONS = {"state.db": len(STATE), "metrics.db": len(METRICS)}
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds; *created* in seconds since the epoch."""

    created: float
    jobs: int
    size: int
    """Of both databases, in bytes."""


def back_up(home: Home, file: Path) -> Backup:
    """Write what the server of *home* remembers to *file*, whether it runs or not. Raises BackupFailed."""
    if not home.state_db.exists():
        raise BackupRefused(
            f"cannot back up {home.path}", "no server has ever run there", "name its folder with --home"
        )
    if file.exists():
        raise BackupRefused(f"cannot write {file}", "there is such a file", "name another one")
    file = file.absolute()
    with _workshop(file.parent) as folder:
        copies = {path.name: _copied(path, folder / path.name) for path in (home.metrics_db, home.state_db)}
        _forget_metrics_without_a_job(copies)
        jobs = _checked(copies)
        made = Backup(time.time(), jobs, sum(copy.stat().st_size for copy in copies.values()))
        _pack(copies, _needed_uploads(copies["state.db"], home), made, folder / "packed")
        (folder / "packed").rename(file)
    sync(file.parent)
    return made


def restore(file: Path, home: Home) -> Backup:
    """Put what *file* holds into *home*, where no server may have run before. Raises BackupFailed.

    Unfinished jobs are queued again, or taken up or given up by the next server, as what is left of them allows.
    """
    if not file.exists():
        raise BackupRefused(f"cannot read {file}", "there is no such file", "name one that allgrad backup has written")
    home.prepare()
    with _exclusive(home), _workshop(home.path) as folder:
        if home.state_db.exists():
            raise BackupRefused(
                f"cannot restore into {home.path}",
                "it has jobs of its own",
                "name another folder, or move its *.db away",
            )
        made = _unpack(file, folder, home)
        copies = {name: folder / name for name in _VERSIONS}
        _checked(copies)
        for target in (home.metrics_db, home.state_db):  # the one that says that there are jobs comes last
            copies[target.name].rename(target)
            sync(home.path)
    return made


@contextmanager
def _workshop(parent: Path) -> Iterator[Path]:
    """Make a folder beside where the result is to be, so that it can be moved there at once."""
    try:
        folder = Path(tempfile.mkdtemp(prefix=".allgrad-backup-", dir=parent))
    except OSError as error:
        misnamed = isinstance(error, FileNotFoundError | NotADirectoryError | PermissionError)
        kind = BackupRefused if misnamed else BackupFailed
        raise kind(f"cannot write to {parent}", error.strerror or str(error), "name another place") from error
    try:
        yield folder
    except (OSError, apsw.Error) as error:
        raise BackupFailed(
            "the backup cannot be written or read", str(error), "make room, or see to the disk"
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _exclusive(home: Home) -> Iterator[None]:
    with home.lock_file.open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BackupRefused(
                f"cannot restore into {home.path}", "a server runs on it", "stop it, or name another folder with --home"
            ) from None
        yield


def _copied(source: Path, target: Path) -> Path:
    """Copy a database as it stands at one moment, while others write to it."""
    reading = apsw.Connection(os.fspath(source), flags=apsw.SQLITE_OPEN_READWRITE)
    writing = apsw.Connection(os.fspath(target))
    reading.set_busy_timeout(10_000)
    with writing.backup("main", reading, "main") as copy:
        while not copy.done:
            copy.step(-1)
    writing.pragma("journal_mode", "delete")
    writing.close()
    reading.close()
    target.chmod(0o600)
    return target


def _forget_metrics_without_a_job(copies: Mapping[str, Path]) -> None:
    """Remove metrics of jobs deleted in between: another job might be given the number that they are kept under."""
    connection = apsw.Connection(os.fspath(copies["metrics.db"]))
    connection.execute("ATTACH ? AS state", (os.fspath(copies["state.db"]),))
    connection.execute("DELETE FROM main.events WHERE job NOT IN (SELECT number FROM state.jobs)")
    connection.execute("DELETE FROM main.progress WHERE job NOT IN (SELECT number FROM state.jobs)")
    connection.close()


def _checked(copies: Mapping[str, Path]) -> int:
    """Raise BackupFailed unless the databases are sound and known; return how many jobs they hold."""
    jobs = 0
    for name, path in copies.items():
        connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READONLY)
        if found := damage(connection, thoroughly=True):
            raise BackupFailed(f"{name} is damaged", found, "use an older backup")
        version = int(connection.pragma("user_version"))
        if not 0 < version <= _VERSIONS[name]:
            known = f"it has version {version}, and this allgrad knows up to {_VERSIONS[name]}"
            raise BackupFailed(f"{name} cannot be used", known, "use the allgrad that wrote it, or a newer one")
        if name == "state.db":
            jobs = int(connection.execute("SELECT count(*) FROM jobs").get)
        connection.close()
    return jobs


def _needed_uploads(database: Path, home: Home) -> list[Path]:
    """Return the uploads that unfinished jobs name: without them they could not start elsewhere."""
    connection = apsw.Connection(os.fspath(database), flags=apsw.SQLITE_OPEN_READONLY)
    found = connection.execute("SELECT state, spec FROM jobs")
    specs = [pb.JobSpec.FromString(spec) for state, spec in found if not JobState(state).terminal]
    connection.close()
    archives = {home.archive(spec.archive) for spec in specs if spec.archive}
    files = {home.uploaded_file(spec.resume_from) for spec in specs if spec.resume_from}
    return sorted(path for path in archives | files if path.exists())


def _pack(copies: Mapping[str, Path], uploads: Sequence[Path], made: Backup, target: Path) -> None:
    manifest = {
        "format": FORMAT,
        "created": made.created,
        "jobs": made.jobs,
        "uploads": {path.name: path.stat().st_size for path in uploads},
        "files": {name: {"size": path.stat().st_size, "sha256": _digest(path)} for name, path in copies.items()},
    }
    with target.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            archive.writestr(_MANIFEST, json.dumps(manifest, indent=1))
            for name, path in copies.items():
                archive.write(path, name)
            for path in uploads:
                archive.write(path, f"uploads/{path.name}", zipfile.ZIP_STORED)
        file.flush()
        os.fsync(file.fileno())


def _unpack(file: Path, folder: Path, home: Home) -> Backup:
    """Unpack the two databases and the uploads, and nothing else that the file may hold, if they are what the manifest says."""
    try:
        with zipfile.ZipFile(file) as archive:
            manifest = json.loads(archive.read(_MANIFEST))
            if manifest["format"] != FORMAT:
                raise BackupFailed(f"cannot read {file}", f"its format is {manifest['format']}", "use a newer allgrad")
            for name in _VERSIONS:
                _unpack_one(archive, name, manifest["files"][name], folder / name)
            for name, size in manifest.get("uploads", {}).items():
                _restore_upload(archive, name, int(size), folder / "upload", Uploads(home))
            sizes = [manifest["files"][name]["size"] for name in _VERSIONS]
            return Backup(float(manifest["created"]), int(manifest["jobs"]), sum(sizes))
    except (zipfile.BadZipFile, zlib.error, KeyError, TypeError, ValueError, EOFError) as error:
        raise BackupFailed(f"cannot read {file}", f"it is no whole backup: {error}", "use another one") from error


def _unpack_one(archive: zipfile.ZipFile, name: str, told: Mapping[str, object], target: Path) -> None:
    size = int(str(told["size"]))
    with archive.open(name) as packed, target.open("xb") as file:
        os.fchmod(file.fileno(), 0o600)
        while chunk := packed.read(_CHUNK):
            size -= len(chunk)
            if size < 0:
                break
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    if size != 0 or _digest(target) != told["sha256"]:
        raise zipfile.BadZipFile(f"{name} is not what was packed")


def _restore_upload(archive: zipfile.ZipFile, name: str, size: int, beside: Path, uploads: Uploads) -> None:
    """Keep one upload under the hash that its name tells, as if it had been uploaded now."""
    digest, _, kind = name.partition(".")
    target = uploads.path(digest, plain=kind == "file")
    _unpack_one(archive, f"uploads/{name}", {"size": size, "sha256": digest}, beside)
    target.parent.mkdir(mode=0o700, exist_ok=True)
    beside.rename(uploads.part(digest))
    uploads.complete(digest, plain=kind == "file")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
