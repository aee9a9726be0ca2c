"""What buf, the tool of the trade, says of the API: lint by STANDARD, and nothing broken since what is recorded."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).parents[2]
RECORDED = sorted((ROOT / "tests" / "data" / "proto").glob("*.binpb"))
BUF = Path(sys.executable).with_name("buf")
SETTINGS = """
version: v2
modules: [{path: .}]
lint: {use: [STANDARD]}
breaking: {use: [FILE]}
"""
HERE, THERE = "allgrad/proto/", "allgrad/v1/"
"""Where the files lie for Python, whose import path they give, and where buf wants the package allgrad.v1."""


@pytest.fixture
def api(tmp_path: Path) -> Path:
    """The API as it is, laid out as buf wants it."""
    (tmp_path / "buf.yaml").write_text(SETTINGS)
    (tmp_path / THERE).mkdir(parents=True)
    for path in (ROOT / "proto").glob("*.proto"):
        (tmp_path / THERE / path.name).write_text(path.read_text().replace(f'import "{HERE}', f'import "{THERE}'))
    return tmp_path


def image(recorded: Path, folder: Path) -> Path:
    """A recorded API in the same layout, with the files of Google's that it needs."""
    old = FileDescriptorSet.FromString(recorded.read_bytes())
    own = {file.name for file in old.file}
    whole = FileDescriptorSet()
    for name in sorted({name for file in old.file for name in file.dependency} - own):
        google = FileDescriptorProto()
        descriptor_pool.Default().FindFileByName(name).CopyToProto(google)
        whole.file.append(google)
    whole.file.extend(old.file)
    for file in whole.file:
        file.name = file.name.replace(HERE, THERE)
        file.dependency[:] = [name.replace(HERE, THERE) for name in file.dependency]
    path = folder / "old.binpb"
    path.write_bytes(whole.SerializeToString())
    return path


def buf(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run it."""
    return subprocess.run([BUF, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_api_is_clean_by_the_standard_rules(api: Path) -> None:
    done = buf("lint", cwd=api)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda path: path.stem)
def test_nothing_is_broken_since(recorded: Path, api: Path, tmp_path: Path) -> None:
    done = buf("breaking", "--against", image(recorded, tmp_path), cwd=api)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_what_breaks_is_found(api: Path, tmp_path: Path) -> None:
    jobs = api / THERE / "jobs.proto"
    jobs.write_text(jobs.read_text().replace("int32 ranks = 2;", "int64 ranks = 2;"))
    done = buf("breaking", "--against", image(RECORDED[-1], tmp_path), cwd=api)
    assert done.returncode != 0
    assert 'Field "2" with name "ranks" on message "JobSpec" changed type from "int32" to "int64"' in done.stdout
