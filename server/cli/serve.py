"""``allgrad serve``: the control server, in the foreground."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import click

from ..home import DEFAULT_PORT
from .cluster import IMAGE, cluster, cluster_option, namespace_option
from .connection import home_option, quiet_grpc
from .lifetimes import Count, Span
from .words import Word


@click.command(short_help="Start the server.")
@click.option(
    "--host", type=Word(), default="127.0.0.1", show_default=True, help="Address of this machine to listen on."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=DEFAULT_PORT,
    show_default=True,
    metavar="PORT",
    help="0 takes any free one.",
)
@click.option("--slots", type=Count(1), metavar="N", help="Ranks that may run at once.  [default: the cores]")
@click.option(
    "--grace",
    type=Span(),
    metavar="TIME",
    help="Between SIGTERM and SIGKILL when a job is cancelled.  [default: 5]",
)
@click.option(
    "--log-limit",
    type=Count(1),
    metavar="MIB",
    help="Kept of each rank's log, beside its beginning.  [default: 256]",
)
@click.option(
    "--journal-limit",
    type=Count(1),
    metavar="MIB",
    help="Kept of each attempt's journal: as much can wait for a server that is away.  [default: 1024]",
)
@click.option(
    "--keep-finished",
    type=Span(),
    metavar="TIME",
    help="Delete finished jobs, with metrics, logs and outputs, after this time, as in 30d.  [default: never]",
)
@click.option(
    "--keep-uploads",
    type=Span(),
    metavar="TIME",
    help="Delete uploads that nobody has used for this time and no unfinished job names.  [default: 30d]",
)
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="Of this machine, where Prometheus may ask /metrics with the server's token.  [default: none]",
)
@click.option(
    "--stall-after",
    type=Span(),
    metavar="TIME",
    help="Never call less silence a stall, unless a job says otherwise; 0: silence never is.  [default: 5m]",
)
@click.option(
    "--tensorboard/--no-tensorboard",
    default=True,
    show_default=True,
    help="Write what jobs report into tensorboard/ of their output folders, too.",
)
@click.option("--bind/--no-bind", default=True, show_default=True, help="Give each job cores of its own.")
@click.option(
    "--hosts",
    type=Word(),
    metavar="LIST",
    help="Hosts that jobs may name, and their slots, as in a:8,b:8.  [default: any, and what runs there is not counted]",
)
@click.option(
    "--host-patience",
    type=Span(),
    metavar="TIME",
    help="Silence after which a host of submit --hosts counts as lost, and ends its ranks.  [default: 20s]",
)
@cluster_option
@click.option(
    "--kubernetes-image", type=Word(), default=IMAGE, show_default=True, metavar="IMAGE", help="Of those pods."
)
@namespace_option
@click.option(
    "--run-as-command",
    type=Word(),
    metavar="COMMAND",
    help="Run each user's jobs under the account of that name, by what this leads, as in 'sudo -n -H -u {user} --'.",
)
@click.option(
    "--run-as-folder",
    type=Word(),
    metavar="DIR",
    help="Where such jobs lie while they run.  [default: ~{user}/.allgrad/ranks]",
)
@click.option("--tls-cert", type=Word(), metavar="FILE", help="Certificate (PEM): encrypt, and so allow any --host.")
@click.option("--tls-key", type=Word(), metavar="FILE", help="Its key.")
@click.option("--tls-client-ca", type=Word(), metavar="FILE", help="Ask clients for a certificate signed by this one.")
@home_option
def serve(
    host: str,
    port: int,
    slots: int | None,
    grace: float | None,
    log_limit: int | None,
    journal_limit: int | None,
    keep_finished: float | None,
    keep_uploads: float | None,
    metrics_port: int | None,
    stall_after: float | None,
    tensorboard: bool,
    bind: bool,
    hosts: str | None,
    host_patience: float | None,
    kubernetes: str | None,
    kubernetes_image: str,
    kubernetes_namespace: str | None,
    run_as_command: str | None,
    run_as_folder: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    tls_client_ca: str | None,
    home: Path | None,
) -> None:
    """Start the server and keep it in the foreground until Ctrl-C.

    Its jobs run on when it ends, and the next server on the same folder takes them up again.
    """
    quiet_grpc()
    from ..control.attempts import (
        DEFAULT_GRACE,
        DEFAULT_HOST_PATIENCE,
        DEFAULT_JOURNAL_LIMIT,
        DEFAULT_KEEP_UPLOADS,
        DEFAULT_LOG_LIMIT,
    )
    from ..jobs.accounts import FOLDER
    from ..jobs.stalls import LEAST
    from ..main import serve as serve_until_stopped

    logging.basicConfig(format="allgrad: %(levelname)s: %(message)s", level=logging.WARNING)
    serve_until_stopped(
        home,
        host=host,
        port=port,
        slots=slots,
        grace=DEFAULT_GRACE if grace is None else grace,
        log_limit=DEFAULT_LOG_LIMIT if log_limit is None else log_limit << 20,
        journal_limit=DEFAULT_JOURNAL_LIMIT if journal_limit is None else journal_limit << 20,
        keep_finished=keep_finished,
        keep_uploads=DEFAULT_KEEP_UPLOADS if keep_uploads is None else keep_uploads,
        metrics_port=metrics_port,
        stall_after=LEAST if stall_after is None else stall_after,
        tensorboard=tensorboard,
        bind=bind,
        hosts=hosts or "",
        host_patience=DEFAULT_HOST_PATIENCE if host_patience is None else host_patience,
        kubernetes=cluster(kubernetes, kubernetes_namespace, kubernetes_image) if kubernetes else None,
        run_as_command=run_as_command,
        run_as_folder=run_as_folder or FOLDER,
        tls_cert=tls_cert,
        tls_key=tls_key,
        tls_client_ca=tls_client_ca,
        announce=partial(print, flush=True),
    )
