"""The tokens of a running server: looked up without the disk, changed through the store."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace

from ..errors import InvalidRequest, TokenNotFound
from ..jobs.job import ADMIN
from ..store import Store
from .rules import Caller, Scope, Token, about, check_user, digest

SECRET_BYTES = 32
TOKEN_LIMIT = 10_000


class Tokens:
    """All tokens. *root* is the one in the server's folder."""

    def __init__(self, store: Store, root: str) -> None:
        self._store = store
        self._tokens: dict[str, Token] = {}
        self._callers = {digest(root): Caller(ADMIN, Scope.ADMIN, "home")}
        for token, kept in store.reader.tokens():
            self._learn(token, kept)

    def __repr__(self) -> str:
        return f"Tokens({len(self._tokens)})"

    def caller(self, secret: str) -> Caller | None:
        """Return whose token *secret* is, or None if it is none or was revoked."""
        found = self._callers.get(digest(secret))  # a look-up by hash tells nothing of the secret by its time
        return None if found is None or found.revoked else found

    async def create(self, user: str, scope: Scope) -> tuple[Token, str]:
        """Make a token for *user*; return it and its secret, which nobody can tell later."""
        check_user(user)
        if sum(token.revoked is None for token in self._tokens.values()) >= TOKEN_LIMIT:
            raise InvalidRequest("no more tokens can be made", f"there are {TOKEN_LIMIT}", "revoke some")
        if user == ADMIN and scope is not Scope.ADMIN:
            raise InvalidRequest(f"user {ADMIN} has scope admin", f"{scope} was asked for", "name another user", "user")
        token = Token(secrets.token_hex(6), user, scope, time.time())
        secret = f"allgrad_{secrets.token_urlsafe(SECRET_BYTES)}"
        about(token.id)
        await self._store.insert_token(token, digest(secret))
        self._learn(token, digest(secret))
        return token, secret

    def listed(self) -> list[Token]:
        """Return all tokens, in order of their making."""
        return list(self._tokens.values())

    async def revoke(self, token_id: str) -> Token:
        """End a token. Raises TokenNotFound."""
        token = self._tokens.get(token_id)
        if token is None:
            raise TokenNotFound(f"no token {token_id!r}", "the server has none of that id", "see: allgrad token list")
        if token.revoked is None:
            token = replace(token, revoked=time.time())
            await self._store.revoke_token(token)
            self._tokens[token_id] = token
            for caller in self._callers.values():
                caller.revoked |= caller.token == token_id
        return token

    def _learn(self, token: Token, kept: bytes) -> None:
        self._tokens[token.id] = token
        self._callers[kept] = Caller(token.user, token.scope, token.id, token.revoked is not None)
