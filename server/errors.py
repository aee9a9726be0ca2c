"""The errors of the server and its clients, each with the exit code that the command line gives it.

AllgradError
├── ServerUnreachable   no server answers
├── Unauthenticated     the token is missing or wrong
├── Forbidden           the token's scope does not allow the call
├── QuotaExceeded       the user has as much as the quota allows
├── JobNotFound         no job has that id
│   └── SweepNotFound   no sweep has that id
├── TokenNotFound       no token has that id
├── JobStateConflict    the job's state forbids what was asked
├── InvalidRequest      the request can never be satisfied as it is
│   ├── RequestIdTaken  the request id belongs to a submit with another body
│   └── CursorAhead     the cursor lies beyond the job's last event
├── ServerBusy          the server cannot take this now: disk full, stopping, deadline passed
├── CannotServe         the server cannot start: port taken, folder in use, address not allowed
├── BackupFailed        a backup cannot be made, read or restored
│   └── BackupRefused   nor could it on a sound machine: a wrong folder or file was named
├── LauncherMissing     ranks were asked for, and no MPI is installed
├── HostUnreachable     ranks cannot start on a host that was named
└── JournalDamaged      a line in the middle of a journal is not what was written
"""

from __future__ import annotations

from typing import ClassVar


class AllgradError(Exception):
    """Something that a person can act on: what was asked, what was found, what to do.

    The three parts are attributes, and the message is those that are not empty, joined by semicolons.
    """

    exit_code: ClassVar[int] = 1
    code: ClassVar[str] = "INTERNAL"
    """Name of the gRPC status with which the server answers."""
    reason: ClassVar[str] = "INTERNAL"
    """`google.rpc.ErrorInfo.reason`, by which clients tell errors apart."""

    def __init__(self, what: str, found: str = "", fix: str = "") -> None:
        super().__init__("; ".join(part for part in (what, found, fix) if part))
        self.what, self.found, self.fix = what, found, fix


class ServerUnreachable(AllgradError):
    """No server answers at the address."""

    exit_code = 3
    code = reason = "UNAVAILABLE"


class Unauthenticated(AllgradError):
    """The token is missing or wrong."""

    exit_code = 4
    code = reason = "UNAUTHENTICATED"


class Forbidden(AllgradError):
    """The token is valid, and not for this."""

    exit_code = 4
    code = "PERMISSION_DENIED"
    reason = "FORBIDDEN"


class QuotaExceeded(AllgradError):
    """A user has as much as the quota allows."""

    exit_code = 2
    code = "RESOURCE_EXHAUSTED"
    reason = "QUOTA_EXCEEDED"


class TokenNotFound(AllgradError):
    """The server has no token of that id."""

    exit_code = 5
    code = "NOT_FOUND"
    reason = "TOKEN_NOT_FOUND"


class JobNotFound(AllgradError):
    """The server has no job of that id."""

    exit_code = 5
    code = "NOT_FOUND"
    reason = "JOB_NOT_FOUND"


class SweepNotFound(JobNotFound):
    """The server has no sweep of that id."""

    reason = "SWEEP_NOT_FOUND"


class JobStateConflict(AllgradError):
    """What was asked of *job_id* cannot be done in the state that it is in."""

    exit_code = 2
    code = "FAILED_PRECONDITION"
    reason = "JOB_STATE_CONFLICT"

    def __init__(self, what: str, found: str = "", fix: str = "", job_id: str = "") -> None:
        super().__init__(what, found, fix)
        self.job_id = job_id


class InvalidRequest(AllgradError):
    """The request can never be satisfied as it is; *field* names the part of it that is wrong."""

    exit_code = 2
    code = "INVALID_ARGUMENT"
    reason = "INVALID_REQUEST"

    def __init__(self, what: str, found: str = "", fix: str = "", field: str = "") -> None:
        super().__init__(what, found, fix)
        self.field = field


class RequestIdTaken(InvalidRequest):
    """The request id was used before, for a submit with another body."""

    code = "ALREADY_EXISTS"
    reason = "REQUEST_ID_TAKEN"


class CursorAhead(InvalidRequest):
    """The cursor lies beyond the job's last event: it comes from another job or another server."""

    code = "OUT_OF_RANGE"
    reason = "CURSOR_AHEAD"


class ServerBusy(AllgradError):
    """The server cannot do this now, and may be able to later."""

    code = reason = "RESOURCE_EXHAUSTED"


class CannotServe(AllgradError):
    """The server cannot start."""

    exit_code = 2
    reason = "CANNOT_SERVE"


class BackupFailed(AllgradError):
    """A backup cannot be made, read or restored."""

    reason = "BACKUP_FAILED"


class BackupRefused(BackupFailed):
    """A backup was asked for from, to or into a place that is not one for it."""

    exit_code = 2
    reason = "BACKUP_REFUSED"


class LauncherMissing(InvalidRequest):
    """More than one rank was asked for, and no MPI is installed."""

    code = "FAILED_PRECONDITION"
    reason = "LAUNCHER_MISSING"


class HostUnreachable(AllgradError):
    """Ranks cannot start on a host: ssh does not get there, or finds no allgrad."""

    exit_code = 2
    code = "FAILED_PRECONDITION"
    reason = "HOST_UNREACHABLE"


class JournalDamaged(AllgradError):
    """A line in the middle of a journal is not what was written."""

    code = "DATA_LOSS"
    reason = "JOURNAL_DAMAGED"
