"""What every call of the server has: a deadline, and errors told as statuses."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

import grpc
from google.protobuf.message import DecodeError

from ..access import rules as access
from ..errors import AllgradError, InvalidRequest, ServerBusy, Unauthenticated
from ..messages import statuses

Context = Any
"""grpc.aio's and the generated code's ideas of it differ."""
Request = TypeVar("Request")
Answer = TypeVar("Answer")

DEADLINE = 10.0
"""Seconds after which a call that is not a stream is given up, whatever the client allows."""
log = logging.getLogger(__name__)


class ByName:
    """Takes services for *server*, whose methods are looked up by name when they are called.

    Generated code registers each method besides, and grpc.aio then waits for all of them anew with every call: with 30
    methods that took a tenth of the processor time of a small one.
    """

    def __init__(self, server: grpc.aio.Server) -> None:
        self._server = server

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        """Take the methods of a service."""
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: object) -> None:
        """Leave them unregistered: add_generic_rpc_handlers has got them too."""


class Readable(grpc.aio.ServerInterceptor):
    """Has a request that cannot be read answered as a bad one; gRPC itself would blame the server.

    An answer may come as bytes, serialised already.
    """

    def __init__(self) -> None:
        self._adapted: dict[str, grpc.RpcMethodHandler[Any, Any]] = {}

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Hand the call on, with a reader of requests that never fails and a writer that lets bytes pass."""
        method = handler_call_details.method
        if method not in self._adapted:
            handler = await continuation(handler_call_details)
            if handler is None or handler.request_streaming:
                return handler
            self._adapted[method] = _adapted(handler)
        return self._adapted[method]


def _adapted(handler: Any) -> Any:
    read, write = handler.request_deserializer, handler.response_serializer
    return handler._replace(
        request_deserializer=lambda data: _read(read, data),
        response_serializer=lambda answer: answer if isinstance(answer, bytes) else write(answer),
    )


def _read(read: Callable[[bytes], Any], data: bytes) -> Any:
    try:
        return read(data)
    except DecodeError as error:
        return InvalidRequest("the request cannot be read", str(error), "send what proto/ describes")


async def _refuse(context: Context, error: Exception) -> None:
    """End a call with what *error* tells."""
    if not isinstance(error, AllgradError):
        log.error("a call failed", exc_info=error)
        error = AllgradError("the server made a mistake", type(error).__name__, "see its log")
    await context.abort_with_status(statuses.status_of(error))


def _describe(request: object, context: Context) -> None:
    """Say for the audit log what the call is about, and from where it comes."""
    if act := access.current():
        act.peer = context.peer() or ""
        named = (getattr(request, field, "") for field in ("job_id", "sweep_id", "token_id"))
        act.target = next(filter(None, named), "")


def _check_valid(caller: access.Caller) -> None:
    if caller.revoked:
        raise Unauthenticated("the stream has ended", "its token was revoked", "use another one")


def _check_readable(request: object) -> None:
    if isinstance(request, InvalidRequest):
        raise request


def unary(method: Callable[[Any, Request], Awaitable[Answer]]) -> Callable[[Any, Request, Context], Any]:
    """Turn a coroutine into a call: with a deadline, and errors as statuses."""

    @functools.wraps(method)
    async def call(self: object, request: Request, context: Context) -> Answer | None:
        _describe(request, context)
        try:
            _check_readable(request)
            async with asyncio.timeout(DEADLINE):
                return await method(self, request)
        except TimeoutError:
            await _refuse(context, ServerBusy("the server did not answer", f"within {DEADLINE:g} s", "try again"))
        except Exception as error:  # noqa: BLE001 -- the client gets to know it
            await _refuse(context, error)
        return None

    return call


def receiving(method: Callable[[Any, AsyncIterator[Request]], Awaitable[Answer]]) -> Callable[..., Any]:
    """Turn a coroutine that takes a stream into a call; it lasts as long as the stream does."""

    @functools.wraps(method)
    async def call(self: object, requests: AsyncIterator[Request], context: Context) -> Answer | None:
        _describe(requests, context)
        caller = access.caller()

        async def valid() -> AsyncIterator[Request]:
            async for request in requests:
                _check_valid(caller)
                yield request

        try:
            return await method(self, valid())
        except Exception as error:  # noqa: BLE001 -- the client gets to know it
            await _refuse(context, error)
        return None

    return call


def stream(
    method: Callable[[Any, Request], AsyncIterator[Answer]],
) -> Callable[[Any, Request, Context], Any]:
    """Turn an asynchronous generator into a streaming call, errors as statuses."""

    @functools.wraps(method)
    async def call(self: object, request: Request, context: Context) -> AsyncIterator[Answer]:
        caller = access.caller()
        try:
            _check_readable(request)
            async for answer in method(self, request):
                _check_valid(caller)
                yield answer
        except Exception as error:  # noqa: BLE001 -- the client gets to know it
            await _refuse(context, error)

    return call
