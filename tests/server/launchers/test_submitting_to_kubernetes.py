"""Jobs that Kubernetes starts: a real HTTPS server that checks MPIJobs by the operator's own schema, and real processes."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trustme

from allgrad.server import Client, FailureKind, Job, JobState, Metrics
from allgrad.server.errors import InvalidRequest, LauncherMissing
from allgrad.server.launchers.batch import Phase, Task, Unavailable
from allgrad.server.launchers.kubernetes.access import Access, find_access
from allgrad.server.launchers.kubernetes.api import Api, Refused
from allgrad.server.launchers.kubernetes.manifest import mpijob
from allgrad.server.launchers.kubernetes.mpijobs import MPIJobs

from . import small_kubernetes
from .small_kubernetes import NAMESPACE, SCHEMA, TOKEN, SmallKubernetes, kubeconfig, problems

if TYPE_CHECKING:
    from tests.server.conftest import ServerProcess

Script = Callable[[str], str]
Finished = Callable[[Client, Job], Job]
Eventually = Callable[[Callable[[], object]], None]
PLACE = {"claim": "work", "path": "/work", "image": "allgrad-mpi"}
TASK = Task(
    "allgrad-abc-1", ("/opt/python", "-m", "x", "/work/run"), 5, 2, "/work/run", "/work/log", 90.0, 5.0,
    {"ALLGRAD_JOB_ID": "abc"}, {"workers": "2", "memory": "4Gi", "queue": "team"}, PLACE,
)  # fmt: skip


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory, authority: trustme.CA) -> Iterator[SmallKubernetes]:
    with small_kubernetes.configured(tmp_path_factory.mktemp("kubernetes"), authority) as made:
        yield made


@pytest.fixture
def cluster(shared_cluster: SmallKubernetes) -> Iterator[SmallKubernetes]:
    yield shared_cluster
    shared_cluster.clear()


@pytest.fixture(scope="module")
def shared_client(
    shared_cluster: SmallKubernetes, shared_server_with: Callable[..., ServerProcess]
) -> Iterator[Client]:
    place = {"claim": "work", "path": "/", "image": "allgrad-mpi"}
    with shared_server_with(slots=1, kubernetes=place).client() as client:
        yield client


@pytest.fixture
def client(cluster: SmallKubernetes, shared_client: Client) -> Client:
    return shared_client


def test_ranks_that_kubernetes_starts_report_and_log_and_take_no_slots(
    cluster: SmallKubernetes, client: Client, job_script: Script, finished: Finished
) -> None:
    here = client.submit([job_script("careful")])
    job = finished(client, client.submit([job_script("reporting"), "3", "0"], ranks=2, launcher="kubernetes"))
    assert (job.state, job.reason) == (JobState.SUCCEEDED, "")
    assert [event.step for event in client.watch(job.id) if isinstance(event, Metrics)] == [1, 2, 3]
    assert b"rank 1 step 3\n" in b"".join(chunk.data for chunk in client.logs(job.id, rank=1))
    assert list(cluster.jobs) == [f"allgrad-{job.id}-1"]
    failed = finished(client, client.submit([job_script("failing"), "raise", "1"], ranks=2, launcher="kubernetes"))
    assert failed.reason.startswith("rank 1 on ")
    assert failed.reason.endswith("ValueError: the data are bad")
    client.cancel(here.id)


def test_why_pods_do_not_start_is_told_and_the_job_can_be_cancelled(
    cluster: SmallKubernetes, client: Client, finished: Finished, eventually: Eventually
) -> None:
    waiting = {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "allgrad-mpi"'}
    cluster.pending = {"phase": "Pending", "containerStatuses": [{"state": {"waiting": waiting}}]}
    job = client.submit(["true"], launcher="kubernetes")
    eventually(lambda: 'ImagePullBackOff: Back-off pulling image "allgrad-mpi"' in client.get(job.id).reason)
    message = "0/3 nodes are available: 3 Insufficient cpu."
    unschedulable = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    cluster.pending = {"phase": "Pending", "conditions": [unschedulable]}
    eventually(lambda: f"Unschedulable: {message}" in client.explain(job.id).causes[0])
    cluster.down = True
    eventually(lambda: "kubernetes does not answer" in client.get(job.id).reason)
    cluster.down = False
    client.cancel(job.id)
    job = finished(client, job)
    assert (job.state, job.reason, job.exit_code) == (JobState.CANCELLED, "cancelled", None)
    assert cluster.deleted == [f"allgrad-{job.id}-1"]


def test_a_quota_that_keeps_pods_from_being_made_is_told(
    cluster: SmallKubernetes, client: Client, finished: Finished, eventually: Eventually
) -> None:
    cluster.quota = 'pods "w-0" is forbidden: exceeded quota: team, requested: cpu=4'
    job = client.submit(["true"], launcher="kubernetes")
    eventually(lambda: cluster.quota in client.get(job.id).reason)
    cluster.quota = ""
    assert finished(client, job).state is JobState.SUCCEEDED


def test_a_rank_in_kubernetes_has_its_grace_when_it_is_cancelled(
    client: Client, job_script: Script, finished: Finished
) -> None:
    job = client.submit([job_script("careful")], launcher="kubernetes")
    for _ in client.logs(job.id, 0, follow=True):
        break
    client.cancel(job.id)
    assert finished(client, job).state is JobState.CANCELLED
    assert Path(job.output_dir, "saved-0").exists()


@pytest.mark.parametrize(
    ("status", "failure"),
    [
        ({"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]}, "oom"),
        ({"reason": "Evicted", "message": "The node was low on resource: memory."}, "lost"),
    ],
)
def test_what_kubernetes_does_to_pods_is_a_failure_of_its_own_kind(
    cluster: SmallKubernetes,
    client: Client,
    finished: Finished,
    eventually: Eventually,
    status: dict[str, object],
    failure: str,
) -> None:
    cluster.pending = {"phase": "Pending"}
    job = client.submit(["true"], launcher="kubernetes", retries=1)
    eventually(lambda: cluster.jobs)
    cluster.pending, cluster.ending = {}, {"phase": "Failed", **status}
    eventually(lambda: client.get(job.id).failures == {failure: 1})
    client.cancel(job.id)
    assert finished(client, job).state is JobState.CANCELLED


def test_what_the_cluster_does_not_allow_is_told_in_its_words(
    cluster: SmallKubernetes, client: Client, finished: Finished
) -> None:
    cluster.forbidden = 'mpijobs.kubeflow.org is forbidden: User "me" cannot create resource "mpijobs"'
    job = finished(client, client.submit(["true"], launcher="kubernetes"))
    assert (job.state, job.exit_code) == (JobState.FAILED, 127)
    assert job.reason.startswith("cannot start: Kubernetes does not take the job; mpijobs.kubeflow.org is forbidden")
    assert "kubectl auth can-i" in job.reason
    with pytest.raises(InvalidRequest, match="cannot have 3 workers"):
        client.submit(["true"], launcher="kubernetes", launcher_options={"workers": "3"})


def test_a_server_that_was_told_of_no_cluster_says_so(server_with: Callable[..., ServerProcess]) -> None:
    with (
        server_with().client() as client,
        pytest.raises(LauncherMissing, match="allgrad serve --kubernetes CLAIM:PATH"),
    ):
        client.submit(["true"], launcher="kubernetes")


def test_the_mpijob_is_what_the_operators_schema_allows() -> None:
    made = mpijob(TASK)
    assert list(problems(made, SCHEMA)) == []
    spec = made["spec"]
    assert (spec["slotsPerWorker"], spec["mpiReplicaSpecs"]["Worker"]["replicas"]) == (3, 2)
    worker = spec["mpiReplicaSpecs"]["Worker"]["template"]["spec"]["containers"][0]
    assert worker["resources"]["limits"] == {"cpu": "6", "memory": "4Gi"}
    assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "team"
    made["spec"]["slots"] = 3
    assert list(problems(made, SCHEMA)) == ['MPIJob.spec: unknown field "slots"']


def test_an_mpijob_is_made_once_and_one_of_somebody_else_is_left_alone(cluster: SmallKubernetes) -> None:
    system = MPIJobs(PLACE)
    assert system.find(TASK) == ""
    cluster.pending = {"phase": "Pending"}
    assert system.submit(TASK) == system.submit(TASK) == system.find(TASK) == TASK.name
    assert system.look(TASK.name).phase is Phase.WAITING
    cluster.jobs[TASK.name]["metadata"]["labels"].clear()
    with pytest.raises(InvalidRequest, match="somebody else has made it"):
        system.submit(TASK)
    system.end(TASK.name, gently=False)
    seen = system.look(TASK.name)
    assert (seen.phase, seen.kind) == (Phase.FORGOTTEN, FailureKind.LOST)


def test_credentials_are_found_in_every_place_that_kubectl_knows(
    cluster: SmallKubernetes, authority: trustme.CA, tmp_path: Path
) -> None:
    found = find_access()
    assert (found.namespace, found.token) == (NAMESPACE, TOKEN)
    me = authority.issue_cert("me@example.org")
    pem = b"".join(part.bytes() for part in me.cert_chain_pems)
    (tmp_path / "token").write_text(TOKEN + "\n")
    plugin = {"command": "echo", "args": [json.dumps({"status": {"token": TOKEN}})]}
    certificate = {"client-certificate-data": pem, "client-key-data": me.private_key_pem.bytes()}
    users: list[dict[str, object]] = [
        {name: base64.b64encode(data).decode() for name, data in certificate.items()},
        {"tokenFile": "token"},
        {"exec": plugin},
    ]
    for user in users:
        file = tmp_path / "other"
        file.write_text(json.dumps(kubeconfig(found.server, authority, user)))
        access = find_access({"KUBECONFIG": str(file)})
        with pytest.raises(Refused, match="not found"):
            Api(access).ask("GET", f"/apis/kubeflow.org/v2beta1/namespaces/{NAMESPACE}/mpijobs/nothing")
    account = tmp_path / "account"
    account.mkdir()
    for name, text in (("token", TOKEN), ("namespace", NAMESPACE), ("ca.crt", authority.cert_pem.bytes().decode())):
        (account / name).write_text(text)
    inside = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": found.server.rpartition(":")[2]}
    access = find_access(inside | {"HOME": "/nonexistent"}, account)
    assert MPIJobs({}, access).find(TASK) == ""


def test_a_cluster_that_is_not_trusted_not_there_or_does_not_trust_us_is_told(
    cluster: SmallKubernetes, tmp_path: Path
) -> None:
    found = find_access()
    path = "/api/v1/namespaces/research/pods"
    with pytest.raises(Refused, match="its certificate is not trusted"):
        Api(Access(found.server)).ask("GET", path)
    with pytest.raises(Refused, match="Unauthorized"):
        Api(Access(found.server, authority=found.authority, token="wrong")).ask("GET", path)
    with pytest.raises(Unavailable, match="refused"):
        Api(Access("https://127.0.0.1:1")).ask("GET", path)
    with pytest.raises(InvalidRequest, match="cannot find a Kubernetes cluster"):
        find_access({"HOME": str(tmp_path)}, tmp_path)
    (tmp_path / "bad").write_text("{}")
    with pytest.raises(InvalidRequest, match="cannot use the kubeconfig"):
        find_access({"KUBECONFIG": str(tmp_path / "bad")})


def test_a_cluster_that_cannot_be_found_fails_the_job_and_says_so(
    server_with: Callable[..., ServerProcess], finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "nothing"))
    with server_with(kubernetes={"claim": "work", "path": "/", "image": "allgrad-mpi"}).client() as client:
        job = finished(client, client.submit(["true"], launcher="kubernetes"))
    assert job.reason.startswith("cannot start: cannot find a Kubernetes cluster; there is no ")
