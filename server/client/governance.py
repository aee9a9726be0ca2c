"""What administrators ask through a client: tokens, quotas, audit log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ..access.rules import AuditRecord, Quota, Scope, Token
from .questions import access
from .session import Session


class Governance:
    """`Client.access`: every method needs a token of scope ADMIN, or raises Forbidden."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def __repr__(self) -> str:
        return "Governance()"

    def create_token(self, user: str, scope: Scope | str = Scope.SUBMIT) -> tuple[Token, str]:
        """Make a token for *user* and return it with its secret, which cannot be asked for later.

        *scope*: "view", "submit" (submit jobs, and change one's own) or "admin". Raises InvalidRequest.
        """
        return self._session.ask(access.create_token(user, scope))

    def tokens(self) -> Sequence[Token]:
        """Return all tokens, the revoked ones too, in order of their making."""
        return self._session.ask(access.tokens())

    def revoke_token(self, token_id: str) -> Token:
        """End a token at once, for streams in progress too. Raises TokenNotFound."""
        return self._session.ask(access.revoke_token(token_id))

    def set_quota(self, user: str, *, queued: int = 0, running: int = 0, slots: int = 0) -> Quota:
        """Limit what *user* may have at once: jobs in the queue, jobs that run, their slots; 0: no limit."""
        return self._session.ask(access.set_quota(Quota(user, queued, running, slots)))

    def quotas(self) -> Sequence[Quota]:
        """Return the limits of all users that have any."""
        return self._session.ask(access.quotas())

    def audit(self) -> Iterator[AuditRecord]:
        """Yield every change that was made through a call, newest first."""
        page_token = ""
        while True:
            records, page_token = self._session.ask(access.audit(page_token))
            yield from records
            if not page_token:
                return
