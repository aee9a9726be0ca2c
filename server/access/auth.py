"""No call without a token whose scope allows it: the outermost interceptor."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import grpc

from ..errors import AllgradError, Forbidden, Unauthenticated
from ..messages import statuses
from . import rules as access
from .rules import RULES, Act
from .tokens import Tokens

_SCHEME = "Bearer "
_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class TokenRequired(grpc.aio.ServerInterceptor):
    """Lets through only calls whose metadata say `authorization: Bearer TOKEN`, of a token that allows them."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens
        self._missing = _refusal(_invalid("there is none", "send the metadata authorization: Bearer TOKEN"))
        self._wrong = _refusal(
            _invalid(
                "it is another server's, an old one, or revoked",
                "set ALLGRAD_TOKEN to what the server's token file holds, or ask an administrator for one",
            )
        )

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[_Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> _Handler | None:
        """Hand the call on, or answer UNAUTHENTICATED or PERMISSION_DENIED."""
        for key, value in handler_call_details.invocation_metadata or ():
            if key == "authorization" and isinstance(value, str) and value.startswith(_SCHEME):
                caller = self._tokens.caller(value.removeprefix(_SCHEME))
                if caller is None:
                    return self._wrong
                method = handler_call_details.method
                rule = RULES.get(method)
                if rule is not None and not caller.scope.includes(rule.scope):
                    return _refusal(_too_little(method, caller.scope, rule.scope))
                handler = await continuation(handler_call_details)
                if handler is not None and rule is None:
                    return _refusal(Forbidden(f"{method} is closed", "no scope is known that allows it"))
                access.begin(Act(caller, method.rpartition("/")[2] if rule and rule.audited else ""))
                return handler
        return self._missing


def _invalid(found: str, fix: str) -> Unauthenticated:
    return Unauthenticated("the server wants a valid token", found, fix)


def _too_little(method: str, scope: access.Scope, needed: access.Scope) -> Forbidden:
    name = method.rpartition("/")[2]
    return Forbidden(
        f"this token does not allow {name}",
        f"its scope is {scope}, and {needed} is needed",
        "ask an administrator for another one: allgrad token create USER --scope " + needed,
    )


def _refusal(error: AllgradError) -> _Handler:
    status = statuses.status_of(error)

    async def refuse(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort_with_status(status)

    return grpc.unary_unary_rpc_method_handler(refuse)
