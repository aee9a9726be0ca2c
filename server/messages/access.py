"""Between the values of access.py and the messages of allgrad.v1."""

from __future__ import annotations

from allgrad.proto import access_pb2 as pb

from ..access.rules import AuditRecord, Quota, Scope, Token
from .jobs import seconds, timestamp

_SCOPES = {Scope.VIEW: pb.SCOPE_VIEW, Scope.SUBMIT: pb.SCOPE_SUBMIT, Scope.ADMIN: pb.SCOPE_ADMIN}
_BY_NUMBER = {number: scope for scope, number in _SCOPES.items()}


def scope_message(scope: Scope) -> pb.Scope:
    """Return the enum value of *scope*."""
    return _SCOPES[scope]


def scope_value(message: pb.Scope) -> Scope | None:
    """Return the scope, or None if it is none."""
    return _BY_NUMBER.get(message)


def token_message(token: Token) -> pb.Token:
    """Return *token* as a message."""
    return pb.Token(
        id=token.id,
        user=token.user,
        scope=scope_message(token.scope),
        create_time=timestamp(token.created),
        revoke_time=timestamp(token.revoked),
    )


def token_value(message: pb.Token) -> Token:
    """Return the token that *message* tells; a scope that a newer server knows counts as the least."""
    revoked = seconds(message.revoke_time) if message.HasField("revoke_time") else None
    scope = scope_value(message.scope) or Scope.VIEW
    return Token(message.id, message.user, scope, seconds(message.create_time), revoked)


def quota_message(quota: Quota) -> pb.Quota:
    """Return *quota* as a message."""
    return pb.Quota(user=quota.user, queued_jobs=quota.queued, running_jobs=quota.running, slots=quota.slots)


def quota_value(message: pb.Quota) -> Quota:
    """Return the quota that *message* tells."""
    return Quota(message.user, message.queued_jobs, message.running_jobs, message.slots)


def audit_message(record: AuditRecord) -> pb.AuditRecord:
    """Return *record* as a message."""
    return pb.AuditRecord(
        number=record.number,
        time=timestamp(record.time),
        user=record.user,
        token_id=record.token,
        peer=record.peer,
        action=record.action,
        target=record.target,
    )


def audit_value(message: pb.AuditRecord) -> AuditRecord:
    """Return the record that *message* tells."""
    return AuditRecord(
        message.number,
        seconds(message.time),
        message.user,
        message.token_id,
        message.peer,
        message.action,
        message.target,
    )
