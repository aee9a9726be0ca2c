"""One grpc.aio channel to a server, over which questions are asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, TypeVar

from ...access import tls
from ..connection import CHANNEL_OPTIONS, DEADLINE, RENEWAL, metadata
from ..destination import Route
from ..questions.question import Question, Sending, Stream

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class AsyncConnection:
    """A channel, with the token that every call bears; of one event loop. Methods raise grpc.RpcError."""

    def __init__(self, route: Route) -> None:
        self.address = route.address
        self._channel = tls.async_channel(route.address, route.files, CHANNEL_OPTIONS)
        self._metadata = metadata(route)

    async def ask(self, question: Question[Any, Answer]) -> Answer:
        """Return the answer to *question*."""
        call = self._channel.unary_unary(
            question.path, type(question.request).SerializeToString, question.response.FromString
        )
        return question.value(await call(question.request, timeout=DEADLINE, metadata=self._metadata))

    async def stream(self, question: Stream[Any, Item]) -> AsyncGenerator[Item, None]:
        """Yield what answers *question*, until its end or the connection's."""
        method = self._channel.unary_stream(
            question.path, type(question.request).SerializeToString, question.response.FromString
        )
        call = method(question.request, timeout=RENEWAL if question.endless else None, metadata=self._metadata)
        try:
            async for answer in call:
                for item in question.values(answer):
                    yield item
        finally:
            call.cancel()

    async def send(self, sending: Sending) -> None:
        """Send a stream, and return when it is accepted."""
        method = self._channel.stream_unary(sending.path, sending.kind.SerializeToString, sending.response.FromString)
        await method(sending.requests(), metadata=self._metadata)

    async def close(self) -> None:
        """Close the channel; calls in progress end as cancelled."""
        await self._channel.close()
