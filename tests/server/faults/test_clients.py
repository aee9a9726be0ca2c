"""Clients that never read, never finish, talk nonsense or attack: everybody else is served as before."""

from __future__ import annotations

import os
import random
import re
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from allgrad.proto import jobs_pb2 as pb
from allgrad.proto import reporting_pb2
from allgrad.server import Client, Job, JobState
from allgrad.server.durable import read_json
from allgrad.server.home import Home
from allgrad.server.supervisor.journal import MetricsLine
from allgrad.server.supervisor.reporting import Reporter
from tests.server.faults import http2
from tests.server.faults.fuzzing import requests

if TYPE_CHECKING:
    from tests.server.conftest import ServerProcess

GET = "/allgrad.v1.JobService/GetJob"
WATCH = "/allgrad.v1.JobService/WatchJob"
SLOWEST = 5.0
"""Seconds that a call of somebody else may take in the worst case, on a machine that is busy with these tests."""
EXPECTED = {
    grpc.StatusCode.OK,
    grpc.StatusCode.INVALID_ARGUMENT,
    grpc.StatusCode.NOT_FOUND,
    grpc.StatusCode.OUT_OF_RANGE,
    grpc.StatusCode.FAILED_PRECONDITION,
    grpc.StatusCode.ALREADY_EXISTS,
    grpc.StatusCode.DEADLINE_EXCEEDED,  # of streams, which would go on
}


@pytest.fixture
def steady(own_server: ServerProcess) -> Iterator[Job]:
    """A job that runs until the test ends, and has reported a good deal."""
    with own_server.client() as client:
        job = client.submit(["sleep", "600"])
        while client.get(job.id).state is not JobState.RUNNING:
            time.sleep(0.02)
        reporter = Reporter(Home(own_server.home), job.id, 1)
        for first in range(1, 20_000, 1000):
            values = {f"loss{number}": 0.5 for number in range(4)}
            reporter.report([MetricsLine(step, 1.0, step, values) for step in range(first, first + 1000)])
        yield job


def address_of(server: ServerProcess) -> str:
    address = Home(server.home).address()
    assert address is not None
    return address


def slowest_call(client: Client, job: Job, count: int = 30) -> float:
    """Return the seconds that the slowest of many calls takes."""
    times = []
    for _ in range(count):
        begun = time.perf_counter()
        client.get(job.id)
        times.append(time.perf_counter() - begun)
    return max(times)


def resident(server: ServerProcess) -> int:
    """Return the resident bytes of the server."""
    record = read_json(Home(server.home).address_file)
    assert record is not None
    status = Path(f"/proc/{record['pid']}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) << 10


@pytest.mark.parametrize(
    ("unread", "idle"), [(20, 50), pytest.param(200, 1000, marks=pytest.mark.chaos)], ids=["quick", "whole"]
)
def test_watchers_that_never_read_and_idle_ones_hurt_nobody(
    own_server: ServerProcess, steady: Job, unread: int, idle: int
) -> None:
    home = Home(own_server.home)
    metadata = (("authorization", f"Bearer {home.token()}"),)
    before = resident(own_server)
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]
    channels = [grpc.insecure_channel(address_of(own_server), options=options) for _ in range(20)]
    with own_server.client() as client:
        last = [event.cursor for event, _ in zip(client.watch(steady.id), range(20_000), strict=False)][-1]
        opened: list[Any] = []
        for number in range(unread + idle):
            watch: Any = channels[number % 20].unary_stream(WATCH, pb.WatchJobRequest.SerializeToString)
            cursor = 0 if number < unread else last
            opened.append(watch(pb.WatchJobRequest(job_id=steady.id, cursor=cursor), metadata=metadata))
        time.sleep(1)
        took = slowest_call(client, steady)
        grown = resident(own_server) - before
        print(f"\n{unread} unread and {idle} idle: slowest of 30 calls {took * 1e3:.1f} ms, {grown >> 20} MB more")
        assert took < SLOWEST
        assert grown < (60 << 20) + idle * (64 << 10)
        follower = client.watch(steady.id, last)
        Reporter(home, steady.id, 1).report([MetricsLine(20_001, 1.0, 20_001, {"loss": 0.1})])
        assert next(follower).cursor > last
        for call in opened:
            call.cancel()
    for channel in channels:
        channel.close()


def nothing_at_all(address: str, token: str, job: str) -> list[socket.socket]:
    """Connections that say nothing."""
    return [http2.connect(address, greet=False) for _ in range(50)]


