"""An API server over HTTPS that takes MPIJobs which their schema allows, and an operator that runs their launchers here."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import trustme
import yaml

SCHEMA = json.loads((Path(__file__).parents[2] / "data" / "kubernetes" / "mpijob-v2beta1.schema.json").read_text())
TOKEN = "the-token"
NAMESPACE = "research"
_JOBS = re.compile(rf"/apis/kubeflow\.org/v2beta1/namespaces/{NAMESPACE}/mpijobs(?:/([a-z0-9-]+))?")
_CORE = re.compile(rf"/api/v1/namespaces/{NAMESPACE}/(pods|events)(?:/([a-z0-9-]+)/log)?")
_CLAIM = re.compile(rf"/api/v1/namespaces/{NAMESPACE}/persistentvolumeclaims/([a-z0-9-]+)")
_REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
_TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "integer": int,
    "number": (int, float),
}


def problems(value: Any, schema: Mapping[str, Any], path: str = "MPIJob") -> Iterator[str]:
    """Yield where *value* is not what *schema* allows; a field that it does not know is one, as under strict validation."""
    if schema.get("x-kubernetes-int-or-string"):
        if not isinstance(value, int | str):
            yield f"{path}: neither a number nor a string"
        return
    expected = _TYPES[schema["type"]]
    if not isinstance(value, expected) or (isinstance(value, bool) and schema["type"] != "boolean"):
        yield f"{path}: Invalid value: {value!r} is not of type {schema['type']}"
        return
    if "enum" in schema and value not in schema["enum"]:
        yield f"{path}: Unsupported value: {value!r}"
    if isinstance(value, list):
        for number, each in enumerate(value):
            yield from problems(each, schema["items"], f"{path}[{number}]")
    if isinstance(value, dict) and ("properties" in schema or "additionalProperties" in schema):
        known = schema.get("properties", {})
        yield from (f"{path}.{name}: Required value" for name in schema.get("required", ()) if name not in value)
        for name, each in value.items():
            inner = known.get(name) or schema.get("additionalProperties")
            if inner is None:
                yield f'{path}: unknown field "{name}"'
            else:
                yield from problems(each, inner, f"{path}.{name}")


class SmallKubernetes:
    """What the cluster holds. Pods start when `pending` is empty; `forbidden` keeps MPIJobs from it, `quota` pods; `down`: 503.

    `operator` says whether it knows MPIJobs, `denied` what one may not do, as in "create mpijobs"; `claims` are its volumes.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.jobs: dict[str, dict[str, Any]] = {}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.clear()

    def clear(self) -> None:
        """End what runs, and stand in nobody's way."""
        for name in list(self.jobs):
            self.delete(name)
        self.pending: dict[str, Any] = {}
        self.ending: dict[str, Any] = {}
        self.quota = ""
        self.forbidden = ""
        self.down = False
        self.operator = True
        self.denied: list[str] = []
        self.claims: dict[str, Any] = {
            "work": {"spec": {"accessModes": ["ReadWriteMany"]}, "status": {"phase": "Bound"}}
        }
        self.deleted: list[str] = []

    def create(self, job: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        if self.forbidden:
            return 403, {"message": self.forbidden}
        if found := list(problems(job, SCHEMA)):
            return 422, {"message": "; ".join(found)}
        name = job["metadata"]["name"]
        if name in self.jobs:
            return 409, {"message": f'mpijobs "{name}" already exists'}
        self.jobs[name] = job
        return 201, job

    def get(self, name: str) -> tuple[int, dict[str, Any]]:
        if name not in self.jobs:
            return 404, {"message": f'mpijobs "{name}" not found'}
        self._operate(name)
        return 200, self.jobs[name]

    def delete(self, name: str) -> tuple[int, dict[str, Any]]:
        if self.jobs.pop(name, None) is None:
            return 404, {"message": "not found"}
        self.deleted.append(name)
        if process := self.processes.pop(name, None):
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        return 200, {"status": "Success"}

    def _operate(self, name: str) -> None:
        """Do what the operator does: start the launcher when nothing is in its way, and note its end."""
        job = self.jobs[name]
        if name not in self.processes and not self.pending and not self.quota:
            container = job["spec"]["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"][0]
            given = {each["name"]: each["value"] for each in container["env"]}
            with open(self.folder / f"{name}.log", "wb") as log:
                self.processes[name] = subprocess.Popen(
                    [sys.executable if container["command"][0] == "python" else "false", *container["command"][1:]],
                    env={**os.environ, **given},
                    cwd=container["workingDir"],
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
        code = self.processes[name].poll() if name in self.processes else None
        if code is not None or self.ending:
            told = {"type": "Succeeded" if code == 0 else "Failed", "status": "True", "reason": "JobFailed"}
            job["status"] = {"conditions": [told | {"message": "Job has reached the backoff limit"}]}

    def pods(self, name: str) -> list[dict[str, Any]]:
        labels = {"training.kubeflow.org/job-name": name, "training.kubeflow.org/job-role": "launcher"}
        head = {"metadata": {"name": f"{name}-launcher-x7x", "labels": labels}}
        if self.pending or self.ending:
            return [head | {"status": self.pending or self.ending}]
        if name not in self.processes:
            return []
        code = self.processes[name].poll()
        if code is None:
            return [head | {"status": {"phase": "Running"}}]
        ended = {"state": {"terminated": {"exitCode": code, "reason": "Error" if code else "Completed"}}}
        return [head | {"status": {"phase": "Failed" if code else "Succeeded", "containerStatuses": [ended]}}]

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, dict[str, Any] | str]:
        if self.down:
            return 503, {"message": "etcdserver: leader changed"}
        url = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if found := _JOBS.fullmatch(url.path):
            if method == "POST":
                return self.create(json.loads(body))
            return self.delete(found[1]) if method == "DELETE" else self.get(found[1])
        if found := _CORE.fullmatch(url.path):
            if found[2]:
                return 200, (self.folder / f"{found[2].removesuffix('-launcher-x7x')}.log").read_text()
            if found[1] == "events":
                about = [{"involvedObject": {"name": name}, "message": self.quota} for name in self.jobs]
                return 200, {"items": about if self.quota else []}
            return 200, {"items": self.pods(query["labelSelector"].partition("=")[2])}
        return self.describe(url.path, json.loads(body or b"{}"))

    def describe(self, path: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer what is asked about the cluster itself."""
        if path == "/version":
            return 200, {"gitVersion": "v1.31.2"}
        if path == "/apis/kubeflow.org/v2beta1" and self.operator:
            return 200, {"resources": [{"name": "mpijobs"}, {"name": "mpijobs/status"}]}
        if path == _REVIEWS:
            about = asked["spec"]["resourceAttributes"]
            kind = "/".join(about[part] for part in ("resource", "subresource") if part in about)
            return 201, {"status": {"allowed": f"{about['verb']} {kind}" not in self.denied}}
        if found := _CLAIM.fullmatch(path):
            missing = {"message": f'persistentvolumeclaims "{found[1]}" not found'}
            return (200, self.claims[found[1]]) if found[1] in self.claims else (404, missing)
        return 404, {"message": "the server could not find the requested resource"}


def kubeconfig(url: str, authority: trustme.CA, user: dict[str, object]) -> dict[str, object]:
    """The file that leads to the cluster at *url* as *user*."""
    trusted = base64.b64encode(authority.cert_pem.bytes()).decode()
    return {
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "lab", "user": "me", "namespace": NAMESPACE}}],
        "clusters": [{"name": "lab", "cluster": {"server": url, "certificate-authority-data": trusted}}],
        "users": [{"name": "me", "user": user}],
    }


@contextmanager
def configured(folder: Path, authority: trustme.CA) -> Iterator[SmallKubernetes]:
    """Serve a cluster while the block runs, which KUBECONFIG leads to."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_OPTIONAL
    made = SmallKubernetes(folder)
    with served(made, context) as url, pytest.MonkeyPatch.context() as patch:
        file = folder / "kubeconfig"
        file.write_text(yaml.safe_dump(kubeconfig(url, authority, {"token": TOKEN})))
        patch.setenv("KUBECONFIG", str(file))
        yield made


@contextmanager
def served(cluster: SmallKubernetes, context: ssl.SSLContext) -> Iterator[str]:
    """Serve *cluster* while the block runs; gives the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            known = self.headers["Authorization"] == f"Bearer {TOKEN}" or bool(self.connection.getpeercert())
            status, answer = (
                cluster.answer(self.command, self.path, body) if known else (401, {"message": "Unauthorized"})
            )
            data = answer.encode() if isinstance(answer, str) else json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_POST = do_DELETE = do_GET

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        cluster.clear()
