"""The tables of the two databases, by version, and how a connection to them is opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import apsw

from ..errors import CannotServe

SAFE_SQLITE = 3_051_003
"""SQLite before 3.51.3 can lose commits when a checkpoint races (sqlite.org/wal.html#walresetbug)."""

# Entry n takes a database from version n to n + 1, in one transaction. Entries are never changed, only added.
STATE: Sequence[str] = (
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
)
METRICS: Sequence[str] = (
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


def open_to_write(path: Path, migrations: Sequence[str]) -> apsw.Connection:
    """Return the one connection that writes to *path*, with its tables brought up to date.

    Raises CannotServe if SQLite is one that loses commits, or the database is from a newer allgrad.
    """
    if apsw.SQLITE_VERSION_NUMBER < SAFE_SQLITE:
        raise CannotServe(
            "the server needs SQLite 3.51.3 or newer, older ones can lose commits",
            f"apsw brings {apsw.sqlitelibversion()}",
            "upgrade it: pip install -U apsw",
        )
    connection = apsw.Connection(os.fspath(path))
    path.chmod(0o600)
    connection.execute("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON")
    version = int(connection.pragma("user_version"))
    if version > len(migrations):
        raise CannotServe(
            f"{path} cannot be used",
            f"it has version {version}, and this allgrad knows up to {len(migrations)}",
            "use the allgrad that wrote it, or a newer one",
        )
    for number in range(version, len(migrations)):
        with connection:
            connection.execute(migrations[number])
            connection.pragma("user_version", number + 1)
    return connection


def open_to_read(path: Path) -> apsw.Connection:
    """Return a connection that cannot write."""
    connection = apsw.Connection(os.fspath(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(5_000)
    return connection
