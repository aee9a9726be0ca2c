"""Kubeflow's MPI Operator as a batch system: an attempt is created as an MPIJob, looked at, and deleted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...errors import InvalidRequest, LauncherMissing
from ...jobs.spec import FailureKind, JobSpec, LauncherKind
from ..batch import Phase, Sighting, Task, Unavailable, check_options
from .access import Access, find_access
from .api import Api, Refused
from .manifest import MANAGED_BY, mpijob
from .status import ROLE, sighting

OPTIONS = ("image", "workers", "cpu", "memory", "queue")
_MISSING, _CONFLICT = 404, 409
_FIXES = {
    401: "the cluster does not know these credentials: see kubectl auth whoami",
    403: "see kubectl auth can-i create mpijobs.kubeflow.org, and kubectl describe quota",
    404: "install Kubeflow's MPI Operator (v2beta1), and check the namespace",
    422: "see what the MPIJob may hold: kubectl explain mpijob.spec",
}


def check(spec: JobSpec, place: Mapping[str, str]) -> None:
    """Raise LauncherMissing or InvalidRequest if a job cannot go to the cluster that *place* describes."""
    if not place:
        raise LauncherMissing(
            "the launcher kubernetes is not configured on this server",
            "it was started without --kubernetes",
            "start it with: allgrad serve --kubernetes CLAIM:PATH --kubernetes-image IMAGE",
        )
    check_options(LauncherKind.KUBERNETES, spec.launcher_options, OPTIONS)
    workers = spec.launcher_options.get("workers", "1")
    if not workers.isascii() or not workers.isdigit() or not 0 < int(workers) <= spec.ranks:
        raise InvalidRequest(
            f"{spec.ranks} ranks cannot have {workers} workers",
            "each worker has one or more",
            "",
            "spec.launcher_options",
        )
    inside = f"{spec.workdir}/".startswith(place["path"].rstrip("/") + "/")
    if not spec.archive and not inside:
        raise InvalidRequest(
            f"the job cannot start in {spec.workdir}",
            f"pods see only {place['path']} of the server's files",
            "upload the folder with --workdir, or submit from there",
            field="spec.working_directory",
        )


class MPIJobs:
    """The MPIJobs of one namespace; *place*: what the server was told, with `namespace` if it is not the context's own."""

    def __init__(self, place: Mapping[str, str], access: Access | None = None) -> None:
        found = access or find_access()
        self._api = Api(found)
        self._namespace = place.get("namespace") or found.namespace
        self._all = f"/apis/kubeflow.org/v2beta1/namespaces/{self._namespace}/mpijobs"

    def __repr__(self) -> str:
        return f"MPIJobs({self._namespace})"

    def find(self, task: Task) -> str:
        """Return the name of the MPIJob that was created for the task, or "". Raises InvalidRequest if it is somebody else's."""
        try:
            found = self._api.ask("GET", f"{self._all}/{task.name}")
        except Refused as refusal:
            if refusal.status == _MISSING:
                return ""
            raise _explained(refusal) from None
        return self._own(found)

    def submit(self, task: Task) -> str:
        """Create the MPIJob; return its name. Raises InvalidRequest with what the cluster says against it."""
        try:
            return self._own(self._api.ask("POST", self._all, mpijob(task)))
        except Refused as refusal:
            if refusal.status == _CONFLICT:
                return self.find(task)
            raise _explained(refusal) from None

    def look(self, handle: str) -> Sighting:
        """Return what has become of it."""
        try:
            job = self._api.ask("GET", f"{self._all}/{handle}")
            selector = {"labelSelector": f"training.kubeflow.org/job-name={handle}"}
            pods = self._items("pods", selector)
            events = self._items("events", {"fieldSelector": "type=Warning"}) if not pods else []
        except Refused as refusal:
            if refusal.status == _MISSING:
                return Sighting(Phase.FORGOTTEN, f"Kubernetes has no MPIJob {handle} any more", FailureKind.LOST)
            return Sighting(Phase.RUNNING, f"Kubernetes does not tell what has become of it: {refusal.message}")
        ours = [each for each in events if each.get("involvedObject", {}).get("name") in (handle, f"{handle}-launcher")]
        seen = sighting(job, pods, ours)
        failed = seen.phase is Phase.ENDED and seen.exit_code and seen.kind is None
        return replace(seen, words=seen.words + self._last_line(pods)) if failed else seen

    def end(self, handle: str, *, gently: bool) -> None:
        """Delete it with its pods, unless *gently*: its supervisor is told through the folder that they share."""
        if gently:
            return
        try:
            self._api.ask("DELETE", f"{self._all}/{handle}", {"propagationPolicy": "Foreground"})
        except Refused as refusal:
            if refusal.status != _MISSING:
                raise Unavailable(refusal.message) from None  # it lives on, and is to be ended all the same

    def _last_line(self, pods: Sequence[Mapping[str, Any]]) -> str:
        """Return what the launcher said last, if it got so far as to say anything."""
        for pod in pods:
            if pod["metadata"].get("labels", {}).get(ROLE) == "launcher":
                path = f"/api/v1/namespaces/{self._namespace}/pods/{pod['metadata']['name']}/log"
                try:
                    lines = self._api.text(path, {"tailLines": "5"}).splitlines()
                except Refused:
                    return ""
                return next((f": {line.strip()}" for line in reversed(lines) if line.strip()), "")
        return ""

    def _items(self, kind: str, query: Mapping[str, str]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._api.ask("GET", f"/api/v1/namespaces/{self._namespace}/{kind}", query=query)[
            "items"
        ]
        return found

    def _own(self, found: Mapping[str, Any]) -> str:
        name: str = found["metadata"]["name"]
        if found["metadata"].get("labels", {}).get(MANAGED_BY) != "allgrad":
            raise InvalidRequest(
                f"cannot use the MPIJob {name}", "somebody else has made it", "see: kubectl get mpijobs"
            )
        return name


def _explained(refusal: Refused) -> InvalidRequest:
    return InvalidRequest("Kubernetes does not take the job", refusal.message, _FIXES.get(refusal.status, ""))
