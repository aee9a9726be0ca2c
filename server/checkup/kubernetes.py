"""What a job of ``allgrad submit --launcher kubernetes`` needs: a cluster with the MPI Operator, rights, a volume."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..errors import InvalidRequest
from ..launchers.batch import Unavailable
from ..launchers.kubernetes.access import find_access
from ..launchers.kubernetes.api import Api, Refused
from .finding import Finding, Verdict

_OPERATOR = "kubeflow.org"
RIGHTS = (
    ("create", _OPERATOR, "mpijobs"),
    ("get", _OPERATOR, "mpijobs"),
    ("delete", _OPERATOR, "mpijobs"),
    ("list", "", "pods"),
    ("get", "", "pods/log"),
    ("list", "", "events"),
)
"""What the server does in a cluster: verb, API group, kind."""


def check_up(place: Mapping[str, str]) -> Iterator[Finding]:
    """Run every check in turn, up to the first without which the others mean nothing."""
    try:
        access = find_access()
        api, namespace = Api(access), place.get("namespace") or access.namespace
    except InvalidRequest as error:
        yield Finding("kubernetes", Verdict.PROBLEM, f"{error.what}; {error.found}", error.fix)
        return
    found = cluster(api, access.server)
    yield found
    if found.verdict is Verdict.PROBLEM:
        return
    yield operator(api)
    yield rights(api, namespace)
    yield volume(api, namespace, place["claim"])


def cluster(api: Api, address: str) -> Finding:
    """Ask the API server for its version, which it tells to those it knows."""
    try:
        told = api.ask("GET", "/version")
    except Refused as refusal:
        fix = "see: kubectl config view, kubectl auth whoami"
        return Finding("kubernetes", Verdict.PROBLEM, f"{address} refuses: {refusal.message}", fix)
    except Unavailable as error:
        return Finding(
            "kubernetes", Verdict.PROBLEM, f"no answer: {error}", "see KUBECONFIG, and: kubectl cluster-info"
        )
    return Finding("kubernetes", Verdict.OK, f"{told.get('gitVersion', 'an unknown version')}, {address}")


def operator(api: Api) -> Finding:
    """Look for the kind MPIJob in the version that is submitted."""
    fix = "install Kubeflow's MPI Operator, 0.4 or newer: github.com/kubeflow/mpi-operator"
    try:
        kinds = [each["name"] for each in api.ask("GET", f"/apis/{_OPERATOR}/v2beta1")["resources"]]
    except (Refused, Unavailable) as error:
        return Finding("mpi operator", Verdict.PROBLEM, f"there is no {_OPERATOR}/v2beta1: {error}", fix)
    if "mpijobs" not in kinds:
        return Finding("mpi operator", Verdict.PROBLEM, f"{_OPERATOR}/v2beta1 has no mpijobs", fix)
    return Finding("mpi operator", Verdict.OK, f"takes MPIJobs of {_OPERATOR}/v2beta1")


def rights(api: Api, namespace: str) -> Finding:
    """Ask the cluster whether these credentials may do what the server will do."""
    name = f"rights in {namespace}"
    fix = "kubectl apply -f deploy/kubernetes/rights.yaml, or see: kubectl auth can-i --list"
    try:
        missing = [f"{verb} {kind}" for verb, group, kind in RIGHTS if not _may(api, namespace, verb, group, kind)]
    except (Refused, Unavailable) as error:
        return Finding(name, Verdict.WARNING, f"the cluster does not tell: {error}", fix)
    if missing:
        return Finding(name, Verdict.PROBLEM, f"not allowed: {', '.join(missing)}", fix)
    return Finding(name, Verdict.OK, "MPIJobs, pods, logs and events")


def volume(api: Api, namespace: str, claim: str) -> Finding:
    """Look whether the claim that all pods mount has a volume."""
    name = f"volume {claim}"
    try:
        found = api.ask("GET", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims/{claim}")
    except Refused as refusal:
        absent = refusal.status == 404
        fix = f"make it, ReadWriteMany: kubectl get pvc -n {namespace}" if absent else ""
        return Finding(name, Verdict.PROBLEM if absent else Verdict.WARNING, refusal.message, fix)
    except Unavailable as error:
        return Finding(name, Verdict.WARNING, f"the cluster does not tell: {error}")
    phase, modes = found.get("status", {}).get("phase", "unknown"), found["spec"].get("accessModes", [])
    if phase != "Bound":
        fix = f"see why: kubectl describe pvc -n {namespace} {claim}"
        return Finding(name, Verdict.WARNING, f"{phase}: pods that mount it wait", fix)
    if "ReadWriteMany" not in modes:
        fix = "pods on several nodes and the server write there: use a ReadWriteMany volume, as of NFS"
        return Finding(name, Verdict.WARNING, f"Bound, but only {', '.join(modes)}", fix)
    return Finding(name, Verdict.OK, "Bound, ReadWriteMany")


def _may(api: Api, namespace: str, verb: str, group: str, kind: str) -> bool:
    resource, _, part = kind.partition("/")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": part}
    body = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
    }
    answer = api.ask("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body)
    return bool(answer.get("status", {}).get("allowed"))
