"""The gRPC face for administrators: tokens, quotas, audit log."""

from __future__ import annotations

from allgrad.proto import access_pb2 as pb
from allgrad.proto.access_pb2_grpc import AccessServiceServicer

from ..access.tokens import Tokens
from ..control.controller import Control
from ..errors import InvalidRequest
from ..messages.access import audit_message, quota_message, quota_value, scope_value, token_message
from ..store import JobFilter
from .calls import unary
from .requests import page_length, page_start, page_token

_EVERY = JobFilter(sweep="audit")
"""To which the page tokens of the audit log belong, and no list of jobs: no sweep has such an id."""


class AccessService(AccessServiceServicer):
    """What administrators ask about access."""

    def __init__(self, control: Control, tokens: Tokens) -> None:
        self._control = control
        self._tokens = tokens

    @unary
    async def CreateToken(self, request: pb.CreateTokenRequest) -> pb.CreateTokenResponse:  # noqa: N802
        """Make a token."""
        scope = scope_value(request.scope)
        if scope is None:
            raise InvalidRequest("a token needs a scope", "none is named", "use VIEW, SUBMIT or ADMIN", field="scope")
        token, secret = await self._tokens.create(request.user, scope)
        return pb.CreateTokenResponse(token=token_message(token), secret=secret)

    @unary
    async def ListTokens(self, _: pb.ListTokensRequest) -> pb.ListTokensResponse:  # noqa: N802
        """List the tokens."""
        return pb.ListTokensResponse(tokens=map(token_message, self._tokens.listed()))

    @unary
    async def RevokeToken(self, request: pb.RevokeTokenRequest) -> pb.RevokeTokenResponse:  # noqa: N802
        """End a token."""
        return pb.RevokeTokenResponse(token=token_message(await self._tokens.revoke(request.token_id)))

    @unary
    async def SetQuota(self, request: pb.SetQuotaRequest) -> pb.SetQuotaResponse:  # noqa: N802
        """Limit a user."""
        return pb.SetQuotaResponse(quota=quota_message(await self._control.set_quota(quota_value(request.quota))))

    @unary
    async def ListQuotas(self, _: pb.ListQuotasRequest) -> pb.ListQuotasResponse:  # noqa: N802
        """List the limits."""
        return pb.ListQuotasResponse(quotas=map(quota_message, self._control.quotas.values()))

    @unary
    async def ListAuditRecords(  # noqa: N802
        self, request: pb.ListAuditRecordsRequest
    ) -> pb.ListAuditRecordsResponse:
        """Return a page of the audit log."""
        length, below = page_length(request.page_size), page_start(request.page_token, _EVERY)
        found = await self._control.audit(below, length + 1)
        token = page_token(_EVERY, found[length - 1].number) if len(found) > length else ""
        return pb.ListAuditRecordsResponse(records=map(audit_message, found[:length]), next_page_token=token)
