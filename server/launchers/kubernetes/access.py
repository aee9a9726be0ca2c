"""Where the API server of a cluster is, and how one shows who one is: from within a pod, or by a kubeconfig."""

from __future__ import annotations

import base64
import json
import os
import ssl
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import InvalidRequest

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
"""What a pod is given of its service account."""
_PATIENCE = 30.0


@dataclass(frozen=True, slots=True)
class Access:
    """The way to one cluster."""

    server: str
    """URL of its API server."""
    namespace: str = "default"
    token: str = ""
    token_file: str = ""
    """Read again each time: such tokens are replaced while they are used."""
    authority: str = ""
    """PEM of the certificate authority; empty: those of this machine."""
    certificate: str = ""
    """PEM of the client's certificate and key."""
    unverified: bool = False

    def bearer(self) -> str:
        """Return the token to be shown, or ""."""
        return Path(self.token_file).read_text(encoding="ascii").strip() if self.token_file else self.token

    def context(self) -> ssl.SSLContext:
        """Return how the connection is encrypted, and who is trusted. Raises InvalidRequest for what is no certificate."""
        try:
            context = ssl.create_default_context(cadata=self.authority or None)
            if self.unverified:
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            if self.certificate:
                with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:  # ssl reads keys from files only
                    file.write(self.certificate)
                    file.flush()
                    context.load_cert_chain(file.name)
        except ssl.SSLError as error:
            raise InvalidRequest("cannot speak with Kubernetes", f"a certificate cannot be used: {error}") from None
        return context


def find_access(environ: Mapping[str, str] | None = None, account: Path = ACCOUNT) -> Access:
    """Return the way to the cluster that $KUBECONFIG or ~/.kube/config names, else to that in which this is a pod.

    Raises InvalidRequest if there is none, or it cannot be used.
    """
    given = os.environ if environ is None else environ
    file = Path(given.get("KUBECONFIG", "").partition(":")[0] or Path(given.get("HOME", "/"), ".kube", "config"))
    if file.is_file():
        return from_kubeconfig(file)
    host = given.get("KUBERNETES_SERVICE_HOST")
    if host and (account / "token").is_file():
        named = f"[{host}]" if ":" in host else host
        return Access(
            server=f"https://{named}:{given.get('KUBERNETES_SERVICE_PORT', '443')}",
            namespace=(account / "namespace").read_text(encoding="utf-8").strip(),
            token_file=str(account / "token"),
            authority=(account / "ca.crt").read_text(encoding="ascii"),
        )
    raise InvalidRequest(
        "cannot find a Kubernetes cluster", f"there is no {file}, and this is no pod", "set KUBECONFIG to a kubeconfig"
    )


def from_kubeconfig(file: Path) -> Access:
    """Return the way that the current context of a kubeconfig describes. Raises InvalidRequest."""
    config = _read(file)
    try:
        context = _named(config, "contexts", "context", config["current-context"])
        cluster = _named(config, "clusters", "cluster", context["cluster"])
        user = _named(config, "users", "user", context["user"]) if context.get("user") else {}
        folder = file.parent
        pair = [_pem(user, f"client-{part}", folder) for part in ("certificate", "key")]
        return Access(
            server=cluster["server"],
            namespace=context.get("namespace", "default"),
            token=user.get("token") or (_executed(user["exec"]) if "exec" in user else ""),
            token_file=str(folder / user["tokenFile"]) if user.get("tokenFile") else "",
            authority=_pem(cluster, "certificate-authority", folder),
            certificate="\n".join(pair) if all(pair) else "",
            unverified=bool(cluster.get("insecure-skip-tls-verify")),
        )
    except (KeyError, TypeError, ValueError, OSError) as error:
        raise InvalidRequest(f"cannot use the kubeconfig {file}", f"{type(error).__name__}: {error}") from None


def _read(file: Path) -> dict[str, Any]:
    text = file.read_text(encoding="utf-8")
    try:
        config = json.loads(text)
    except ValueError:
        try:
            import yaml
        except ImportError:
            fix = "pip install 'allgrad[kubernetes]', or convert it: kubectl config view --raw -o json"
            raise InvalidRequest(
                f"cannot read the kubeconfig {file}", "it is YAML, and PyYAML is not installed", fix
            ) from None
        config = yaml.safe_load(text)
    if not isinstance(config, dict):
        raise InvalidRequest(f"cannot read the kubeconfig {file}", "it is no mapping", "see: kubectl config view")
    return config


def _named(config: Mapping[str, Any], many: str, one: str, name: str) -> Mapping[str, Any]:
    for entry in config[many]:
        if entry["name"] == name:
            found: Mapping[str, Any] = entry[one]
            return found
    raise KeyError(f"{name} among its {many}")


def _pem(record: Mapping[str, Any], name: str, folder: Path) -> str:
    if record.get(f"{name}-data"):
        return base64.b64decode(record[f"{name}-data"]).decode("ascii")
    return (folder / record[name]).read_text(encoding="ascii") if record.get(name) else ""


def _executed(plugin: Mapping[str, Any]) -> str:
    """Return the token that a credential plugin prints, as those of the large clouds do."""
    settings = {each["name"]: each["value"] for each in plugin.get("env") or ()}
    done = subprocess.run(
        [plugin["command"], *(plugin.get("args") or ())],
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
    )
    if done.returncode != 0:
        raise ValueError(f"{plugin['command']} says: {done.stderr.strip()[-200:]}")
    token: str = json.loads(done.stdout)["status"]["token"]
    return token
