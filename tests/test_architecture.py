"""Who may import whom, what start-up may load, and that every tool covers every room, dist/ included."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE_OF = {
    "engine": "allgrad",
    "dist": "allgrad.dist",
    "proto": "allgrad.proto",
    "server": "allgrad.server",
}

OURS = {
    "engine": set(),
    "dist": {"allgrad"},
    "proto": {"allgrad.proto"},
    "server": {"allgrad.proto"},
}
"""The rooms of ours that each room may import, as packages."""

OTHERS = {
    "engine": {"numpy", "numba", "llvmlite", "scipy"},
    "dist": {"numpy", "mpi4py"},
    "proto": {"google", "grpc"},
    "server": {
        "yaml",
        "google",
        "grpc",
        "grpc_health",
        "grpc_reflection",
        "grpc_status",
        "apsw",
        "click",
        "rich",
        "pathspec",
        "plotext",
        "prometheus_client",
    },
}
"""The third-party packages that each room may import."""


@dataclass(frozen=True)
class Import:
    """One import statement: where it stands, how many dots it begins with and what it names."""

    room: str
    file: Path
    line: int
    level: int
    module: str

    def __str__(self) -> str:
        return f"{self.file.relative_to(ROOT)}:{self.line} imports {'.' * self.level}{self.module}"

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def sources(room: str) -> list[Path]:
    return sorted(path for path in (ROOT / room).rglob("*.py"))


def imports(room: str) -> Iterator[Import]:
    for file in sources(room):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(room, file, node.lineno, 0, alias.name)
            elif isinstance(node, ast.ImportFrom):
                yield from imports_from(room, file, node)


def imports_from(room: str, file: Path, node: ast.ImportFrom) -> Iterator[Import]:
    if node.module == "allgrad":
        for alias in node.names:
            yield Import(room, file, node.lineno, 0, f"allgrad.{alias.name}")
    else:
        yield Import(room, file, node.lineno, node.level, node.module or "")


def room_of(module: str) -> str:
    """The package of ours that *module* belongs to, the engine's for all that is not a sister room."""
    sisters = [package for package in PACKAGE_OF.values() if package != "allgrad"]
    return next((s for s in sisters if module == s or module.startswith(s + ".")), "allgrad")


@pytest.mark.parametrize("room", PACKAGE_OF)
def test_a_room_imports_only_the_rooms_it_may(room: str) -> None:
    ours = [found for found in imports(room) if found.level == 0 and found.top == "allgrad"]
    assert [str(found) for found in ours if room_of(found.module) not in OURS[room]] == []


@pytest.mark.parametrize("room", ["engine", "dist", "server"])
def test_imports_inside_a_room_are_relative(room: str) -> None:
    own = PACKAGE_OF[room]
    absolute = [found for found in imports(room) if found.level == 0 and found.top == "allgrad"]
    assert [str(found) for found in absolute if room_of(found.module) == own] == []


@pytest.mark.parametrize("room", PACKAGE_OF)
def test_relative_imports_stay_inside_the_room(room: str) -> None:
    escaping = [str(found) for found in imports(room) if found.level > len(found.file.relative_to(ROOT / room).parts)]
    assert escaping == []


@pytest.mark.parametrize("room", PACKAGE_OF)
def test_a_room_imports_only_the_packages_it_may(room: str) -> None:
    known = sys.stdlib_module_names | {"allgrad"} | OTHERS[room]
    foreign = [found for found in imports(room) if found.level == 0 and found.top not in known]
    assert [str(found) for found in foreign] == []


FLOORS = [
    {"batching"},
    {"devices", "dtypes", "errors", "kernels", "memory_formats", "tape"},
    {"tensors"},
    {"random", "registry"},
    {"autograd"},
    {"operations"},
]
"""The floors of the engine, lowest first; what is named on none of them stands on top of all."""

FACES = {"engine/autograd/forward_ad.py"}
"""Modules that stand on top, at an address that PyTorch gave them."""


def floor_of(part: str) -> int:
    return next((number for number, parts in enumerate(FLOORS) if part in parts), len(FLOORS))


