"""``allgrad doctor --kubernetes``, with an API server over real HTTPS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme
import yaml

from allgrad.server.checkup import Finding, Verdict, kubernetes
from tests.server.launchers.small_kubernetes import NAMESPACE, SmallKubernetes, configured

PLACE = {"claim": "work", "path": "/work", "image": "allgrad-mpi", "namespace": ""}
RIGHTS = Path(__file__).parents[3] / "deploy" / "kubernetes" / "rights.yaml"


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallKubernetes]:
    with configured(tmp_path_factory.mktemp("kubernetes"), trustme.CA()) as made:
        yield made


@pytest.fixture
def cluster(shared_cluster: SmallKubernetes) -> Iterator[SmallKubernetes]:
    yield shared_cluster
    shared_cluster.clear()


def found(name: str, claim: str = "work") -> Finding:
    return next(each for each in kubernetes.check_up({**PLACE, "claim": claim}) if each.name == name)


def test_a_sound_cluster_has_no_problem(cluster: SmallKubernetes) -> None:
    seen = list(kubernetes.check_up(PLACE))
    assert [each.name for each in seen] == ["kubernetes", "mpi operator", f"rights in {NAMESPACE}", "volume work"]
    assert {each.verdict for each in seen} == {Verdict.OK}
    assert seen[0].found.startswith("v1.31.2, https://127.0.0.1:")


def test_without_a_kubeconfig_it_says_how_to_name_a_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", "/nowhere/config")
    (seen,) = kubernetes.check_up(PLACE)
    assert seen.verdict is Verdict.PROBLEM
    assert "KUBECONFIG" in seen.fix


def test_a_cluster_that_does_not_answer_ends_the_checks(cluster: SmallKubernetes) -> None:
    cluster.down = True
    (seen,) = kubernetes.check_up(PLACE)
    assert seen.verdict is Verdict.PROBLEM
    assert "leader changed" in seen.found


def test_credentials_that_it_does_not_know_are_told(
    cluster: SmallKubernetes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = yaml.safe_load((cluster.folder / "kubeconfig").read_text())
    config["users"][0]["user"]["token"] = "another"
    (tmp_path / "config").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    (seen,) = kubernetes.check_up(PLACE)
    assert seen.verdict is Verdict.PROBLEM
    assert seen.found.endswith("refuses: Unauthorized")


def test_a_missing_operator_is_a_problem(cluster: SmallKubernetes) -> None:
    cluster.operator = False
    seen = found("mpi operator")
    assert seen.verdict is Verdict.PROBLEM
    assert "MPI Operator" in seen.fix


def test_rights_that_are_missing_are_named(cluster: SmallKubernetes) -> None:
    cluster.denied = ["delete mpijobs", "get pods/log"]
    seen = found(f"rights in {NAMESPACE}")
    assert (seen.verdict, seen.found) == (Verdict.PROBLEM, "not allowed: delete mpijobs, get pods/log")
    assert "deploy/kubernetes/rights.yaml" in seen.fix


def test_the_manifest_grants_what_is_looked_for_and_no_more() -> None:
    (role,) = (each for each in yaml.safe_load_all(RIGHTS.read_text()) if each["kind"] == "Role")
    granted = {
        (verb, group, kind)
        for rule in role["rules"]
        for verb in rule["verbs"]
        for group in rule["apiGroups"]
        for kind in rule["resources"]
    }
    assert granted == set(kubernetes.RIGHTS)


@pytest.mark.parametrize(
    ("claim", "verdict", "words"),
    [
        ({"spec": {"accessModes": ["ReadWriteMany"]}, "status": {"phase": "Pending"}}, Verdict.WARNING, "Pending"),
        (
            {"spec": {"accessModes": ["ReadWriteOnce"]}, "status": {"phase": "Bound"}},
            Verdict.WARNING,
            "only ReadWriteOnce",
        ),
        (None, Verdict.PROBLEM, '"disk" not found'),
    ],
)
def test_a_volume_that_pods_cannot_share_is_told(
    cluster: SmallKubernetes, claim: dict[str, object] | None, verdict: Verdict, words: str
) -> None:
    cluster.claims = {} if claim is None else {"disk": claim}
    seen = found("volume disk", "disk")
    assert seen.verdict is verdict
    assert words in seen.found
