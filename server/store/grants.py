"""Tokens, quotas and the audit log, as rows."""

from __future__ import annotations

import time
from typing import Any

import apsw

from ..access.rules import Act, AuditRecord, Quota, Scope, Token
from ..errors import QuotaExceeded


def insert_token(state: apsw.Connection, token: Token, digest: bytes) -> None:
    """Add a token; of its secret only the *digest*."""
    sql = "INSERT INTO tokens (id, user, scope, digest, created) VALUES (?, ?, ?, ?, ?)"
    state.execute(sql, (token.id, token.user, token.scope.value, digest, token.created))


def revoke_token(state: apsw.Connection, token: Token) -> None:
    """Write down that a token is revoked."""
    state.execute("UPDATE tokens SET revoked = ? WHERE id = ? AND revoked IS NULL", (token.revoked, token.id))


def set_quota(state: apsw.Connection, quota: Quota) -> None:
    """Write down what a user may have."""
    sql = "INSERT OR REPLACE INTO quotas (user, queued, running, slots) VALUES (?, ?, ?, ?)"
    state.execute(sql, (quota.user, quota.queued, quota.running, quota.slots))


def check_room(state: apsw.Connection, user: str, coming: int, limit: int) -> None:
    """Raise QuotaExceeded if *user*, who may have *limit* jobs in the queue (0: any), cannot have *coming* more."""
    if not limit:
        return
    queued = int(state.execute("SELECT count(*) FROM jobs WHERE owner = ? AND state = 'QUEUED'", (user,)).get)
    if queued + coming > limit:
        raise QuotaExceeded(
            f"user {user} may have {limit} jobs in the queue",
            f"{queued} wait, and {coming} would come",
            "submit again when some have started, or ask an administrator for more",
        )


def note(state: apsw.Connection, act: Act) -> None:
    """Add a change to the audit log."""
    sql = "INSERT INTO audit (time, user, token, peer, action, target) VALUES (?, ?, ?, ?, ?, ?)"
    state.execute(sql, (time.time(), act.caller.user, act.caller.token, act.peer, act.action, act.target))


def tokens(state: apsw.Connection) -> list[tuple[Token, bytes]]:
    """Return all tokens with their digests, in order of their making."""
    found = state.execute("SELECT id, user, scope, created, revoked, digest FROM tokens ORDER BY created")
    return [(_token(row[:-1]), row[-1]) for row in found]


def quotas(state: apsw.Connection) -> list[Quota]:
    """Return what users may have."""
    return [Quota(*row) for row in state.execute("SELECT user, queued, running, slots FROM quotas ORDER BY user")]


def audit(state: apsw.Connection, below: int, limit: int) -> list[AuditRecord]:
    """Return up to *limit* records whose number is under *below*, newest first."""
    sql = "SELECT number, time, user, token, peer, action, target FROM audit WHERE number < ? ORDER BY number DESC LIMIT ?"
    return [AuditRecord(*row) for row in state.execute(sql, (below, limit))]


def _token(row: tuple[Any, ...]) -> Token:
    identity, user, scope, created, revoked = row
    return Token(identity, user, Scope(scope), created, revoked)
