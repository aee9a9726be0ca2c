"""The calls of AccessService over a connection, speaking in the values of access.py."""

from __future__ import annotations

from typing import Any

import grpc

from allgrad.proto import access_pb2 as pb
from allgrad.proto.access_pb2_grpc import AccessServiceStub

from ..access.rules import AuditRecord, Quota, Scope, Token
from ..messages.access import audit_value, quota_message, quota_value, scope_message, token_value


class AccessCalls:
    """*how* are the deadline and the metadata of every call. Methods raise grpc.RpcError."""

    def __init__(self, channel: grpc.Channel, how: dict[str, Any]) -> None:
        self._stub = AccessServiceStub(channel)
        self._how = how

    def create_token(self, user: str, scope: Scope) -> tuple[Token, str]:
        """Make a token."""
        request = pb.CreateTokenRequest(user=user, scope=scope_message(scope))
        answer = self._stub.CreateToken(request, **self._how)
        return token_value(answer.token), answer.secret

    def tokens(self) -> list[Token]:
        """Return all tokens."""
        return list(map(token_value, self._stub.ListTokens(pb.ListTokensRequest(), **self._how).tokens))

    def revoke_token(self, token_id: str) -> Token:
        """End a token."""
        return token_value(self._stub.RevokeToken(pb.RevokeTokenRequest(token_id=token_id), **self._how).token)

    def set_quota(self, quota: Quota) -> Quota:
        """Limit a user."""
        request = pb.SetQuotaRequest(quota=quota_message(quota))
        return quota_value(self._stub.SetQuota(request, **self._how).quota)

    def quotas(self) -> list[Quota]:
        """Return the limits."""
        return list(map(quota_value, self._stub.ListQuotas(pb.ListQuotasRequest(), **self._how).quotas))

    def audit(self, page_token: str) -> tuple[list[AuditRecord], str]:
        """Return one page of the audit log and the token of the next."""
        answer = self._stub.ListAuditRecords(pb.ListAuditRecordsRequest(page_token=page_token), **self._how)
        return list(map(audit_value, answer.records)), answer.next_page_token
