"""The committed code is what the .proto files generate."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROTO = ROOT / "proto"


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated")
    command = [
        *(sys.executable, "-m", "grpc_tools.protoc", "-Iallgrad/proto=proto"),
        *(f"--{kind}_out={out}" for kind in ("python", "pyi", "grpc_python", "mypy_grpc")),
        f"--plugin={Path(sys.executable).parent}/protoc-gen-mypy_grpc",
        *(f"allgrad/proto/{path.name}" for path in sorted(PROTO.glob("*.proto"))),
    ]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return out / "allgrad" / "proto"


def test_generating_again_gives_the_committed_code(generated: Path) -> None:
    fresh = {path.name: path.read_text() for path in generated.iterdir()}
    committed = {path.name: path.read_text() for path in PROTO.glob("*_pb2*")}
    assert fresh == committed, "run `make proto` and commit what it writes"


def test_generated_code_imports_itself_as_allgrad_proto() -> None:
    assert "from allgrad.proto import jobs_pb2" in (PROTO / "jobs_pb2_grpc.py").read_text()
