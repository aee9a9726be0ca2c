"""The MPIJob that an attempt becomes: a launcher pod that runs the supervisor, and worker pods for the ranks."""

from __future__ import annotations

from typing import Any

from ..batch import Task

API_VERSION = "kubeflow.org/v2beta1"
MANAGED_BY = "app.kubernetes.io/managed-by"
SSH = "/home/mpiuser/.ssh"
_USER = 1000
_KEPT = 3600
"""Seconds after its end in which the MPIJob can still be looked at."""
_START_TIME = 600
"""Seconds that pods may take to start, beside the time that the ranks may run."""
_LEAVE = 15


def mpijob(task: Task) -> dict[str, Any]:
    """Return the MPIJob of *task*; it belongs to whoever has set `managed-by` to allgrad."""
    workers = int(task.options.get("workers", "1"))
    slots = -(-task.ranks // workers)
    labels = {MANAGED_BY: "allgrad"}
    if "queue" in task.options:
        labels["kueue.x-k8s.io/queue-name"] = task.options["queue"]
    policy: dict[str, Any] = {"cleanPodPolicy": "All", "backoffLimit": 0, "ttlSecondsAfterFinished": _KEPT}
    if task.max_runtime is not None:
        policy["activeDeadlineSeconds"] = int(task.max_runtime + task.grace) + _START_TIME
    worker = _container(task, "worker", {"cpu": str(slots * max(1, task.threads)), "memory": "1Gi"} | _amounts(task))
    worker |= {"command": ["/usr/sbin/sshd"], "args": ["-De", "-f", "/home/mpiuser/.sshd_config"]}
    worker["readinessProbe"] = {"tcpSocket": {"port": 2222}, "initialDelaySeconds": 1}
    worker["volumeMounts"].append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108 -- where ranks of a host exchange data
    launcher = _container(task, "launcher", {"cpu": "1", "memory": "1Gi"})
    launcher |= {"command": ["python", *task.argv[1:]], "workingDir": task.folder}
    launcher["env"] = [{"name": name, "value": value} for name, value in task.env.items()]
    memory = {"name": "shm", "emptyDir": {"medium": "Memory"}}
    return {
        "apiVersion": API_VERSION,
        "kind": "MPIJob",
        "metadata": {"name": task.name, "labels": labels},
        "spec": {
            "slotsPerWorker": slots,
            "sshAuthMountPath": SSH,
            "mpiImplementation": "OpenMPI",
            "launcherCreationPolicy": "WaitForWorkersReady",
            "runPolicy": policy,
            "mpiReplicaSpecs": {
                "Launcher": {"replicas": 1, "restartPolicy": "Never", "template": _pod(task, labels, launcher)},
                "Worker": {"replicas": workers, "template": _pod(task, labels, worker, memory)},
            },
        },
    }


def _container(task: Task, name: str, amounts: dict[str, str]) -> dict[str, Any]:
    return {
        "name": name,
        "image": task.options.get("image") or task.place["image"],
        "resources": {"requests": amounts, "limits": amounts},
        "securityContext": {"runAsUser": _USER},
        "volumeMounts": [{"name": "shared", "mountPath": task.place["path"]}],
    }


def _amounts(task: Task) -> dict[str, str]:
    return {name: task.options[name] for name in ("cpu", "memory") if name in task.options}


def _pod(task: Task, labels: dict[str, str], container: dict[str, Any], *volumes: dict[str, Any]) -> dict[str, Any]:
    shared = {"name": "shared", "persistentVolumeClaim": {"claimName": task.place["claim"]}}
    return {
        "metadata": {"labels": labels},
        "spec": {
            "containers": [container],
            "volumes": [shared, *volumes],
            "terminationGracePeriodSeconds": int(task.grace) + _LEAVE,
        },
    }
