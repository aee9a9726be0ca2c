"""The server process: from an empty folder to serving, and to a clean stop that leaves the jobs running."""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1.health import SERVICE_NAME as HEALTH
from grpc_health.v1.health import aio as health
from grpc_reflection.v1alpha import reflection

from allgrad.proto import access_pb2, files_pb2, jobs_pb2, reporting_pb2, sweeps_pb2
from allgrad.proto.access_pb2_grpc import add_AccessServiceServicer_to_server
from allgrad.proto.files_pb2_grpc import add_FileServiceServicer_to_server
from allgrad.proto.jobs_pb2_grpc import add_JobServiceServicer_to_server
from allgrad.proto.reporting_pb2_grpc import add_ReportingServiceServicer_to_server
from allgrad.proto.sweeps_pb2_grpc import add_SweepServiceServicer_to_server

from . import open_files
from .access import tls
from .access.auth import TokenRequired
from .access.tls import ServerFiles
from .access.tokens import Tokens
from .control.attempts import (
    DEFAULT_GRACE,
    DEFAULT_HOST_PATIENCE,
    DEFAULT_JOURNAL_LIMIT,
    DEFAULT_KEEP_UPLOADS,
    DEFAULT_LOG_LIMIT,
    Settings,
)
from .control.controller import Control
from .durable import read_json, write_json
from .errors import CannotServe
from .home import DEFAULT_PORT, Home
from .jobs.accounts import FOLDER, Accounts
from .jobs.hosts import Host
from .jobs.stalls import LEAST
from .launchers.hosts import check_hosts, parse_hosts
from .service.access_service import AccessService
from .service.calls import ByName, Readable
from .service.file_service import FileService
from .service.job_service import JobService, mpi_name
from .service.report_service import ReportingService
from .service.sweep_service import SweepService
from .store import Store

STOP_GRACE = 0.5
"""Seconds that calls in progress have when the server stops; streams resume by their cursor."""
_WATCH_DISK = 1.0
_SERVICES = (
    jobs_pb2.DESCRIPTOR.services_by_name["JobService"].full_name,
    reporting_pb2.DESCRIPTOR.services_by_name["ReportingService"].full_name,
    sweeps_pb2.DESCRIPTOR.services_by_name["SweepService"].full_name,
    files_pb2.DESCRIPTOR.services_by_name["FileService"].full_name,
    access_pb2.DESCRIPTOR.services_by_name["AccessService"].full_name,
)
_OPTIONS = (
    ("grpc.so_reuseport", 0),  # else a second server takes the same port, and half of the calls
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_concurrent_streams", 500),  # else calls opened and reset by the thousand hold up all others
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 20_000),
)
log = logging.getLogger(__name__)


def _say(line: str) -> None:
    print(line, flush=True)


