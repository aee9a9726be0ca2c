"""One gRPC channel to a server, over which questions are asked; loaded when a client first needs it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from ..access import tls
from .destination import Route
from .questions.question import Question, Sending, Stream

Answer = TypeVar("Answer")
Item = TypeVar("Item")

DEADLINE = 15.0
"""Seconds after which a call without an answer is given up."""
RENEWAL = 120.0
"""Seconds after which a stream is opened anew where it stands, so that none can hang unnoticed."""
CHANNEL_OPTIONS: Sequence[tuple[str, Any]] = (
    # The client itself repeats calls and resumes streams. gRPC's own retries, met with a server that was killed,
    # have been seen to leave a stream waiting for ever on a channel that has failed.
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 1_000),
    ("grpc.max_receive_message_length", 16 << 20),
)


class Connection:
    """A channel, with the token that every call bears. Methods raise grpc.RpcError."""

    def __init__(self, route: Route) -> None:
        self.address = route.address
        self._channel = tls.channel(route.address, route.files, CHANNEL_OPTIONS)
        self._metadata = metadata(route)
        self._calls: dict[type, Any] = {}
        """What makes a call, by the type of its request: made once, since that takes a part of what a call takes."""

    def ask(self, question: Question[Any, Answer]) -> Answer:
        """Return the answer to *question*."""
        kind = type(question.request)
        call = self._calls.get(kind)
        if call is None:
            call = self._channel.unary_unary(question.path, kind.SerializeToString, question.response.FromString)
            self._calls[kind] = call
        return question.value(call(question.request, timeout=DEADLINE, metadata=self._metadata))

    def stream(self, question: Stream[Any, Item]) -> Iterator[Item]:
        """Yield what answers *question*, until its end or the connection's."""
        method = self._channel.unary_stream(
            question.path, type(question.request).SerializeToString, question.response.FromString
        )
        call = method(question.request, timeout=RENEWAL if question.endless else None, metadata=self._metadata)
        try:
            for answer in call:
                yield from question.values(answer)
        finally:
            call.cancel()

    def send(self, sending: Sending) -> None:
        """Send a stream, and return when it is accepted."""
        method = self._channel.stream_unary(sending.path, sending.kind.SerializeToString, sending.response.FromString)
        method(sending.requests(), metadata=self._metadata)

    def close(self) -> None:
        """Close the channel; calls in progress end as cancelled."""
        self._channel.close()


def metadata(route: Route) -> tuple[tuple[str, str], ...]:
    """Return what every call bears."""
    return (("authorization", f"Bearer {route.token}"),)
