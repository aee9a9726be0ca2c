"""Prometheus gets its figures, and nobody else gets anything."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from allgrad.server.home import Home

if TYPE_CHECKING:
    from tests.server.conftest import ServerProcess


def ask(port: int, headers: dict[str, str], path: str = "/metrics", method: str = "GET") -> tuple[int, str]:
    """Return status and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_figures_are_told_to_who_bears_the_token_and_asks_this_machine(
    server_with: Callable[..., ServerProcess], eventually: Callable[[Callable[[], object]], None]
) -> None:
    server = server_with(metrics_port=0)
    port = int(server.next_line().partition("http://127.0.0.1:")[2].partition("/")[0])
    bearer = {"Authorization": f"Bearer {Home(server.home).token()}"}
    with server.client() as client:
        client.submit(["sleep", "600"], ranks=1)
        eventually(lambda: client.info().running_jobs == 1)
        status, text = ask(port, bearer)
    assert status == 200
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["allgrad_slots",] == 4
    assert samples["allgrad_slots_free",] == 3
    assert samples["allgrad_jobs", "running"] == 1
    assert samples["allgrad_disk_sound",] == 1
    assert samples["process_resident_memory_bytes",] > 1 << 20
    assert ask(port, {})[0] == 401
    assert ask(port, {"Authorization": "Bearer no"})[0] == 401
    assert ask(port, {**bearer, "Host": f"evil.example:{port}"})[0] == 421
    assert ask(port, bearer, path="/")[0] == 404
    assert ask(port, bearer, method="POST")[0] == 404
    with socket.create_connection(("127.0.0.1", port)) as rude:
        rude.sendall(b"GET /metrics HTTP/1.1\r\n" + b"x: y\r\n" * 10_000)
        assert ask(port, bearer)[0] == 200
