"""Beyond this machine only with TLS: certificates of servers and clients, replaced while the server runs."""

from __future__ import annotations

import os
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
import trustme

from allgrad.server import Client, JobState, Metrics, serve
from allgrad.server.access import tls
from allgrad.server.errors import CannotServe, InvalidRequest, ServerUnreachable, Unauthenticated

from ..conftest import ServerProcess

Start = Callable[..., ServerProcess]
HOST = "127.0.0.2"
"""A name for this machine that is not in the server's home folder."""


class Authority:
    """A certificate authority, and what it has signed, as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ca = trustme.CA()
        folder.mkdir(exist_ok=True)
        self.file = str(folder / "ca.pem")
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str) -> tuple[str, str]:
        """Sign a new certificate for HOST; return its file and that of its key, replaced as one would."""
        made = self._ca.issue_cert(HOST)
        files = str(self._folder / f"{name}.pem"), str(self._folder / f"{name}.key")
        made.private_key_pem.write_to_path(files[1] + ".new")
        made.cert_chain_pems[0].write_to_path(files[0] + ".new")
        for file in files:
            os.replace(file + ".new", file)
        return files


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "authority")


def far_client(server: ServerProcess, authority: Authority | None, **more: str) -> Client:
    """A client that knows the server's address beyond its folder, and the token."""
    address = server.announced.split()[3]
    ca = authority.file if authority else None
    return Client(address, home=server.home, patience=0.1, tls_ca=ca, **more)


def test_a_client_elsewhere_submits_and_follows_over_tls(server_with: Start, authority: Authority) -> None:
    certificate, key = authority.issue("server")
    server = server_with(host=HOST, tls_cert=certificate, tls_key=key)
    with far_client(server, authority) as client:
        job = client.submit([sys.executable, "-c", "print('hello')"])
        assert list(client.watch(job.id))
        assert b"".join(chunk.data for chunk in client.logs(job.id)) == b"hello\n"
        assert client.get(job.id).state is JobState.SUCCEEDED


def test_the_losses_of_a_server_with_tls_come_in(
    server_with: Start, authority: Authority, job_script: Callable[[str], str]
) -> None:
    certificate, key = authority.issue("server")
    server = server_with(host=HOST, tls_cert=certificate, tls_key=key, tls_client_ca=authority.file)
    with server.client() as local:
        job = local.submit([job_script("reporting"), "400", "0.05"])
        assert next(event for event in local.watch(job.id) if isinstance(event, Metrics)).step == 1
        assert local.get(job.id).state is JobState.RUNNING


def test_a_certificate_of_somebody_else_is_not_trusted(
    server_with: Start, authority: Authority, tmp_path: Path
) -> None:
    certificate, key = authority.issue("server")
    server = server_with(host=HOST, tls_cert=certificate, tls_key=key)
    stranger = Authority(tmp_path / "stranger")
    with far_client(server, stranger) as client, pytest.raises(ServerUnreachable, match=r"is not trusted; .*--tls-ca"):
        client.info()


def test_the_port_with_tls_speaks_nothing_else(server_with: Start, authority: Authority) -> None:
    certificate, key = authority.issue("server")
    server = server_with(host=HOST, tls_cert=certificate, tls_key=key)
    plain = Client(server.announced.split()[3], home=server.home, patience=0.1)
    with plain, pytest.raises(ServerUnreachable):
        plain.info()


def test_a_client_without_its_certificate_is_turned_away(server_with: Start, authority: Authority) -> None:
    certificate, key = authority.issue("server")
    server = server_with(host=HOST, tls_cert=certificate, tls_key=key, tls_client_ca=authority.file)
    mine, its_key = authority.issue("client")
    with far_client(server, authority, tls_cert=mine, tls_key=its_key) as client:
        assert client.info().slots == 4
    with far_client(server, authority) as client, pytest.raises(ServerUnreachable):
        client.info()
    wrong = Client(server.announced.split()[3], "wrong", tls_ca=authority.file, tls_cert=mine, tls_key=its_key)
    with wrong, pytest.raises(Unauthenticated):
        wrong.info()


