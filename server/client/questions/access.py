"""What administrators ask: tokens, quotas, the audit log."""

from __future__ import annotations

from collections.abc import Sequence

from allgrad.proto import access_pb2 as pb

from ...access.rules import AuditRecord, Quota, Scope, Token
from ...messages.access import audit_value, quota_message, quota_value, scope_message, token_value
from .question import Question

_SERVICE = "AccessService"


def create_token(user: str, scope: Scope | str) -> Question[pb.CreateTokenResponse, tuple[Token, str]]:
    """Make a token."""
    request = pb.CreateTokenRequest(user=user, scope=scope_message(Scope(scope)))
    return Question(
        _SERVICE, request, pb.CreateTokenResponse, lambda answer: (token_value(answer.token), answer.secret)
    )


def tokens() -> Question[pb.ListTokensResponse, Sequence[Token]]:
    """Return all tokens."""
    request = pb.ListTokensRequest()
    return Question(_SERVICE, request, pb.ListTokensResponse, lambda answer: list(map(token_value, answer.tokens)))


def revoke_token(token_id: str) -> Question[pb.RevokeTokenResponse, Token]:
    """End a token."""
    request = pb.RevokeTokenRequest(token_id=token_id)
    return Question(_SERVICE, request, pb.RevokeTokenResponse, lambda answer: token_value(answer.token))


def set_quota(quota: Quota) -> Question[pb.SetQuotaResponse, Quota]:
    """Limit a user."""
    request = pb.SetQuotaRequest(quota=quota_message(quota))
    return Question(_SERVICE, request, pb.SetQuotaResponse, lambda answer: quota_value(answer.quota))


def quotas() -> Question[pb.ListQuotasResponse, Sequence[Quota]]:
    """Return the limits."""
    request = pb.ListQuotasRequest()
    return Question(_SERVICE, request, pb.ListQuotasResponse, lambda answer: list(map(quota_value, answer.quotas)))


def audit(page_token: str) -> Question[pb.ListAuditRecordsResponse, tuple[Sequence[AuditRecord], str]]:
    """Return one page of the audit log and the token of the next."""

    def value(answer: pb.ListAuditRecordsResponse) -> tuple[Sequence[AuditRecord], str]:
        return list(map(audit_value, answer.records)), answer.next_page_token

    request = pb.ListAuditRecordsRequest(page_token=page_token)
    return Question(_SERVICE, request, pb.ListAuditRecordsResponse, value)
