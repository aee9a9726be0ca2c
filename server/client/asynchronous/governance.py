"""What administrators ask through an asynchronous client: tokens, quotas, audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from ...access.rules import AuditRecord, Quota, Scope, Token
from ..questions import access
from .session import AsyncSession


class AsyncGovernance:
    """`AsyncClient.access`: as Governance, every method needs a token of scope ADMIN, or raises Forbidden."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    def __repr__(self) -> str:
        return "AsyncGovernance()"

    async def create_token(self, user: str, scope: Scope | str = Scope.SUBMIT) -> tuple[Token, str]:
        """Make a token for *user* and return it with its secret: see Governance.create_token()."""
        return await self._session.ask(access.create_token(user, scope))

    async def tokens(self) -> Sequence[Token]:
        """Return all tokens, the revoked ones too, in order of their making."""
        return await self._session.ask(access.tokens())

    async def revoke_token(self, token_id: str) -> Token:
        """End a token at once, for streams in progress too. Raises TokenNotFound."""
        return await self._session.ask(access.revoke_token(token_id))

    async def set_quota(self, user: str, *, queued: int = 0, running: int = 0, slots: int = 0) -> Quota:
        """Limit what *user* may have at once: see Governance.set_quota()."""
        return await self._session.ask(access.set_quota(Quota(user, queued, running, slots)))

    async def quotas(self) -> Sequence[Quota]:
        """Return the limits of all users that have any."""
        return await self._session.ask(access.quotas())

    async def audit(self) -> AsyncIterator[AuditRecord]:
        """Yield every change that was made through a call, newest first."""
        page_token = ""
        while True:
            records, page_token = await self._session.ask(access.audit(page_token))
            for record in records:
                yield record
            if not page_token:
                return
