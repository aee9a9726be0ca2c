"""What must start fast loads little."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("allgrad.server", ("grpc", "numpy", "google.protobuf", "asyncio", "allgrad.server.client.client")),
        ("allgrad.server.supervisor.shim", ("grpc", "numpy", "google.protobuf", "asyncio", "ssl")),
        ("allgrad.server.client.client", ("grpc", "numpy", "asyncio")),
        ("allgrad.server.launchers", ("grpc", "numpy", "mpi4py")),
        ("allgrad.server.main", ("numpy", "mpi4py", "numba")),
    ],
)
def test_a_module_loads_without_what_it_does_not_need(module: str, absent: tuple[str, ...]) -> None:
    code = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_public_names_are_these() -> None:
    import allgrad.server

    for name in allgrad.server.__all__:
        assert getattr(allgrad.server, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        allgrad.server.nonsense  # noqa: B018