def imported_at_load(tree: ast.Module) -> Iterator[ast.ImportFrom]:
    """The relative imports that run when the module is loaded: not those in functions or for type checkers."""
    later = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.If)]
    passed_over = {id(inner) for node in later for inner in ast.walk(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level and id(node) not in passed_over:
            yield node


def parts_imported(file: Path) -> Iterator[tuple[int, str]]:
    """The line of each import of another part of the engine by *file*, and the name of that part."""
    folders = file.relative_to(ROOT / "engine").parts[:-1]
    for node in imported_at_load(ast.parse(file.read_text(encoding="utf-8"))):
        path = [*folders[: len(folders) + 1 - node.level], *(node.module or "").split(".")]
        for name in [path[0]] if path[0] else [alias.name for alias in node.names]:
            yield node.lineno, name


def test_a_floor_of_the_engine_stands_only_on_lower_ones() -> None:
    for file in sources("engine"):
        if str(file.relative_to(ROOT)) in FACES:
            continue
        part = file.relative_to(ROOT / "engine").parts[0].removesuffix(".py")
        own = floor_of(part)
        others = [(line, name) for line, name in parts_imported(file) if name != part]
        assert [found for found in others if own < len(FLOORS) and floor_of(found[1]) >= own] == [], file


def test_only_the_generated_code_and_its_users_may_speak_grpc() -> None:
    speakers = {found.room for room in PACKAGE_OF for found in imports(room) if found.top in ("grpc", "google")}
    assert speakers <= {"proto", "server"}


@pytest.mark.parametrize("room", PACKAGE_OF)
def test_no_file_is_a_grab_bag(room: str) -> None:
    names = {"utils.py", "helpers.py", "common.py", "base.py", "misc.py"}
    assert [str(path) for path in sources(room) if path.name in names] == []


@pytest.mark.parametrize("room", PACKAGE_OF)
def test_every_module_opens_with_a_docstring(room: str) -> None:
    written = [path for path in sources(room) if "_pb2" not in path.name]
    silent = [str(p.relative_to(ROOT)) for p in written if not ast.get_docstring(ast.parse(p.read_text("utf-8")))]
    assert silent == []


HEAVY = ("numpy", "numba", "scipy", "mpi4py")


def loaded_after(code: str) -> set[str]:
    """The top-level packages that a fresh interpreter has loaded after running *code*."""
    script = f"{code}\nimport sys\nprint()\nprint(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    return set(done.stdout.splitlines()[-1].split())


@pytest.mark.parametrize("module", PACKAGE_OF.values())
def test_importing_a_room_loads_no_numpy_numba_or_mpi(module: str) -> None:
    assert loaded_after(f"import {module}").isdisjoint(HEAVY)


def test_a_rank_loads_no_numpy_numba_or_mpi_before_its_script_does(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint(*{name.partition('.')[0] for name in sys.modules})\n")
    command = [sys.executable, "-m", "allgrad.dist.rank", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert set(done.stdout.split()).isdisjoint(HEAVY)


@pytest.mark.parametrize("verb", ["", "serve", "submit", "list", "show", "watch", "logs", "cancel", "run", "doctor"])
def test_asking_the_command_line_for_help_loads_nothing_heavy(verb: str) -> None:
    code = f"from allgrad.server.cli import main\nassert main({[*verb.split(), '--help']!r}) == 0"
    late = ["grpc", "google", "apsw", "rich", "pathspec", "plotext", "prometheus_client"]
    assert loaded_after(code).isdisjoint([*HEAVY, *late])


def packages_with_code() -> set[str]:
    found = set()
    for room, package in PACKAGE_OF.items():
        for file in sources(room):
            inner = file.parent.relative_to(ROOT / room).parts
            found.add(".".join([package, *inner]))
    return found


def test_every_package_is_listed_for_the_wheel() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert set(project["tool"]["setuptools"]["packages"]) == packages_with_code()


def test_ruff_checks_every_room() -> None:
    command = [sys.executable, "-m", "ruff", "check", "--show-files", str(ROOT)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    checked = {Path(line) for line in shown.stdout.splitlines()}
    written = {path for room in PACKAGE_OF for path in sources(room) if "_pb2" not in path.name}
    assert written - checked == set()


def test_mypy_sees_an_error_planted_in_any_room(tmp_path: Path) -> None:
    configured = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    assert set(PACKAGE_OF) <= set(configured["files"])
    for room in PACKAGE_OF:
        (tmp_path / room).mkdir()
        (tmp_path / room / "planted.py").write_text("wrong: int = 'text'\n")
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        ".cache",
    ]
    (tmp_path / "examples").mkdir()
    done = subprocess.run([*command, *PACKAGE_OF], capture_output=True, text=True, cwd=tmp_path, timeout=120)
    assert [room for room in PACKAGE_OF if f"{room}/planted.py:1: error" not in done.stdout] == []


def test_pytest_collects_the_tests_of_every_room(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_bytes((ROOT / "pyproject.toml").read_bytes())
    for room in PACKAGE_OF:
        folder = tmp_path / "tests" / room
        folder.mkdir(parents=True)
        (folder / "test_planted.py").write_text("def test_planted() -> None:\n    assert True\n")
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert [room for room in PACKAGE_OF if f"tests/{room}/test_planted.py::test_planted" not in done.stdout] == []


def test_each_room_has_its_folder_and_its_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    places = project["tool"]["setuptools"]["package-dir"]
    assert {package: places[package] for package in PACKAGE_OF.values()} == {p: r for r, p in PACKAGE_OF.items()}
