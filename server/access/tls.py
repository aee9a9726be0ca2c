"""Encryption: the server's certificate, read anew when its files change, and the channels of its clients."""

from __future__ import annotations

import ipaddress
import logging
import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from ..errors import CannotServe, InvalidRequest

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerFiles:
    """PEM files of a server: its certificate with the chain, the key, and who signs the clients' certificates."""

    certificate: Path
    key: Path
    client_ca: Path | None = None
    """If given, a client needs a certificate signed by it, beside its token."""

    @classmethod
    def of(cls, certificate: str | None, key: str | None, client_ca: str | None) -> ServerFiles | None:
        """Return the files, or None if none are named. Raises CannotServe if some are missing, or do not fit."""
        if not (certificate or key or client_ca):
            return None
        if not (certificate and key):
            raise CannotServe("cannot serve with TLS", "a certificate needs its key", "give --tls-cert and --tls-key")
        files = cls(Path(certificate), Path(key), Path(client_ca) if client_ca else None)
        files.read()
        return files

    def stamps(self) -> list[tuple[int, int, int]]:
        """Return what changes when a file does."""
        found = [os.stat(path) for path in (self.certificate, self.key, self.client_ca) if path]
        return [(each.st_ino, each.st_size, each.st_mtime_ns) for each in found]

    def read(self) -> grpc.ServerCertificateConfiguration:
        """Return what the files hold. Raises CannotServe if that is no certificate with its key."""
        try:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(self.certificate, self.key)
            pair = (self.key.read_bytes(), self.certificate.read_bytes())
        except OSError as error:  # ssl.SSLError is one
            found = f"{self.certificate}, {self.key}: {error.strerror or error}"
            raise CannotServe(
                "cannot serve with TLS", found, "give the PEM files of a certificate and its key"
            ) from None
        return grpc.ssl_server_certificate_configuration([pair], self._roots(context))

    def _roots(self, context: ssl.SSLContext) -> bytes | None:
        if self.client_ca is None:
            return None
        try:
            context.load_verify_locations(self.client_ca)
            return self.client_ca.read_bytes()
        except OSError as error:
            found = f"{self.client_ca}: {error.strerror or error}"
            raise CannotServe(
                "cannot serve with TLS", found, "give the PEM file of who signs clients' certificates"
            ) from None


def server_credentials(files: ServerFiles) -> grpc.ServerCredentials:
    """Return credentials that follow their files: whoever connects after a change sees the new certificate.

    While the files do not fit together, as in the middle of being replaced, the old ones stay in use.
    """
    stamps = files.stamps()

    def fetch() -> grpc.ServerCertificateConfiguration | None:
        nonlocal stamps
        try:
            found = files.stamps()
            if found == stamps:
                return None
            fresh = files.read()
        except (CannotServe, OSError) as error:
            log.warning("the new certificate is not used: %s", error)
            return None
        stamps = found
        log.warning("the certificate was replaced: %s", files.certificate)
        return fresh

    changes: Any = fetch  # its stub forgets that None is allowed
    return grpc.dynamic_ssl_server_credentials(files.read(), changes, files.client_ca is not None)


@dataclass(frozen=True, slots=True)
class ClientFiles:
    """PEM files of a client: whom it trusts to sign servers' certificates, and its own certificate, if any."""

    ca: str = ""
    certificate: str = ""
    key: str = ""

    @classmethod
    def find(cls, ca: str | None, certificate: str | None, key: str | None) -> ClientFiles:
        """Return what is given, or else what `$ALLGRAD_TLS_CA`, `$ALLGRAD_TLS_CERT`, `$ALLGRAD_TLS_KEY` say."""
        names = ("ALLGRAD_TLS_CA", "ALLGRAD_TLS_CERT", "ALLGRAD_TLS_KEY")
        given = (ca, certificate, key)
        return cls(*(str(one or os.environ.get(name, "")) for one, name in zip(given, names, strict=True)))

    def __bool__(self) -> bool:
        return bool(self.ca or self.certificate or self.key)


def channel(address: str, files: ClientFiles, options: Sequence[tuple[str, Any]]) -> grpc.Channel:
    """Return a channel: encrypted if *files* say so, and always to another machine, since a token goes over it."""
    credentials = _credentials(address, files)
    if credentials is None:
        return grpc.insecure_channel(address, options=options)
    return grpc.secure_channel(address, credentials, options=options)


def async_channel(address: str, files: ClientFiles, options: Sequence[tuple[str, Any]]) -> grpc.aio.Channel:
    """Return a channel of the running event loop: encrypted where channel() is."""
    credentials = _credentials(address, files)
    if credentials is None:
        return grpc.aio.insecure_channel(address, options=options)
    return grpc.aio.secure_channel(address, credentials, options=options)


def _credentials(address: str, files: ClientFiles) -> grpc.ChannelCredentials | None:
    """Return what encrypts a channel, or None if it may go in the clear."""
    if not files and is_loopback(address.rpartition(":")[0].strip("[]")):
        return None
    if bool(files.certificate) != bool(files.key):  # gRPC would end the process
        found = "there is one without the other"
        raise InvalidRequest("a client's certificate needs its key", found, "give --tls-cert and --tls-key")
    try:
        ca, key, certificate = (
            Path(path).read_bytes() if path else None for path in (files.ca, files.key, files.certificate)
        )
    except OSError as error:
        raise InvalidRequest("cannot read a TLS file", f"{error.filename}: {error.strerror}", "name another") from None
    if ca is not None:
        _check_authority(files.ca, ca)
    return grpc.ssl_channel_credentials(ca, key, certificate)


def _check_authority(path: str, data: bytes) -> None:
    """Raise InvalidRequest if a file holds no certificate to trust: gRPC would say of it that the handshake fails."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata=data.decode("ascii", errors="ignore"))
    except (ssl.SSLError, ValueError):
        fix = "name the PEM file of who signed the server's certificate"
        raise InvalidRequest(f"cannot trust {path}", "it holds no certificate", fix) from None


def is_loopback(host: str) -> bool:
    """Return whether *host* is this machine and nothing else can reach it."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
