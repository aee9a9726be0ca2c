"""What tests do with jobs whose ranks are on other hosts, whoever starts them."""

from __future__ import annotations

from typing import Any

from allgrad.server import Client, Job, Metrics
from tests.server.conftest import JOBS

from .hosts import Lab

WHERE = "import socket\nfrom allgrad import dist\ndist.init()\nprint(dist.rank(), dist.world_size(), socket.gethostname())\n"


def ended(client: Client, job: Job) -> Job:
    for _ in client.watch(job.id):
        pass
    return client.get(job.id)


def losses(client: Client, job: Job) -> list[int]:
    return [event.step for event in client.watch(job.id) if isinstance(event, Metrics)]


def running(client: Client, script: str, *arguments: str, **options: Any) -> Job:
    """Submit one of the programs, and return once each of its ranks has written something."""
    job = client.submit([str(JOBS / script), *arguments], **options)
    for rank in range(job.ranks):
        for _ in client.logs(job.id, rank, follow=True):
            break
    return job


def left(lab: Lab, job: Job) -> list[str]:
    """Return what lives on the hosts and bears the job's tag."""
    return [line for host in lab.hosts for line in host.processes_with(f"ALLGRAD_JOB_ID={job.id}")]
