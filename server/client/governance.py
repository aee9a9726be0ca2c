"""What administrators ask through a client: tokens, quotas, audit log."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from ..access.rules import AuditRecord, Quota, Scope, Token

if TYPE_CHECKING:
    from .connection import Connection


class Governance:
    """`Client.access`: every method needs a token of scope ADMIN, or raises Forbidden."""

    def __init__(self, call: Callable[[Callable[[Connection], Any]], Any]) -> None:
        self._call = call

    def __repr__(self) -> str:
        return "Governance()"

    def create_token(self, user: str, scope: Scope | str = Scope.SUBMIT) -> tuple[Token, str]:
        """Make a token for *user* and return it with its secret, which cannot be asked for later.

        *scope*: "view", "submit" (submit jobs, and change one's own) or "admin". Raises InvalidRequest.
        """
        token, secret = self._call(lambda connection: connection.access.create_token(user, Scope(scope)))
        return token, secret

    def tokens(self) -> list[Token]:
        """Return all tokens, the revoked ones too, in order of their making."""
        tokens: list[Token] = self._call(lambda connection: connection.access.tokens())
        return tokens

    def revoke_token(self, token_id: str) -> Token:
        """End a token at once, for streams in progress too. Raises TokenNotFound."""
        token: Token = self._call(lambda connection: connection.access.revoke_token(token_id))
        return token

    def set_quota(self, user: str, *, queued: int = 0, running: int = 0, slots: int = 0) -> Quota:
        """Limit what *user* may have at once: jobs in the queue, jobs that run, their slots; 0: no limit."""
        quota = Quota(user, queued, running, slots)
        made: Quota = self._call(lambda connection: connection.access.set_quota(quota))
        return made

    def quotas(self) -> list[Quota]:
        """Return the limits of all users that have any."""
        quotas: list[Quota] = self._call(lambda connection: connection.access.quotas())
        return quotas

    def audit(self) -> Iterator[AuditRecord]:
        """Yield every change that was made through a call, newest first."""
        page_token = ""
        while True:
            records, page_token = self._call(partial(_audit_page, page_token))
            yield from records
            if not page_token:
                return


def _audit_page(page_token: str, connection: Connection) -> tuple[list[AuditRecord], str]:
    return connection.access.audit(page_token)
