"""What deploy/ holds is sound as far as can be told without a cluster: syntax, fields, and that the parts fit together."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
SBATCH = {
    *("job-name", "nodes", "ntasks-per-node", "cpus-per-task", "output", "open-mode", "signal", "requeue", "time"),
    *("partition", "account", "mem", "exclusive"),
}
# Fields and values of kubeflow.org/v2beta1 (operator v0.8.2) and trainer.kubeflow.org/v1alpha1, as their types declare them.
MPI_SPEC = {
    *("slotsPerWorker", "runLauncherAsWorker", "runPolicy", "mpiReplicaSpecs", "sshAuthMountPath"),
    *("launcherCreationPolicy", "mpiImplementation"),
}
RUN_POLICY = {
    *("cleanPodPolicy", "ttlSecondsAfterFinished", "activeDeadlineSeconds", "backoffLimit", "schedulingPolicy"),
    *("suspend", "managedBy"),
}
REPLICA = {"replicas", "template", "restartPolicy"}
CONTAINER = {
    *("name", "image", "command", "args", "workingDir", "securityContext", "resources", "volumeMounts"),
    *("readinessProbe", "env"),
}
RESERVED_ENV = re.compile(
    r"OMPI_MCA_(orte_keep_fqdn_hostnames|orte_default_hostfile|plm_rsh_args|orte_set_default_slots)"
)


def documents(name: str) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text()))


def pods(node: Any) -> Iterator[dict[str, Any]]:
    """Every pod's spec below *node*."""
    if isinstance(node, dict):
        if "containers" in node:
            yield node
        for value in node.values():
            yield from pods(value)
    elif isinstance(node, list):
        for value in node:
            yield from pods(value)


@pytest.mark.parametrize("script", sorted((DEPLOY / "slurm").glob("*.sbatch")), ids=lambda path: path.name)
def test_a_batch_script_is_one_that_bash_and_sbatch_understand(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    lines = script.read_text().splitlines()
    assert lines[0] == "#!/bin/bash"
    options = [line.removeprefix("#SBATCH --").partition("=")[0] for line in lines if line.startswith("#SBATCH")]
    assert set(options) <= SBATCH
    first = next(number for number, line in enumerate(lines) if not line.startswith("#"))
    assert not any(line.startswith("#SBATCH") for line in lines[first:]), (
        "sbatch does not read beyond the first command"
    )


def test_the_mpijob_has_the_fields_of_its_version() -> None:
    (job,) = documents("mpijob.yaml")
    assert (job["apiVersion"], job["kind"]) == ("kubeflow.org/v2beta1", "MPIJob")
    spec = job["spec"]
    assert spec.keys() <= MPI_SPEC
    assert spec["runPolicy"].keys() <= RUN_POLICY
    assert spec["mpiImplementation"] in ("OpenMPI", "Intel", "MPICH")
    assert spec["launcherCreationPolicy"] in ("AtStartup", "WaitForWorkersReady")
    assert spec["runPolicy"]["cleanPodPolicy"] in ("None", "Running", "All")
    replicas = spec["mpiReplicaSpecs"]
    assert replicas.keys() == {"Launcher", "Worker"}
    assert all(replica.keys() <= REPLICA for replica in replicas.values())
    assert replicas["Launcher"]["replicas"] == 1


def test_the_trainer_runtime_and_its_job_fit_together() -> None:
    runtime, job = documents("trainer.yaml")
    assert {part["apiVersion"] for part in (runtime, job)} == {"trainer.kubeflow.org/v1alpha1"}
    assert (runtime["kind"], job["kind"]) == ("ClusterTrainingRuntime", "TrainJob")
    assert job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]
    policy = runtime["spec"]["mlPolicy"]
    assert policy["mpi"].keys() <= {"numProcPerNode", "mpiImplementation", "sshAuthMountPath", "runLauncherAsNode"}
    assert policy["mpi"]["mpiImplementation"] == "OpenMPI", "the only one that the trainer implements"
    replicated = {part["name"]: part for part in runtime["spec"]["template"]["spec"]["replicatedJobs"]}
    assert replicated["launcher"]["dependsOn"] == [{"name": "node", "status": "Ready"}]


@pytest.mark.parametrize("name", ["mpijob.yaml", "trainer.yaml"])
def test_every_container_is_one_that_the_image_can_be(name: str) -> None:
    image = (DEPLOY / "docker" / "mpi.Dockerfile").read_text()
    found = [pod for document in documents(name) for pod in pods(document)]
    assert len(found) == 2
    for pod in found:
        mounted = {mount["name"] for part in pod["containers"] for mount in part.get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in pod.get("volumes", [])}
        for container in pod["containers"]:
            assert container.keys() <= CONTAINER
            assert f"USER {container['securityContext']['runAsUser']}:" in image
            assert f"WORKDIR {container['workingDir']}" in image
            assert not any(RESERVED_ENV.fullmatch(variable["name"]) for variable in container.get("env", []))
            if container["command"] == ["/usr/sbin/sshd"]:
                assert f"Port {container['readinessProbe']['tcpSocket']['port']}" in image
                assert container["args"][-1] in image
                assert any(volume.get("emptyDir", {}).get("medium") == "Memory" for volume in pod["volumes"])
