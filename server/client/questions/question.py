"""A question: one call to the server as a value, which says what is sent and what the answer means."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from google.protobuf.message import Message

from ..kinds import TEXT, check_kinds

Response = TypeVar("Response", bound=Message)
Answer = TypeVar("Answer")
Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Question(Generic[Response, Answer]):
    """A call with one answer. The request's type names the method: GetJobRequest is what GetJob takes."""

    service: str
    request: Message
    response: type[Response]
    value: Callable[[Response], Answer]

    @property
    def path(self) -> str:
        """The method as gRPC names it."""
        return path(self.service, type(self.request))


@dataclass(frozen=True, slots=True)
class Stream(Generic[Response, Item]):
    """A call whose answer is a stream; each message of it holds any number of items."""

    service: str
    request: Message
    response: type[Response]
    values: Callable[[Response], Iterable[Item]]
    endless: bool = True
    """Whether it may go on for as long as a job, so that it is opened anew now and then where it stands."""

    @property
    def path(self) -> str:
        """The method as gRPC names it."""
        return path(self.service, type(self.request))


@dataclass(frozen=True, slots=True)
class Sending:
    """A call that sends a stream."""

    service: str
    kind: type[Message]
    requests: Callable[[], Iterator[Message]]
    response: type[Message]

    @property
    def path(self) -> str:
        """The method as gRPC names it."""
        return path(self.service, self.kind)


def path(service: str, request: type[Message]) -> str:
    """Return the method of *service* that takes *request*, as gRPC names it."""
    return f"/allgrad.v1.{service}/{request.__name__.removesuffix('Request')}"


def request_id(given: str | None) -> str:
    """Return what protects a submit from being doubled: *given*, or a new one. Raises TypeError if it is no str."""
    check_kinds({"request_id": TEXT}, {"request_id": given})
    return given or uuid.uuid4().hex


def nothing(_: Any) -> None:
    """Return what an empty answer means."""
