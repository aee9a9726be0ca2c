"""How a command is told of a Kubernetes cluster."""

from __future__ import annotations

from pathlib import Path

import click

from ..errors import InvalidRequest
from .words import Word

IMAGE = "allgrad-mpi"

cluster_option = click.option(
    "--kubernetes",
    type=Word(),
    metavar="CLAIM:PATH",
    help="A cluster for jobs (see KUBECONFIG), whose pods mount this volume claim at PATH; --home must lie there.",
)
namespace_option = click.option(
    "--kubernetes-namespace", type=Word(), metavar="NAME", help="For the pods.  [default: the kubeconfig's]"
)


def cluster(volume: str, namespace: str | None, image: str = IMAGE) -> dict[str, str]:
    """Return what the options say of the cluster. Raises InvalidRequest for a *volume* that is not CLAIM:PATH.

    >>> cluster("work:/work", None)
    {'claim': 'work', 'path': '/work', 'image': 'allgrad-mpi', 'namespace': ''}
    """
    claim, _, path = volume.partition(":")
    if not claim or not Path(path).is_absolute():
        raise InvalidRequest(f"cannot use --kubernetes {volume}", "", "write CLAIM:PATH, as in work:/work")
    return {"claim": claim, "path": str(Path(path)), "image": image, "namespace": namespace or ""}
