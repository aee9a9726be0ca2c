"""The tables of the two databases, by version, and how a connection to them is opened."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

import apsw

from allgrad.proto import jobs_pb2 as pb

from ..errors import CannotServe

SAFE_SQLITE = 3_051_003
"""SQLite before 3.51.3 can lose commits when a checkpoint races (sqlite.org/wal.html#walresetbug)."""

# Room is given back to the disk when jobs are deleted, where the database was made so; a journal that grew goes back, too.
_AS_WE_WRITE = """
    PRAGMA auto_vacuum = INCREMENTAL;
    PRAGMA journal_mode = WAL;
    PRAGMA journal_size_limit = 67108864;
    PRAGMA synchronous = FULL;
    PRAGMA foreign_keys = ON
"""

Migration = str | Callable[[apsw.Connection], None]


def _name_jobs(connection: apsw.Connection) -> None:
    """Give every job the name that its spec tells, to find it by."""
    for number, spec in list(connection.execute("SELECT number, spec FROM jobs")):
        message = pb.JobSpec.FromString(spec)
        name = message.name or message.argv[0].rpartition("/")[2]
        connection.execute("UPDATE jobs SET name = ? WHERE number = ?", (name, number))


# Entry n takes a database from version n to n + 1, in one transaction. Entries are never changed, only added.
STATE: Sequence[Migration] = (
    """
    CREATE TABLE jobs (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        request_id TEXT UNIQUE,
        spec BLOB NOT NULL,
        state TEXT NOT NULL,
        reason TEXT NOT NULL,
        created REAL NOT NULL,
        started REAL,
        finished REAL,
        exit_code INTEGER,
        attempt INTEGER NOT NULL,
        output_dir TEXT NOT NULL,
        checkpoint TEXT NOT NULL,
        warning TEXT NOT NULL
    ) STRICT;
    CREATE INDEX jobs_by_state ON jobs (state, number);
    CREATE TABLE events (
        job INTEGER NOT NULL,
        cursor INTEGER NOT NULL,
        event BLOB NOT NULL,
        PRIMARY KEY (job, cursor)
    ) STRICT, WITHOUT ROWID;
    """,
    """
    ALTER TABLE jobs ADD COLUMN name TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN priority INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN queued REAL NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN not_before REAL NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN cores TEXT NOT NULL DEFAULT '[]';
    ALTER TABLE jobs ADD COLUMN sweep TEXT NOT NULL DEFAULT '';
    ALTER TABLE jobs ADD COLUMN failures TEXT NOT NULL DEFAULT '{}';
    ALTER TABLE jobs ADD COLUMN stopping TEXT NOT NULL DEFAULT '';
    UPDATE jobs SET queued = created;
    CREATE INDEX jobs_by_sweep ON jobs (sweep, number) WHERE sweep != '';
    CREATE TABLE labels (
        job INTEGER NOT NULL,
        key TEXT NOT NULL,
        value TEXT NOT NULL,
        PRIMARY KEY (job, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE sweeps (
        number INTEGER PRIMARY KEY,
        id TEXT NOT NULL UNIQUE,
        request_id TEXT UNIQUE,
        spec BLOB NOT NULL,
        created REAL NOT NULL
    ) STRICT;
    CREATE TABLE rungs (
        sweep TEXT NOT NULL,
        rung INTEGER NOT NULL,
        job TEXT NOT NULL,
        value REAL,
        PRIMARY KEY (sweep, rung, job)
    ) STRICT, WITHOUT ROWID;
    """,
    _name_jobs,
    """
    ALTER TABLE jobs ADD COLUMN owner TEXT NOT NULL DEFAULT 'admin';
    CREATE INDEX jobs_by_owner ON jobs (owner, state);
    CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        user TEXT NOT NULL,
        scope TEXT NOT NULL,
        digest BLOB NOT NULL,
        created REAL NOT NULL,
        revoked REAL
    ) STRICT;
    CREATE TABLE quotas (
        user TEXT PRIMARY KEY,
        queued INTEGER NOT NULL,
        running INTEGER NOT NULL,
        slots INTEGER NOT NULL
    ) STRICT;
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        time REAL NOT NULL,
        user TEXT NOT NULL,
        token TEXT NOT NULL,
        peer TEXT NOT NULL,
        action TEXT NOT NULL,
        target TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER audit_is_not_changed BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'append-only'); END;
    CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'append-only'); END;
    CREATE TABLE uploads (
        digest TEXT PRIMARY KEY,
        size INTEGER NOT NULL,
        created REAL NOT NULL
    ) STRICT;
    """,
)
METRICS: Sequence[Migration] = (
    """
    CREATE TABLE events (
        job INTEGER NOT NULL,
        cursor INTEGER NOT NULL,
        event BLOB NOT NULL,
        PRIMARY KEY (job, cursor)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE progress (
        job INTEGER NOT NULL,
        attempt INTEGER NOT NULL,
        sequence INTEGER NOT NULL,
        PRIMARY KEY (job, attempt)
    ) STRICT, WITHOUT ROWID;
    """,
)


def damage(connection: apsw.Connection, *, thoroughly: bool = False) -> str:
    """Return the first thing that is wrong with a database, or "". *thoroughly*: look at the indexes too."""
    try:
        found = str(connection.pragma("integrity_check" if thoroughly else "quick_check", 1))
    except (apsw.CorruptError, apsw.NotADBError) as error:
        found = str(error)
    return "" if found == "ok" else found.replace("\n", " ")


def _unreadable(connection: apsw.Connection) -> str:
    """Return why a database cannot be read at all, or ""; what is inside is not looked at."""
    try:
        connection.pragma("schema_version")
    except (apsw.CorruptError, apsw.NotADBError) as error:
        return str(error)
    return ""


def open_to_write(path: Path, migrations: Sequence[Migration], *, check: bool = True) -> apsw.Connection:
    """Return the one connection that writes to *path*, with its tables brought up to date.

    Raises CannotServe if SQLite is one that loses commits, the database is from a newer allgrad, or, if it is to be
    checked, damaged.
    """
    if apsw.SQLITE_VERSION_NUMBER < SAFE_SQLITE:
        raise CannotServe(
            "the server needs SQLite 3.51.3 or newer, older ones can lose commits",
            f"apsw brings {apsw.sqlitelibversion()}",
            "upgrade it: pip install -U apsw",
        )
    connection = apsw.Connection(os.fspath(path))
    path.chmod(0o600)
    if found := damage(connection) if check else _unreadable(connection):
        raise CannotServe(f"{path} cannot be used", f"it is damaged: {found}", "see: allgrad restore --help")
    connection.execute(_AS_WE_WRITE)
    version = int(connection.pragma("user_version"))
    if version > len(migrations):
        raise CannotServe(
            f"{path} cannot be used",
            f"it has version {version}, and this allgrad knows up to {len(migrations)}",
            "use the allgrad that wrote it, or a newer one",
        )
    for number in range(version, len(migrations)):
        migration = migrations[number]
        with connection:
            if isinstance(migration, str):
                connection.execute(migration)
            else:
                migration(connection)
            connection.pragma("user_version", number + 1)
    return connection


def give_back(connection: apsw.Connection) -> None:
    """Give the room of what was deleted back to the disk, when the transaction is committed."""
    for _ in connection.execute("PRAGMA incremental_vacuum"):  # a step for each page
        continue


def open_to_read(path: Path) -> apsw.Connection:
    """Return a connection that cannot write."""
    connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(5_000)
    return connection