def test_a_new_certificate_is_used_without_a_restart(server_with: Start, authority: Authority) -> None:
    certificate, key = authority.issue("server")
    server = server_with(host=HOST, tls_cert=certificate, tls_key=key)
    host, _, port = server.announced.split()[3].rpartition(":")
    before = ssl.get_server_certificate((host, int(port)))
    with far_client(server, authority) as client:
        client.info()
        authority.issue("server")
        after = ssl.get_server_certificate((host, int(port)))
        assert after != before
        assert client.info().slots == 4, "the connection that was open goes on"
    Path(key).write_text("half a fi")
    assert ssl.get_server_certificate((host, int(port))) == after, "a broken file leaves the old one in use"


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_nothing_beyond_this_machine_is_served_without_a_certificate(host: str, tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match=r"calls are not encrypted.*--tls-cert and --tls-key"):
        serve(tmp_path, host=host)


def test_a_certificate_that_cannot_be_used_is_refused_at_the_start(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue("server")
    _, other = authority.issue("other")
    for files in ({"tls_cert": certificate}, {"tls_key": key}, {"tls_client_ca": authority.file}):
        with pytest.raises(CannotServe, match="a certificate needs its key"):
            serve(tmp_path, **files)  # type: ignore[arg-type]
    for wrong in (other, str(tmp_path / "missing"), certificate):
        with pytest.raises(CannotServe, match="give the PEM files"):
            serve(tmp_path, tls_cert=certificate, tls_key=wrong)


def test_of_the_file_of_a_clients_authority_its_own_name_is_told(tmp_path: Path, authority: Authority) -> None:
    certificate, key = authority.issue("server")
    for wrong in (str(tmp_path / "missing"), key):
        with pytest.raises(CannotServe, match=f"{wrong}: .*who signs clients' certificates"):
            serve(tmp_path, tls_cert=certificate, tls_key=key, tls_client_ca=wrong)


@pytest.mark.parametrize("address", ["192.0.2.1:1", "127.0.0.1:1"])
def test_a_clients_certificate_without_its_key_is_refused_and_ends_no_process(
    address: str, authority: Authority
) -> None:
    certificate, key = authority.issue("client")
    for files in ({"tls_cert": certificate}, {"tls_key": key}):
        with (
            Client(address, "token", tls_ca=authority.file, **files) as client,  # type: ignore[arg-type]
            pytest.raises(InvalidRequest, match="needs its key"),
        ):
            client.info()


def test_a_server_with_the_certificate_of_another_name_is_told_from_none(
    server_with: Start, authority: Authority
) -> None:
    certificate, key = authority.issue("server")
    server = server_with(host="127.0.0.3", tls_cert=certificate, tls_key=key)
    with (
        far_client(server, authority) as client,
        pytest.raises(ServerUnreachable, match=r"its certificate is for other names than that of 127\.0\.0\.3"),
    ):
        client.info()


@pytest.mark.parametrize(
    "text", ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "ü"]
)
def test_a_file_of_an_authority_that_holds_no_certificate_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "ca.pem").write_text(text)
    with (
        Client("127.0.0.1:1", "token", tls_ca=str(tmp_path / "ca.pem")) as client,
        pytest.raises(InvalidRequest, match=r"cannot trust .*ca\.pem; it holds no certificate"),
    ):
        client.info()


def test_a_clients_key_that_is_not_its_certificates_is_refused_as_that(
    server: ServerProcess, authority: Authority
) -> None:
    (certificate, _), (_, key) = authority.issue("client"), authority.issue("other")
    address = server.announced.split()[3]
    with (
        Client(address, "token", tls_ca=authority.file, tls_cert=certificate, tls_key=key) as client,
        pytest.raises(InvalidRequest, match="cannot use the client's certificate and key"),
    ):
        client.info()


def test_a_client_names_the_file_that_it_cannot_read() -> None:
    with (
        Client("192.0.2.1:1", "token", tls_ca="/nowhere/ca.pem") as client,
        pytest.raises(InvalidRequest, match=r"/nowhere/ca\.pem"),
    ):
        client.info()


@pytest.mark.parametrize("address", ["192.0.2.1:7447", "example.org:7447", "[2001:db8::1]:7447"])
def test_a_token_is_never_sent_to_another_machine_in_the_clear(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grpc, "insecure_channel", None)
    tls.channel(address, tls.ClientFiles(), ()).close()
