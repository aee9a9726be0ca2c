"""Who may do what: scopes, callers, quotas, and what a change leaves in the audit log, as values."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum

from ..errors import Forbidden, InvalidRequest
from ..jobs.job import ADMIN

QUOTA_LIMIT = 1 << 30
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Scope(StrEnum):
    """What a token allows; each includes those before it."""

    VIEW = "view"
    SUBMIT = "submit"
    ADMIN = "admin"

    def includes(self, other: Scope) -> bool:
        """Return whether all that *other* allows is allowed."""
        return _ORDER[self] >= _ORDER[other]


_ORDER = {scope: place for place, scope in enumerate(Scope)}


@dataclass(frozen=True, slots=True)
class Token:
    """What is known of a token: not the secret itself. Times in seconds since the epoch."""

    id: str
    user: str
    scope: Scope
    created: float = 0.0
    revoked: float | None = None


@dataclass(frozen=True, slots=True)
class Quota:
    """How much a user may have at once; 0: no limit."""

    user: str
    queued: int = 0
    running: int = 0
    slots: int = 0


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One change: who made it, when (seconds since the epoch), and to what."""

    number: int
    time: float
    user: str
    token: str
    peer: str
    action: str
    target: str


@dataclass(slots=True)
class Caller:
    """Who makes a call. One object for each token, so that a stream sees it being revoked."""

    user: str
    scope: Scope
    token: str
    revoked: bool = False


@dataclass(slots=True)
class Act:
    """A call in progress. The first change that it makes writes it down."""

    caller: Caller
    action: str
    peer: str = ""
    target: str = ""
    noted: bool = False


@dataclass(frozen=True, slots=True)
class Rule:
    """What a call asks of its caller, and whether what it changes belongs into the audit log."""

    scope: Scope
    audited: bool = False


_SEE = Rule(Scope.VIEW)
_CHANGE = Rule(Scope.SUBMIT, audited=True)
_GOVERN = Rule(Scope.ADMIN, audited=True)
RULES: Mapping[str, Rule] = {
    f"/{service}/{method}": rule
    for service, rules in {
        "allgrad.v1.JobService": {
            "SubmitJob": _CHANGE,
            "GetJob": _SEE,
            "ListJobs": _SEE,
            "CancelJob": _CHANGE,
            "WatchJob": _SEE,
            "StreamLogs": _SEE,
            "GetServerInfo": _SEE,
            "PauseJob": _CHANGE,
            "ResumeJob": _CHANGE,
            "ChangeJobPriority": _CHANGE,
            "DeleteJob": _CHANGE,
            "ExplainJob": _SEE,
        },
        "allgrad.v1.SweepService": {
            "SubmitSweep": _CHANGE,
            "GetSweep": _SEE,
            "ListSweeps": _SEE,
            "CancelSweep": _CHANGE,
        },
        "allgrad.v1.AccessService": {
            "CreateToken": _GOVERN,
            "ListTokens": Rule(Scope.ADMIN),
            "RevokeToken": _GOVERN,
            "SetQuota": _GOVERN,
            "ListQuotas": Rule(Scope.ADMIN),
            "ListAuditRecords": Rule(Scope.ADMIN),
        },
        "allgrad.v1.FileService": {
            "GetUpload": Rule(Scope.SUBMIT),
            "UploadArchive": _CHANGE,
            "ListArtifacts": _SEE,
            "DownloadArtifact": _SEE,
        },
        "allgrad.v1.ReportingService": {"ReportRecords": Rule(Scope.ADMIN)},
        "grpc.health.v1.Health": {"Check": _SEE, "List": _SEE, "Watch": _SEE},
        "grpc.reflection.v1alpha.ServerReflection": {"ServerReflectionInfo": _SEE},
    }.items()
    for method, rule in rules.items()
}
"""Every call there is; one that is not listed is refused."""

SERVER = Caller(ADMIN, Scope.ADMIN, "server")
"""Who does what nobody asked for."""
_act: ContextVar[Act | None] = ContextVar("act", default=None)


def begin(act: Act) -> None:
    """Let the rest of this task be *act*."""
    _act.set(act)


def current() -> Act | None:
    """Return the call in progress; None: the server does something by itself."""
    return _act.get()


def caller() -> Caller:
    """Return who asked for what is being done."""
    act = _act.get()
    return act.caller if act else SERVER


def about(target: str) -> None:
    """Say what the call in progress changes, if that is more than its request tells."""
    if act := _act.get():
        act.target = target


def check_own(owner: str, what: str) -> None:
    """Raise Forbidden unless the caller is *owner* or an administrator; *what*: such as "job abc"."""
    who = caller()
    if who.scope is not Scope.ADMIN and who.user != owner:
        raise Forbidden(
            f"{what} is not yours to change", f"it is {owner}'s, you are {who.user}", "ask an administrator"
        )


def check_user(user: str) -> None:
    """Raise InvalidRequest if *user* is no name for a user."""
    if not _USER.fullmatch(user):
        raise InvalidRequest(
            f"{user!r} cannot be a user", "names have 1 to 64 letters, digits and any of . _ @ -", "", field="user"
        )


def check_quota(quota: Quota) -> None:
    """Raise InvalidRequest if *quota* is none."""
    check_user(quota.user)
    if not all(0 <= limit <= QUOTA_LIMIT for limit in (quota.queued, quota.running, quota.slots)):
        raise InvalidRequest("a quota has limits from 0", f"{quota} was asked for", "0: no limit", field="quota")


def digest(secret: str) -> bytes:
    """Return what is kept of a token. Its 256 random bits cannot be guessed from it, so it needs no slow hash."""
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