def a_header_drop_by_drop(address: str, token: str, job: str) -> list[socket.socket]:
    """Calls whose headers never end."""
    connections = [http2.connect(address) for _ in range(20)]
    for connection in connections:
        block = http2.header_block(GET, token)
        connection.sendall(http2.frame(http2.HEADERS, 0, 1, block[:5]))
        connection.sendall(http2.frame(http2.CONTINUATION, 0, 1, block[5:9])[:-2])
    return connections


def half_open_calls(address: str, token: str, job: str) -> list[socket.socket]:
    """Calls whose message is announced and never comes."""
    connections = [http2.connect(address) for _ in range(20)]
    for connection in connections:
        head = http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.header_block(GET, token))
        connection.sendall(head + http2.frame(http2.DATA, 0, 1, http2.grpc_message(b"abc", announced=1000)))
    return connections


def cut_off_streams(address: str, token: str, job: str) -> list[socket.socket]:
    """Watchers whose machine loses its network: no byte more, and the window is never opened."""
    request = http2.grpc_message(pb.WatchJobRequest(job_id=job).SerializeToString())
    connections = [http2.connect(address) for _ in range(20)]
    for connection in connections:
        head = http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.header_block(WATCH, token))
        connection.sendall(head + http2.frame(http2.DATA, http2.END_STREAM, 1, request))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return connections


def rapid_resets(address: str, token: str, job: str) -> list[socket.socket]:
    """Calls opened and reset at once, by the thousand."""
    connection = http2.connect(address)
    block = http2.header_block(GET, token)
    calls = [
        http2.frame(http2.HEADERS, http2.END_HEADERS, stream, block)
        + http2.frame(http2.RST_STREAM, 0, stream, struct.pack(">I", 8))
        for stream in range(1, 10_000, 2)
    ]
    return attack(connection, calls)


def many_pings(address: str, token: str, job: str) -> list[socket.socket]:
    """Pings by the thousand."""
    return attack(http2.connect(address), [http2.frame(http2.PING, 0, 0, bytes(8))] * 20_000)


def many_settings(address: str, token: str, job: str) -> list[socket.socket]:
    """Settings by the thousand, each of which wants an answer."""
    return attack(http2.connect(address), [http2.frame(http2.SETTINGS, 0, 0, struct.pack(">HI", 3, 100))] * 20_000)


def endless_headers(address: str, token: str, job: str) -> list[socket.socket]:
    """A header block that goes on for megabytes."""
    begun = http2.frame(http2.HEADERS, 0, 1, http2.header_block(GET, token))
    more = http2.frame(http2.CONTINUATION, 0, 1, b"\x00\x01a\x7e" + b"v" * 126)
    return attack(http2.connect(address), [begun, *[more] * 40_000])


def windows_of_zero(address: str, token: str, job: str) -> list[socket.socket]:
    """Calls by the hundred whose answers may never be sent: the window is none, and stays so."""
    connection = http2.connect(address)
    closed = http2.frame(http2.SETTINGS, 0, 0, struct.pack(">HI", 4, 0))
    request = http2.grpc_message(pb.WatchJobRequest(job_id=job).SerializeToString())
    block = http2.header_block(WATCH, token)
    calls = [
        http2.frame(http2.HEADERS, http2.END_HEADERS, stream, block)
        + http2.frame(http2.DATA, http2.END_STREAM, stream, request)
        for stream in range(1, 1000, 2)
    ]
    return attack(connection, [closed, *calls])


def empty_frames(address: str, token: str, job: str) -> list[socket.socket]:
    """Frames by the thousand that say nothing, in the middle of a call."""
    head = http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.header_block(GET, token))
    return attack(http2.connect(address), [head, *[http2.frame(http2.DATA, 0, 1)] * 40_000])


def changing_windows(address: str, token: str, job: str) -> list[socket.socket]:
    """Windows opened byte by byte, and the order of streams changed, by the thousand."""
    opened = http2.frame(http2.WINDOW_UPDATE, 0, 0, struct.pack(">I", 1))
    ordered = http2.frame(http2.PRIORITY, 0, 1, struct.pack(">IB", 3, 255))
    return attack(http2.connect(address), [opened, ordered] * 20_000)


def reading_by_the_byte(address: str, token: str, job: str) -> list[socket.socket]:
    """Clients that take what they asked for a byte at a time."""
    request = http2.grpc_message(pb.GetJobRequest(job_id=job).SerializeToString())
    connections = [http2.connect(address) for _ in range(20)]
    for connection in connections:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        head = http2.frame(http2.HEADERS, http2.END_HEADERS, 1, http2.header_block(GET, token))
        connection.sendall(head + http2.frame(http2.DATA, http2.END_STREAM, 1, request))
        assert connection.recv(1)
    return connections


