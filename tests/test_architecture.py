"""Holds the tree to its rules: one way of imports, a test for each module, and ARCHITECTURE.md."""

import ast
import graphlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grimp
import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
MAX_MODULE_LINES = 350

NEED_NO_TEST: dict[str, str] = {}
"""Modules without a test of their own, with the reason."""
MIRROR_NO_MODULE = {
    "tests/transport/test_bus_contract.py": "one suite for the memory bus and the real one",
}
"""Tests that are not of one module, with the reason; tests/*.py and these folders are none by nature."""
MIRROR_NO_ROOM = ("real", "fuzz", "exactness")
MAY_SLEEP = {
    "bench/quota_lab.py": "polls real processes by a deadline",
    "bench/slow_node.py": "keeps a real mesh under load for so long",
    "mesh/node/workshop.py": "a lock that other processes hold can only be asked for again",
    "mesh/runtime/measuring.py": "a run right after another would find warm caches",
    "mesh/testing/cpu_quota.py": "the kernel empties a group a moment after its last process",
    "mesh/testing/local_mesh.py": "polls real processes by a deadline, in one place",
}
LINT_IMPORTS = "from importlinter.cli import lint_imports_command; lint_imports_command()"
MAY_PRINT = ("mesh/cli/", "mesh/demo/")


def python_files(*folders: str) -> list[Path]:
    """Every file that is not empty."""
    return sorted(
        path
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if path.read_text(encoding="utf-8").strip()
    )


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


MODULES = python_files("mesh")
ALL_FILES = python_files("mesh", "tests", "bench")
names = pytest.mark.parametrize("path", MODULES, ids=relative)


def calls(path: Path, name: str) -> Iterator[int]:
    """The lines on which a function of this name is called, as `name(…)` or `x.name(…)`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            called = node.func
            if (isinstance(called, ast.Name) and called.id == name) or (
                isinstance(called, ast.Attribute) and called.attr == name
            ):
                yield node.lineno


# Imports


def lint_imports(folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", LINT_IMPORTS, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_rooms_are_imported_one_way() -> None:
    done = lint_imports(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_room_that_nobody_placed_breaks_the_contract(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "mesh", tmp_path / "mesh", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "mesh" / "unplaced").mkdir()
    (tmp_path / "mesh" / "unplaced" / "__init__.py").touch()
    done = lint_imports(tmp_path)
    assert done.returncode != 0
    assert "unplaced" in done.stdout + done.stderr


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = grimp.build_graph("mesh", cache_dir=None)
    graph.remove_import(importer="mesh", imported="mesh.client")  # looked up when it is asked for
    imports = {name: graph.find_modules_directly_imported_by(name) for name in graph.modules}
    graphlib.TopologicalSorter(imports).prepare()  # raises CycleError with the circle


def test_only_the_composition_root_chooses_adapters() -> None:
    """A node's broker, runtime and board are chosen in one place."""
    graph = grimp.build_graph("mesh", cache_dir=None)
    allowed = {
        "mesh.transport.choose": {"mesh.node.adapters"},
        "mesh.runtime.detect": {
            *("mesh.node.adapters", "mesh.demo.whole", "mesh.runtime.shapes"),
            "mesh.cli.profile",  # times this machine without a node
        },
        "mesh.transport.paho_bus": {"mesh.node.adapters", "mesh.client.client"},
    }
    for module, importers in allowed.items():
        found = graph.find_modules_that_directly_import(module)
        assert found - importers == set(), module


# Files and their tests


@names
def test_each_module_has_its_test(path: Path) -> None:
    if path.name in ("__init__.py", "__main__.py"):
        return
    own = path.relative_to(ROOT / "mesh")
    has_test = (ROOT / "tests" / own.with_name(f"test_{own.name}")).is_file()
    excepted = relative(path) in NEED_NO_TEST
    assert has_test != excepted, "a module has a test or a reason, not neither nor both"


def test_each_test_is_of_a_module() -> None:
    tests = (
        path.relative_to(ROOT / "tests")
        for path in (ROOT / "tests").rglob("test_*.py")
        if path.parent not in (ROOT / "tests", *(ROOT / "tests" / name for name in MIRROR_NO_ROOM))
    )
    alone = {
        f"tests/{test.as_posix()}"
        for test in tests
        if not (ROOT / "mesh" / test.with_name(test.name.removeprefix("test_"))).is_file()
    }
    assert alone == MIRROR_NO_MODULE.keys()


