"""Messages between a loader and its worker over a socket: arrays are sent and received in place."""

from __future__ import annotations

import pickle
import socket
import struct
from typing import Any

import numpy as np

_COUNT = struct.Struct("<Q")


class Channel:
    """One end of a connection between two processes of one program, which trust each other with pickles."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    @classmethod
    def pair(cls) -> tuple[Channel, Channel]:
        """Return two connected ends."""
        one, other = socket.socketpair()
        return cls(one), cls(other)

    def fileno(self) -> int:
        """Return the descriptor to wait on."""
        return self._socket.fileno()

    def close(self) -> None:
        """End the connection: the other side's ``receive`` raises EOFError."""
        self._socket.close()

    def send(self, message: object) -> None:
        """Send any picklable value; the memory of its arrays goes out as it lies.

        Raises:
            BrokenPipeError: the other end is closed.
        """
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(message, protocol=5, buffer_callback=buffers.append)
        parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
        sizes = struct.pack(f"<{len(parts)}Q", *(part.nbytes for part in parts))
        self._socket.sendall(_COUNT.pack(len(parts)) + sizes)
        for part in parts:
            self._socket.sendall(part)

    def receive(self) -> Any:
        """Wait for the next message and return it; its arrays own their memory and can be written to.

        Raises:
            EOFError: the other end was closed, or its process ended.
        """
        (count,) = _COUNT.unpack(self._exactly(_COUNT.size))
        sizes = struct.unpack(f"<{count}Q", self._exactly(count * 8))
        head, *buffers = (self._exactly(size) for size in sizes)
        return pickle.loads(head, buffers=buffers)  # noqa: S301 -- made by our own worker process

    def _exactly(self, size: int) -> memoryview:
        memory = np.empty(size, np.uint8).data
        done = 0
        while done < size:
            try:
                arrived = self._socket.recv_into(memory[done:])
            except ConnectionResetError:
                arrived = 0
            if not arrived:
                raise EOFError("the other end of the channel was closed")
            done += arrived
        return memory
