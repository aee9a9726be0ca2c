"""What an MPIJob, its pods and their events mean: how far it has come, why it waits, how it failed; pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...jobs.spec import FailureKind
from ..batch import Phase, Sighting

Record = Mapping[str, Any]
ROLE = "training.kubeflow.org/job-role"
_LOSSES = frozenset({"Evicted", "NodeLost", "NodeShutdown", "Preempting", "Terminated", "UnexpectedAdmissionError"})
_JUST_SLOW = frozenset({"", "ContainerCreating", "PodInitializing"})


def sighting(job: Record, pods: Sequence[Record], events: Sequence[Record]) -> Sighting:
    """Return how far *job* has come; *events*: warnings about it, the oldest first."""
    name = job["metadata"]["name"]
    conditions = {
        each["type"]: each for each in job.get("status", {}).get("conditions", ()) if each["status"] == "True"
    }
    if "Succeeded" in conditions:
        return Sighting(Phase.ENDED, f"MPIJob {name} has succeeded")
    if "Failed" in conditions:
        kind, why = _failure(conditions["Failed"], pods)
        return Sighting(Phase.ENDED, f"MPIJob {name} has failed: {why}", kind, False, _exit_code(pods))
    if any(_role(pod) == "launcher" and pod["status"].get("phase") == "Running" for pod in pods):
        return Sighting(Phase.RUNNING, f"runs in Kubernetes as MPIJob {name}")
    waits = f"waits in Kubernetes as MPIJob {name}"
    if "Suspended" in conditions:
        return Sighting(Phase.WAITING, f"{waits}: suspended, until its queue admits it")
    reason = next(_hindrances(pods), "") or (str(events[-1].get("message", "")) if events else "")
    return Sighting(Phase.WAITING, f"{waits}: {reason or 'its pods are being started'}")


def _role(pod: Record) -> str:
    labels = pod["metadata"].get("labels", {})
    return str(labels.get(ROLE, ""))


def _hindrances(pods: Sequence[Record]) -> Iterator[str]:
    """Yield what keeps pods from starting: an image that cannot be had, no node with room."""
    for pod in pods:
        for container in pod["status"].get("containerStatuses", ()):
            waiting = container.get("state", {}).get("waiting") or {}
            if waiting.get("reason", "") not in _JUST_SLOW:
                yield f"{pod['metadata']['name']}: {waiting['reason']}: {waiting.get('message', '')}".removesuffix(": ")
    for pod in pods:
        for condition in pod["status"].get("conditions", ()):
            if condition["type"] == "PodScheduled" and condition["status"] == "False":
                told = f"{condition.get('reason', '')}: {condition.get('message', '')}"
                yield f"{pod['metadata']['name']}: {told}".removesuffix(": ")


def _failure(condition: Record, pods: Sequence[Record]) -> tuple[FailureKind | None, str]:
    why = str(condition.get("message") or condition.get("reason") or "it does not say why")
    for pod in pods:
        for container in pod["status"].get("containerStatuses", ()):
            if (container.get("state", {}).get("terminated") or {}).get("reason") == "OOMKilled":
                return FailureKind.OUT_OF_MEMORY, f"{pod['metadata']['name']} used more memory than it asked for"
        if pod["status"].get("reason") in _LOSSES:
            told = f"{pod['status']['reason']}: {pod['status'].get('message', '')}".removesuffix(": ")
            return FailureKind.LOST, f"{pod['metadata']['name']} was taken away: {told}"
    if "DeadlineExceeded" in (condition.get("reason"), why):
        return FailureKind.TIMEOUT, why
    return None, why


def _exit_code(pods: Sequence[Record]) -> int:
    for pod in pods:
        for container in pod["status"].get("containerStatuses", ()) if _role(pod) == "launcher" else ():
            if ended := container.get("state", {}).get("terminated"):
                return int(ended.get("exitCode", 1))
    return 1
