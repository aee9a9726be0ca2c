"""Between the errors of errors.py and google.rpc.Status with its details, in both directions."""

from __future__ import annotations

from typing import TypeAlias, cast

import grpc
from google.protobuf.any_pb2 import Any
from google.rpc.code_pb2 import Code
from google.rpc.error_details_pb2 import (
    BadRequest,
    ErrorInfo,
    PreconditionFailure,
    QuotaFailure,
    ResourceInfo,
    RetryInfo,
)
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status

from .. import errors
from ..errors import (
    AllgradError,
    InvalidRequest,
    JobNotFound,
    JobStateConflict,
    QuotaExceeded,
    ServerBusy,
    ServerUnreachable,
    SweepNotFound,
    Unauthenticated,
)

DOMAIN = "allgrad"
_TEXT_BYTES = 700
_OTHER_NAME = "Hostname Verification Check failed"
"""What gRPC says of a certificate that is sound, and another host's."""
_NO_HANDSHAKER = "Failed to create security handshaker"
"""What it says where the client's own files are of no use."""
RETRY_DELAY = 1
"""Seconds after which a client of a busy server may try again."""
Detail: TypeAlias = ErrorInfo | BadRequest | PreconditionFailure | QuotaFailure | ResourceInfo | RetryInfo


def _tree(root: type[AllgradError]) -> list[type[AllgradError]]:
    return [root] + [found for child in root.__subclasses__() for found in _tree(child)]


_BY_REASON = {error.reason: error for error in _tree(errors.AllgradError)}


def _packed(detail: Detail) -> Any:
    packed = Any()
    packed.Pack(detail)
    return packed


def status_of(error: AllgradError) -> grpc.Status:
    """Return the status with which a server answers *error*, whatever length of text it was asked with."""
    error.what, error.found, error.fix = map(_shortened, (error.what, error.found, error.fix))
    error.args = ("; ".join(filter(None, (error.what, error.found, error.fix))),)
    info = ErrorInfo(
        reason=error.reason,
        domain=DOMAIN,
        metadata={"what": error.what, "found": error.found, "fix": error.fix},
    )
    details = [_packed(info), *map(_packed, _particulars(error))]
    return rpc_status.to_status(Status(code=Code.Value(error.code), message=str(error), details=details))


def _shortened(text: str) -> str:
    """Return *text* so short that three of it, told twice and percent-encoded, fit into gRPC's 16 KB of metadata."""
    data = text.encode("utf-8", errors="replace")
    return text if len(data) <= _TEXT_BYTES else data[:_TEXT_BYTES].decode("utf-8", errors="ignore") + "..."


def _particulars(error: AllgradError) -> list[Detail]:
    """Return what google.rpc has for errors of this kind beside the ErrorInfo."""
    match error:
        case InvalidRequest(field=field) if field:
            violation = BadRequest.FieldViolation(field=field, description=str(error))
            return [BadRequest(field_violations=[violation])]
        case JobStateConflict():
            broken = PreconditionFailure.Violation(
                type=error.reason, subject=f"jobs/{error.job_id}", description=str(error)
            )
            return [PreconditionFailure(violations=[broken])]
        case JobNotFound():
            kind = "sweep" if isinstance(error, SweepNotFound) else "job"
            return [ResourceInfo(resource_type=f"{DOMAIN}.v1.{kind}", description=str(error))]
        case QuotaExceeded():
            return [QuotaFailure(violations=[QuotaFailure.Violation(subject=error.what, description=str(error))])]
        case ServerBusy():
            delay = RetryInfo()
            delay.retry_delay.seconds = RETRY_DELAY
            return [delay]
    return []


def due_for_renewal(error: grpc.RpcError) -> bool:
    """Return whether a stream ended only because it had been open for long."""
    return _failed(error).code() is grpc.StatusCode.DEADLINE_EXCEEDED


def error_of(error: grpc.RpcError, address: str) -> AllgradError:
    """Return what *error*, of a call to *address*, tells."""
    call = _failed(error)
    status = rpc_status.from_call(call)
    info = ErrorInfo()
    for detail in status.details if status else ():
        if detail.Is(ErrorInfo.DESCRIPTOR) and detail.Unpack(info) and info.domain == DOMAIN:
            parts = (info.metadata["what"], info.metadata["found"], info.metadata["fix"])
            return _BY_REASON.get(info.reason, AllgradError)(*parts)
    match call.code():
        # A connection that breaks in the middle of a call ends it as CANCELLED or UNKNOWN, without details.
        case grpc.StatusCode.UNAVAILABLE | grpc.StatusCode.CANCELLED | grpc.StatusCode.UNKNOWN:
            details = call.details() or ""
            if "handshake" in details.lower() or _OTHER_NAME in details:
                return _untrusted(address, details)
            return unreachable(address)
        case grpc.StatusCode.UNAUTHENTICATED:
            return Unauthenticated(call.details() or "the server refused the token")
        case grpc.StatusCode.DEADLINE_EXCEEDED | grpc.StatusCode.RESOURCE_EXHAUSTED:
            return ServerBusy(f"the server at {address} did not answer", call.details() or "")
        case code:
            return AllgradError(f"the server at {address} answered {code.name}", call.details() or "")


def _failed(error: grpc.RpcError) -> grpc.Call:
    """Return the call that *error* is; an AioRpcError has what of a Call is needed here, without being one."""
    return cast("grpc.Call", error)


def _untrusted(address: str, details: str) -> AllgradError:
    """Return the error for a server with which no encrypted connection comes about."""
    if _NO_HANDSHAKER in details:
        found = "they are no PEM files of a certificate and its key, or do not fit together"
        return InvalidRequest("cannot use the client's certificate and key", found, "see --tls-cert and --tls-key")
    what = "cannot reach the allgrad server securely"
    if "CERTIFICATE_VERIFY_FAILED" in details:
        found = f"its certificate for {address} is not trusted"
        return ServerUnreachable(what, found, "name the file of who signed it: --tls-ca FILE, or $ALLGRAD_TLS_CA")
    if _OTHER_NAME in details:
        found = f"its certificate is for other names than that of {address}"
        return ServerUnreachable(what, found, "name the server as its certificate does, or give that the name")
    found = f"the TLS handshake with {address} fails: {details}"
    return ServerUnreachable(what, found, "see that it serves TLS, and whether it wants a certificate: --tls-cert")


def unreachable(address: str) -> ServerUnreachable:
    """Return the error for a server that does not answer at *address*."""
    return ServerUnreachable(
        "cannot reach the allgrad server", f"nothing answers at {address}", "start one with: allgrad serve"
    )
