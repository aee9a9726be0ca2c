"""Asking through lost connections and restarts of the server, without holding up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, TypeVar

import grpc

from ...errors import AllgradError, ServerUnreachable
from ...messages.statuses import due_for_renewal, error_of
from ..destination import Destination
from ..questions.question import Question, Sending, Stream
from ..tries import CallTries, StreamTries
from .connection import AsyncConnection

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class AsyncSession:
    """The present connection to a server; after a loss, a new one: the server may have come back on another port."""

    def __init__(self, destination: Destination, patience: float) -> None:
        self._destination = destination
        self._patience = patience
        self._connection: AsyncConnection | None = None
        self._answered = False

    async def ask(self, question: Question[Any, Answer]) -> Answer:
        """Return the answer to *question*, asked a few times if a server that answered before does not."""
        return await self._repeated(lambda connection: connection.ask(question))

    async def send(self, sending: Callable[[], Awaitable[Sending | None]]) -> None:
        """Send what *sending* returns, called anew after every lost connection; None: there is no need to."""

        async def attempt(connection: AsyncConnection) -> None:
            stream = await sending()
            if stream is not None:
                await connection.send(stream)

        await self._repeated(attempt)

    async def stream(
        self, question: Callable[[], Stream[Any, Item]], is_over: Callable[[], bool] = lambda: False
    ) -> AsyncGenerator[Item, None]:
        """Yield what answers *question*, called anew after every lost connection until patience ends, or it *is_over*."""
        tries = StreamTries(self._patience, answered=self._answered)
        while True:
            connection, explained = self._connection, AllgradError("")
            try:
                connection = self._connect()
                async with aclosing(connection.stream(question())) as items:
                    async for item in items:
                        self._answered = True
                        tries.note_answer()
                        yield item
            except grpc.RpcError as error:
                assert connection is not None
                if due_for_renewal(error):
                    continue
                explained = error_of(error, connection.address)
            except ServerUnreachable as error:
                explained = error
            else:
                return
            if is_over():
                return
            await self._wait(tries, explained, connection)

    async def close(self) -> None:
        """Close the connection. The session may be used again; it then reconnects."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def _connect(self) -> AsyncConnection:
        if self._connection is None:
            self._connection = AsyncConnection(self._destination.route())
        return self._connection

    async def _repeated(self, attempt: Callable[[AsyncConnection], Awaitable[Answer]]) -> Answer:
        tries = CallTries(answered=self._answered)
        while True:
            connection = self._connect()
            try:
                answer = await attempt(connection)
            except grpc.RpcError as error:
                await self._wait(tries, error_of(error, connection.address), connection)
            else:
                self._answered = True
                return answer

    async def _wait(self, tries: CallTries | StreamTries, error: AllgradError, lost: AsyncConnection | None) -> None:
        """Wait for the next try, or raise *error*; forget the *lost* connection if the server is elsewhere now."""
        moved = lost is not None and self._destination.moved(lost.address)
        pause = tries.pause_after(error, moved)
        if moved and self._connection is lost:
            await self.close()
        await asyncio.sleep(pause)
