"""The wheel: that it holds every room and its data, nothing else, and that it runs where it is installed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PLACE = {"engine": "allgrad", "dist": "allgrad/dist", "proto": "allgrad/proto", "server": "allgrad/server"}


def files_of_the_project() -> list[str]:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    return [line for line in listing.stdout.splitlines() if (ROOT / line).is_file()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel in build/wheels, never in dist/, which is a source room.

    It is built from a copy: setuptools would put what an earlier build left in build/lib into the wheel.
    """
    copy = tmp_path_factory.mktemp("source")
    for name in files_of_the_project():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)
    folder = ROOT / "build" / "wheels"
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(copy)]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    return max(folder.glob("allgrad-*.whl"), key=lambda path: path.stat().st_mtime)


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def names_in_tree() -> set[str]:
    """What the tree says the wheel should hold: each file of a room, at its place in the package."""
    parted = [name.partition("/") for name in files_of_the_project()]
    return {f"{PLACE[room]}/{rest}" for room, _, rest in parted if room in PLACE}


def test_the_wheel_holds_exactly_the_files_of_the_rooms(wheel: Path) -> None:
    assert names_in(wheel) == names_in_tree()


def test_the_wheel_holds_the_dist_room(wheel: Path) -> None:
    assert "allgrad/dist/__init__.py" in names_in(wheel)


def test_every_room_in_the_wheel_is_typed(wheel: Path) -> None:
    assert {f"{place}/py.typed" for place in PLACE.values()} <= names_in(wheel)


def test_the_plain_wheel_needs_only_numpy(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    needed = re.findall(r"^Requires-Dist: ([\w-]+)[^;\n]*$", metadata, re.MULTILINE)
    assert needed == ["numpy"]
    assert set(re.findall(r"^Provides-Extra: (\w+)$", metadata, re.MULTILINE)) == {
        "jit",
        "scipy",
        "bfloat16",
        "mpi",
        "kubernetes",
        "server",
        "all",
        "dev",
    }


def test_building_puts_no_wheel_into_the_dist_room(wheel: Path) -> None:
    assert wheel.parent == ROOT / "build" / "wheels"
    assert [path.name for path in (ROOT / "dist").rglob("*") if path.suffix in (".whl", ".gz")] == []


def test_the_installed_wheel_imports_every_room_from_anywhere(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "import allgrad, allgrad.dist, allgrad.server; print(allgrad.__file__)"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(tmp_path / 'site')!r}); {code}"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(tmp_path / "site" / "allgrad" / "__init__.py")