def serve(
    home: str | os.PathLike[str] | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    slots: int | None = None,
    grace: float = DEFAULT_GRACE,
    log_limit: int = DEFAULT_LOG_LIMIT,
    journal_limit: int = DEFAULT_JOURNAL_LIMIT,
    keep_finished: float | None = None,
    keep_uploads: float = DEFAULT_KEEP_UPLOADS,
    metrics_port: int | None = None,
    stall_after: float = LEAST,
    tensorboard: bool = True,
    bind: bool = True,
    hosts: str | Sequence[Host] = (),
    host_patience: float = DEFAULT_HOST_PATIENCE,
    kubernetes: Mapping[str, str] | None = None,
    run_as_command: str | None = None,
    run_as_folder: str = FOLDER,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    tls_client_ca: str | None = None,
    announce: Callable[[str], None] = _say,
) -> None:
    """Serve until SIGTERM or SIGINT. Jobs go on running afterwards, and the next server takes them up.

    *home*: the server's folder (default: `$ALLGRAD_HOME`, then `~/.allgrad`). *port*: 0 takes a free one.
    *slots*: how many ranks may run at once (default: the cores). *grace*: seconds between SIGTERM and SIGKILL
    when a job is cancelled. *log_limit*: bytes kept of each rank's log, *journal_limit*: of each attempt's journal.
    *keep_finished*: seconds after which a finished job is deleted with its metrics, logs and outputs (default: never),
    *keep_uploads*: an upload that nobody has used and no unfinished job names (default: 30 days).
    *metrics_port*: where Prometheus may ask, with the same token (default: nowhere). *stall_after*: seconds of silence
    that are never a stall, unless a job says otherwise (0: silence never is). *tensorboard*: whether what jobs report is
    written into `tensorboard/` of their output folders, too. *bind*: whether each job gets cores of its own, where there
    are at least as many cores as slots. *hosts*: those that jobs may name, with their slots, as "a:8,b:8" or as Hosts (default:
    any, and what runs there is not counted). *host_patience*: seconds of silence after which a host that a job named counts
    as lost, and after which its ranks are ended there. *kubernetes*: the volume `claim` that pods mount at `path`, in which
    *home* must lie, their `image`, and the `namespace` if not that of the kubeconfig. *run_as_command*: what leads a command
    that is to run under another account, with {user} for its name; with it each user's jobs run under the account of that
    name, in a folder under *run_as_folder*, except the administrator's (default: all under the server's own). *tls_cert*,
    *tls_key*: PEM files of a certificate, followed when they change; supervisors and local clients then use a loopback port of
    their own. *tls_client_ca*: whoever connects from elsewhere needs a certificate signed by it. *announce* is called with
    lines for people.

    Raises CannotServe if *host* is more than this machine and there is no certificate, *hosts* name this machine, the port
    is taken, or a server has the folder, and InvalidRequest if there is no such program as *run_as_command* begins with.
    """
    files = ServerFiles.of(tls_cert, tls_key, tls_client_ca)
    _check_reach(host, files)
    cores = tuple(sorted(os.sched_getaffinity(0)))
    count = len(cores) if slots is None else slots
    if count < 1:
        raise CannotServe(f"cannot serve with {count} slots", "", "give at least one: --slots 1")
    dealt = cores if bind and count <= len(cores) else ()
    settings = Settings(
        slots=count,
        threads=max(1, len(cores) // count),
        grace=grace,
        log_limit=log_limit,
        journal_limit=journal_limit,
        keep_finished=keep_finished,
        keep_uploads=keep_uploads,
        metrics_port=metrics_port,
        stall_after=stall_after,
        tensorboard=tensorboard,
        cores=dealt,
        hosts=_slots_of(hosts),
        host_patience=host_patience,
        kubernetes=kubernetes or {},
        accounts=Accounts.of(run_as_command, run_as_folder) if run_as_command is not None else None,
    )
    place = Home.find(home)
    _check_shared(place, settings.kubernetes)
    token = place.prepare()
    open_files.raise_limit()
    with _locked(place):
        asyncio.run(_serve(place, token, f"{host}:{port}", files, settings, announce))


async def _serve(
    home: Home,
    token: str,
    address: str,
    files: ServerFiles | None,
    settings: Settings,
    announce: Callable[[str], None],
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with _control(home, settings) as (control, store):
        tokens = Tokens(store, token)
        server = grpc.aio.server(interceptors=[TokenRequired(tokens), Readable()], options=_OPTIONS)
        bound = _bind(server, address, files)
        local = _bind(server, "127.0.0.1:0", None) if files else bound
        servicer = await _add_services(server, control, tokens)
        alive = await control.adopt()
        await server.start()
        await _set_health(servicer, health_pb2.HealthCheckResponse.SERVING)
        write_json(home.address_file, {"address": local, "pid": os.getpid()})
        announce(
            f"allgrad serves at {bound} with {'TLS and ' if files else ''}{settings.slots} slots; its folder is {home.path}"
        )
        if alive:
            announce(f"{alive} running job(s) of the server before were taken up")
        try:
            async with _metrics(control, token, announce):
                await _until(stop, lambda: store.broken is not None)
                await _set_health(servicer, health_pb2.HealthCheckResponse.NOT_SERVING)
                if store.broken:
                    why = f"the disk fails ({store.broken})"
                    announce(f"{why}: nothing new is accepted until the server is started again")
                    await stop.wait()
        finally:
            home.address_file.unlink(missing_ok=True)
            await server.stop(STOP_GRACE)
        if running := control.count(running=True):
            announce(f"{running} job(s) go on running; the next server on {home.path} takes them up")
        if store.broken:
            raise CannotServe("the server stopped", f"its disk fails: {store.broken}", "see to the disk")


@asynccontextmanager
async def _control(home: Home, settings: Settings) -> AsyncIterator[tuple[Control, Store]]:
    store = Store(home)
    control = Control(home, store, settings)
    try:
        yield control, store
    finally:
        await control.close()
        store.close()


@asynccontextmanager
async def _metrics(control: Control, token: str, announce: Callable[[str], None]) -> AsyncIterator[None]:
    """Serve figures for Prometheus, if that is wanted."""
    if control.settings.metrics_port is None:
        yield
        return
    from .service.metrics_page import metrics_page  # who does not want it does not wait for its library

    async with metrics_page(control, control.settings.metrics_port, token) as port:
        announce(f"Prometheus may ask http://127.0.0.1:{port}/metrics, with the token")
        yield


def _bind(server: grpc.aio.Server, address: str, files: ServerFiles | None) -> str:
    """Let *server* listen at *address*; return the same with the port that it got."""
    try:
        if files is None:
            port = server.add_insecure_port(address)
        else:
            port = server.add_secure_port(address, tls.server_credentials(files))
    except RuntimeError:
        raise CannotServe(
            f"cannot serve at {address}",
            "the port is taken",
            "choose another one with --port (0: any free one), or stop what uses it",
        ) from None
    return f"{address.rpartition(':')[0]}:{port}"


async def _add_services(server: grpc.aio.Server, control: Control, tokens: Tokens) -> health.HealthServicer:
    services: Any = ByName(server)
    add_JobServiceServicer_to_server(JobService(control, await asyncio.to_thread(mpi_name)), services)
    add_ReportingServiceServicer_to_server(ReportingService(control), services)
    add_SweepServiceServicer_to_server(SweepService(control), services)
    add_FileServiceServicer_to_server(FileService(control), services)
    add_AccessServiceServicer_to_server(AccessService(control, tokens), services)
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, services)
    reflection.enable_server_reflection((*_SERVICES, HEALTH, reflection.SERVICE_NAME), services)
    return servicer


async def _set_health(servicer: health.HealthServicer, status: int) -> None:
    for service in ("", *_SERVICES):
        await servicer.set(service, status)


async def _until(stop: asyncio.Event, broken: Callable[[], bool]) -> None:
    """Wait for the signal to stop, or for a disk that fails."""
    while not stop.is_set() and not broken():
        try:
            async with asyncio.timeout(_WATCH_DISK):
                await stop.wait()
        except TimeoutError:
            continue


def _check_shared(home: Home, kubernetes: Mapping[str, str]) -> None:
    if kubernetes and not home.path.is_relative_to(kubernetes["path"]):
        raise CannotServe(
            f"cannot let Kubernetes start jobs from {home.path}",
            f"its pods see only {kubernetes['path']}, where the claim {kubernetes['claim']} is mounted",
            f"serve with --home {kubernetes['path']}/allgrad",
        )


def _slots_of(hosts: str | Sequence[Host]) -> dict[str, int]:
    named = parse_hosts(hosts) if isinstance(hosts, str) else hosts
    check_hosts(named)
    for host in named:
        if host.local:
            raise CannotServe(
                f"cannot count {host} among the hosts", "that is this machine", "its slots are those of --slots"
            )
    return {host.name: host.slots for host in named}


def _check_reach(host: str, files: ServerFiles | None) -> None:
    if files is None and not tls.is_loopback(host):
        raise CannotServe(
            f"cannot serve at {host}",
            "calls are not encrypted, so only this machine may make them",
            "give a certificate with --tls-cert and --tls-key; or use 127.0.0.1, and reach it from elsewhere "
            "through an ssh tunnel",
        )


@contextmanager
def _locked(home: Home) -> Iterator[None]:
    """Hold the folder's lock: two servers on one folder would start every job twice."""
    with home.lock_file.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            other = read_json(home.address_file) or {}
            found = f"the server with pid {other.get('pid', '?')} at {other.get('address', '?')} has it"
            raise CannotServe(
                f"cannot serve from {home.path}", found, "stop that one, or use another folder with --home"
            ) from None
        yield
