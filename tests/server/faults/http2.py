"""HTTP/2 by hand, for clients that no library would let one write."""

from __future__ import annotations

import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Return a frame."""
    return struct.pack(">I", len(payload))[1:] + struct.pack(">BBI", kind, flags, stream) + payload


def header_block(path: str, token: str | None) -> bytes:
    """Return the header block of a gRPC call, without any compression."""
    fields = {
        ":method": "POST",
        ":scheme": "http",
        ":path": path,
        ":authority": "localhost",
        "content-type": "application/grpc",
        "te": "trailers",
    }
    if token is not None:
        fields["authorization"] = f"Bearer {token}"
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields.items())


def _text(text: str) -> bytes:
    assert len(text) < 127
    return bytes([len(text)]) + text.encode()


def grpc_message(data: bytes, announced: int | None = None) -> bytes:
    """Return *data* as gRPC frames it; *announced* is the length that it claims to have."""
    return struct.pack(">BI", 0, len(data) if announced is None else announced) + data


def connect(address: str, *, greet: bool = True) -> socket.socket:
    """Return a connection, with the preface and empty settings sent if it is to *greet*."""
    host, _, port = address.rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=60)
    if greet:
        connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
    return connection
