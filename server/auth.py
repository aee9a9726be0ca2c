"""No call without the token: the outermost interceptor."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import grpc

from . import statuses
from .errors import Unauthenticated

_SCHEME = "Bearer "


class TokenRequired(grpc.aio.ServerInterceptor):
    """Lets through only calls whose metadata say `authorization: Bearer TOKEN`."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()
        self._missing = _refusal("there is none", "send the metadata authorization: Bearer TOKEN")
        self._wrong = _refusal(
            "it is another server's or an old one", "set ALLGRAD_TOKEN to what the server's token file holds"
        )

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Hand the call on, or answer UNAUTHENTICATED."""
        for key, value in handler_call_details.invocation_metadata or ():
            if key == "authorization" and isinstance(value, str) and value.startswith(_SCHEME):
                if hmac.compare_digest(value.removeprefix(_SCHEME).encode(), self._token):
                    return await continuation(handler_call_details)
                return self._wrong
        return self._missing


def _refusal(found: str, fix: str) -> grpc.RpcMethodHandler[Any, Any]:
    status = statuses.status_of(Unauthenticated("the server wants a valid token", found, fix))

    async def refuse(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        await context.abort_with_status(status)

    return grpc.unary_unary_rpc_method_handler(refuse)
