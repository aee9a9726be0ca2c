"""Asking through lost connections and restarts of the server."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import AllgradError, ServerUnreachable
from .destination import Destination
from .questions.question import Question, Sending, Stream
from .tries import CallTries, StreamTries

if TYPE_CHECKING:
    from .connection import Connection

Answer = TypeVar("Answer")
Item = TypeVar("Item")


class Session:
    """The present connection to a server; after a loss, a new one: the server may have come back on another port."""

    def __init__(self, destination: Destination, patience: float) -> None:
        self._destination = destination
        self._patience = patience
        self._connection: Connection | None = None
        self._answered = False

    def ask(self, question: Question[Any, Answer]) -> Answer:
        """Return the answer to *question*, asked a few times if a server that answered before does not."""
        return self._repeated(lambda connection: connection.ask(question))

    def send(self, sending: Callable[[], Sending | None]) -> None:
        """Send what *sending* returns, called anew after every lost connection; None: there is no need to."""

        def attempt(connection: Connection) -> None:
            stream = sending()
            if stream is not None:
                connection.send(stream)

        self._repeated(attempt)

    def stream(
        self, question: Callable[[], Stream[Any, Item]], is_over: Callable[[], bool] = lambda: False
    ) -> Iterator[Item]:
        """Yield what answers *question*, called anew after every lost connection until patience ends, or it *is_over*."""
        import grpc

        from ..messages.statuses import due_for_renewal, error_of

        tries = StreamTries(self._patience, answered=self._answered)
        while True:
            connection, explained = self._connection, AllgradError("")
            try:
                connection = self._connect()
                for item in connection.stream(question()):
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
            self._wait(tries, explained, connection)

    def close(self) -> None:
        """Close the connection. The session may be used again; it then reconnects."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> Connection:
        if self._connection is None:
            route = self._destination.route()
            from .connection import Connection  # gRPC takes 0.1 s to load: only when it is needed

            self._connection = Connection(route)
        return self._connection

    def _repeated(self, attempt: Callable[[Connection], Answer]) -> Answer:
        import grpc

        from ..messages.statuses import error_of

        tries = CallTries(answered=self._answered)
        while True:
            connection = self._connect()
            try:
                answer = attempt(connection)
            except grpc.RpcError as error:
                self._wait(tries, error_of(error, connection.address), connection)
            else:
                self._answered = True
                return answer

    def _wait(self, tries: CallTries | StreamTries, error: AllgradError, lost: Connection | None) -> None:
        """Wait for the next try, or raise *error*; forget the *lost* connection if the server is elsewhere now."""
        moved = lost is not None and self._destination.moved(lost.address)
        pause = tries.pause_after(error, moved)
        if moved and self._connection is lost:
            self.close()
        time.sleep(pause)
