"""What Prometheus may ask of the server: figures over HTTP, on a port of its own of this machine, behind the same token."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from ..control.controller import Control
from ..errors import CannotServe
from ..jobs.slots import HERE

PATIENCE = 5.0
"""Seconds that a client has for its request."""
LONGEST_REQUEST = 1 << 14
_NAMES = ("localhost", "127.0.0.1", "[::1]")


class Figures(Collector):
    """The state of a server, as it is when it is asked."""

    def __init__(self, control: Control) -> None:
        self._control = control

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Yield every figure."""
        control = self._control
        yield GaugeMetricFamily("allgrad_slots", "Ranks that may run at once.", control.settings.slots)
        free = control.free_slots()
        yield GaugeMetricFamily("allgrad_slots_free", "Slots that no attempt holds.", free[HERE])
        hosts = GaugeMetricFamily("allgrad_host_slots", "Slots of a host.", labels=["host"])
        free_there = GaugeMetricFamily(
            "allgrad_host_slots_free", "Slots of a host that no attempt holds.", labels=["host"]
        )
        for host, slots in control.settings.hosts.items():
            hosts.add_metric([host], slots)
            free_there.add_metric([host], free[host])
        yield hosts
        yield free_there
        jobs = GaugeMetricFamily("allgrad_jobs", "Unfinished jobs.", labels=["state"])
        jobs.add_metric(["queued"], control.count(running=False))
        jobs.add_metric(["running"], control.count(running=True))
        yield jobs
        yield GaugeMetricFamily("allgrad_disk_sound", "0 after a write to the disk has failed.", float(control.sound))


@asynccontextmanager
async def metrics_page(control: Control, port: int, token: str) -> AsyncIterator[int]:
    """Serve http://127.0.0.1:PORT/metrics to who bears the token; yields the port. Raises CannotServe."""
    registry = CollectorRegistry()
    registry.register(Figures(control))
    ProcessCollector(registry=registry)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                request = await reader.readuntil(b"\r\n\r\n")
                status, body = _answer(request, token, registry)
                writer.write(_response(status, body))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            writer.transport.abort()  # it is no client of ours, or it is gone
        finally:
            writer.close()

    try:
        server = await asyncio.start_server(answer, "127.0.0.1", port, limit=LONGEST_REQUEST)
    except OSError as error:
        found = error.strerror or str(error)
        raise CannotServe(f"cannot serve metrics at 127.0.0.1:{port}", found, "choose another --metrics-port") from None
    async with server:
        yield server.sockets[0].getsockname()[1]


def _answer(request: bytes, token: str, registry: CollectorRegistry) -> tuple[str, bytes]:
    """Return status and body. A page in a browser cannot ask: it would have to know the token, and to be of this host."""
    line, _, rest = request.decode("latin-1").partition("\r\n")
    headers = _headers(rest)
    if headers.get("host", "").rpartition(":")[0] not in _NAMES:
        return "421 Misdirected Request", b"this is served to this machine only\n"
    if not hmac.compare_digest(headers.get("authorization", "").encode(), f"Bearer {token}".encode()):
        return (
            "401 Unauthorized",
            b"send the header Authorization: Bearer TOKEN, with what the server's token file holds\n",
        )
    if line.split(" ")[:2] != ["GET", "/metrics"]:
        return "404 Not Found", b"there is /metrics, to GET\n"
    return "200 OK", generate_latest(registry)


def _headers(text: str) -> Mapping[str, str]:
    pairs = (line.partition(":") for line in text.split("\r\n") if line)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _response(status: str, body: bytes) -> bytes:
    kind = CONTENT_TYPE_LATEST if status.startswith("200") else "text/plain"
    head = f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n"
    return f"{head}Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\r\n".encode() + body