def test_folders_of_tests_are_no_packages() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


@names
def test_no_module_is_too_long(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").count("\n")
    assert lines <= MAX_MODULE_LINES, f"{lines} lines: split it"


@names
def test_each_module_says_what_it_does(path: Path) -> None:
    said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert said is not None
    assert len(said.split("\n\n")[0]) <= 200, "the first sentence is one"


@pytest.mark.parametrize("path", ALL_FILES, ids=relative)
def test_nothing_is_left_to_do(path: Path) -> None:
    words = ("TO" + "DO", "FIX" + "ME", "X" * 3, "raise NotImplemented" + "Error")
    text = path.read_text(encoding="utf-8")
    assert [word for word in words if re.search(rf"\b{word}\b", text)] == []


def test_only_what_is_listed_sleeps() -> None:
    found = {relative(path) for path in ALL_FILES if any(calls(path, "sleep"))}
    assert found == MAY_SLEEP.keys()


def test_only_commands_and_the_demo_print() -> None:
    found = [relative(path) for path in MODULES if any(calls(path, "print"))]
    assert [path for path in found if not path.startswith(MAY_PRINT)] == []


def test_nothing_reads_the_environment_at_import() -> None:
    found = []
    for path in MODULES:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        at_import = [node for node in tree.body if isinstance(node, (ast.Assign, ast.AnnAssign))]
        found += [
            f"{relative(path)}:{node.lineno}"
            for node in at_import
            if re.search(r"\bos\.(environ|getenv)\b", ast.unparse(node))
        ]
    assert found == []


# ARCHITECTURE.md


def test_every_file_is_listed_once() -> None:
    listed = re.findall(r"^- `(mesh/[\w/]+\.py)` — .+$", ARCHITECTURE, re.MULTILINE)
    assert sorted(listed) == [relative(path) for path in MODULES]


def layers() -> list[list[str]]:
    """The rooms from the top, as the contract places them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = project["tool"]["importlinter"]["contracts"]
    return [re.findall(r"\w+", layer) for layer in contract["layers"]]


def test_the_picture_of_rooms_is_the_contract() -> None:
    picture = re.search(r"^    __main__\n(?:    .*\n)+", ARCHITECTURE, re.MULTILINE)
    assert picture is not None
    drawn: list[list[str]] = []
    for line in picture[0].splitlines():
        rooms = re.split(r"\s{2,}", line.strip())[0]
        drawn += [[one] for one in rooms.split(" · ")] if " · " in rooms else [rooms.split(" | ")]
    assert drawn == layers()


def test_every_room_has_its_heading() -> None:
    folders = [path.parent.name for path in (ROOT / "mesh").glob("*/__init__.py")]
    headings = re.findall(r"^### `mesh/(\w+)/`$", ARCHITECTURE, re.MULTILINE)
    assert sorted(headings) == sorted(folders)
    placed = [room for layer in layers() for room in layer if room in folders]
    assert headings == placed


def test_each_invariant_names_a_test_that_exists() -> None:
    cited = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", ARCHITECTURE)
    rows = re.findall(r"^\| .+ \| `tests/.+` \|$", ARCHITECTURE, re.MULTILINE)
    assert len(cited) == len(rows) > 0
    missing = [
        f"{file}::{name}"
        for file, name in cited
        if not (ROOT / file).is_file()
        or not re.search(
            rf"^ *def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE
        )
    ]
    assert missing == []


@pytest.mark.parametrize(
    "module",
    ["mesh/pipeline/gateway.py", "mesh/fleet/coordinator.py", "mesh/fleet/membership.py"],
)
def test_state_diagrams_are_those_of_the_modules(module: str) -> None:
    said = ast.get_docstring(ast.parse((ROOT / module).read_text(encoding="utf-8"))) or ""
    diagram = re.search(r"(?:^    .*[─▶].*\n)+", said, re.MULTILINE)
    assert diagram is not None
    assert diagram[0] in ARCHITECTURE