def nonsense(address: str, token: str, job: str) -> list[socket.socket]:
    """Bytes that are no HTTP/2, with and without the preface."""
    dice = random.Random(1)
    for number in range(50):
        connection = http2.connect(address, greet=number % 2 == 0)
        attack(connection, [dice.randbytes(2000)])
        connection.close()
    return []


def attack(connection: socket.socket, frames: list[bytes]) -> list[socket.socket]:
    """Send until the server ends the connection, or all is sent; it need not read."""
    connection.settimeout(2)
    try:
        for first in range(0, len(frames), 200):
            connection.sendall(b"".join(frames[first : first + 200]))
    except OSError:  # the server has had enough, which is its right
        return [connection]
    return [connection]


@pytest.mark.parametrize(
    "abuse",
    [
        nothing_at_all,
        a_header_drop_by_drop,
        half_open_calls,
        cut_off_streams,
        rapid_resets,
        many_pings,
        many_settings,
        endless_headers,
        windows_of_zero,
        empty_frames,
        changing_windows,
        reading_by_the_byte,
        nonsense,
    ],
)
def test_a_client_that_abuses_http2_hurts_nobody(
    server: ServerProcess, client: Client, abuse: Callable[[str, str, str], list[socket.socket]]
) -> None:
    job = client.submit(["true"])
    before = resident(server)
    connections = abuse(address_of(server), Home(server.home).token() or "", job.id)
    took = slowest_call(client, job)
    grown = resident(server) - before
    print(f"\n{abuse.__name__}: slowest of 30 calls {took * 1e3:.1f} ms, {grown >> 20} MB more")
    assert took < SLOWEST
    assert grown < 40 << 20
    for connection in connections:
        connection.close()
    with server.client() as another:
        assert another.get(job.id).id == job.id


@pytest.mark.parametrize("count", [300, pytest.param(20_000, marks=pytest.mark.chaos)])
def test_no_request_of_whatever_form_makes_the_server_stumble(own_server: ServerProcess, count: int) -> None:
    metadata = (("authorization", f"Bearer {Home(own_server.home).token()}"),)
    with own_server.client() as client, grpc.insecure_channel(address_of(own_server)) as channel:
        job = client.submit(["true"])
        fuzz = requests(random.Random(count), [job.id])
        for _, (call, request) in zip(range(count), fuzz, strict=False):
            asked: Any = channel.unary_stream(call.path) if call.streams else channel.unary_unary(call.path)
            try:
                answer = asked(request, metadata=metadata, timeout=0.2 if call.streams else 60)
                if call.streams:
                    for _ in answer:
                        continue
            except grpc.RpcError as error:
                failed: Any = error
                if failed.code() not in EXPECTED:
                    pytest.fail(f"{call.path} {request[:200]!r}: {failed.code()} {failed.details()[:500]}")
        for each in client.list(page_size=1000):
            client.cancel(each.id)
        assert client.submit(["true"]).state is JobState.QUEUED


def test_a_request_larger_than_the_limit_is_refused_and_the_server_goes_on(
    server: ServerProcess, client: Client
) -> None:
    metadata = (("authorization", f"Bearer {Home(server.home).token()}"),)
    huge = reporting_pb2.ReportRecordsRequest(job_id="x" * (20 << 20)).SerializeToString()
    with grpc.insecure_channel(address_of(server)) as channel:
        report: Any = channel.unary_unary("/allgrad.v1.ReportingService/ReportRecords")
        get: Any = channel.unary_unary(GET)
        with pytest.raises(grpc.RpcError, match="RESOURCE_EXHAUSTED"):
            report(huge, metadata=metadata, timeout=60)
        crowd = (*metadata, *((f"x-{number}", "y" * 4000) for number in range(10)))
        with pytest.raises(grpc.RpcError):
            get(b"", metadata=crowd, timeout=60)
    assert client.submit(["true"]).state is JobState.QUEUED


def test_the_server_has_as_many_files_open_after_its_clients_as_before(server: ServerProcess, client: Client) -> None:
    record = read_json(Home(server.home).address_file)
    assert record is not None
    folder = f"/proc/{record['pid']}/fd"
    job = client.submit(["true"])
    for _ in client.watch(job.id):
        pass
    before = len(os.listdir(folder))
    for _ in range(20):
        with server.client() as another:
            next(another.watch(job.id))
    deadline = time.monotonic() + 60
    while len(os.listdir(folder)) > before + 2:
        assert time.monotonic() < deadline, os.listdir(folder)
        time.sleep(0.1)
