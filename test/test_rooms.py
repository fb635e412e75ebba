# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The rooms of the package: who imports whom, how long modules are, and their names."""

import ast
import re
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "cem_planner_ros"

FREE = {"errors", "fields", "paths", "readers"}
"""Modules at the top that every room may import."""

EXCEPTIONS = {
    # Classes are checked against the two interfaces, which know no plugins themselves.
    ("plugins/loading.py", "dynamics/base.py"),
    ("plugins/loading.py", "costs/base.py"),
    ("plugins/checking.py", "dynamics/base.py"),
    ("plugins/checking.py", "costs/base.py"),
    # Within a function: an eager planner imports no compiler.
    ("planning/planner.py", "compile/choose.py"),
}
"""Imports against the arrows."""

WITH_ROS = {"ros", "benchmarks", "cli"}
"""Rooms that talk to ROS."""

MOST_LINES = 400
MOST_LINES_OF_A_NODE = 350
NODES = {"ros/node.py", "ros/simulator.py", "ros/mapper.py"}

SHARED_NAMES = {"__init__.py", "base.py"}
"""Names that more than one module has: `base.py` is the interface of a kind of plugin."""

CODE = ("*.py", "*.cpp", "*.cu", "*.h")

MODULES = sorted(PACKAGE.rglob("*.py"))
NAMES = [module.relative_to(PACKAGE).as_posix() for module in MODULES]


def allowed():
    """Return {room: rooms that it may import} of the table in docs/architecture.md, in order."""
    rows = re.findall(
        r"^\| `(\w+)/` \| [^|]+ \| ([^|]*)\|$",
        (ROOT / "docs" / "architecture.md").read_text(),
        re.M,
    )
    return {room: re.findall(r"`(\w+)/`", imports) for room, imports in rows}


def imported(module, with_types=True):
    """Return the dotted names that a module imports, within functions too."""
    tree = ast.parse(module.read_text())
    for_types = {
        node
        for block in ast.walk(tree)
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for node in ast.walk(block)
    }
    names = set()
    for node in ast.walk(tree):
        if node in for_types and not with_types:
            continue
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: imports are absolute here"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def imported_modules(module, with_types=True):
    """Return the modules of the package that one of them imports, as paths within the package."""
    found = set()
    for name in imported(module, with_types):
        first, *parts = name.split(".")
        if first != PACKAGE.name:
            continue
        # The last part may be a name in a module, or in an __init__.
        for path in ("/".join(parts), "/".join(parts[:-1])):
            for file in (f"{path}.py", f"{path}/__init__.py".lstrip("/")):
                if (PACKAGE / file).is_file():
                    found.add(file)
                    break
            else:
                continue
            break
        else:
            raise AssertionError(f"{module}: there is no module for {name}")
    return found


IMPORTS = {name: imported_modules(module) for name, module in zip(NAMES, MODULES, strict=True)}


def room_of(name):
    return name.partition("/")[0].removesuffix(".py")


def test_every_room_stands_in_the_table():
    rooms = {room_of(name) for name in NAMES if "/" in name}
    assert set(allowed()) == rooms


def test_the_page_names_every_module_and_none_that_is_gone():
    """A command, a scenario, what `bench` measures, a model and a cost are found by their names."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    by_name = r"(cli/\w+_(command|demo)|benchmarks/bench_\w+|(dynamics|costs)/\w+|.*__\w+__)\.py"
    named = set(re.findall(r"\w+\.(?:py|cpp|cu|h)\b", text))
    files = {file.relative_to(PACKAGE) for kind in CODE for file in PACKAGE.rglob(kind)}
    own = {file.name for file in files if not re.fullmatch(by_name, file.as_posix())}
    assert own - named == set()
    placeholders = {"X_command.py", "X_demo.py", "bench_X.py"}
    known = {file.name for file in files} | {file.name for file in (ROOT / "test").rglob("*.py")}
    assert named - placeholders - known == set()


def test_a_room_imports_only_rooms_above_it_in_the_table():
    above = set()
    for room, imports in allowed().items():
        assert set(imports) <= above, f"{room}/ imports a room below it"
        above.add(room)


def test_every_import_follows_the_table():
    rooms = allowed()
    wrong = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        if "/" in name
        for other in others
        if room_of(other) not in (*rooms[room_of(name)], room_of(name), *FREE, "__init__")
        and (name, other) not in EXCEPTIONS
    ]
    assert not wrong


def test_the_exceptions_are_imports():
    assert all(other in IMPORTS[name] for name, other in EXCEPTIONS)


def test_what_is_free_to_all_imports_nothing_else():
    for name in FREE:
        assert {room_of(other) for other in IMPORTS[f"{name}.py"]} <= FREE


def test_there_is_no_import_cycle():
    # The __init__ of a room only gathers names, and that of the package imports on request.
    graph = {
        name: {
            other
            for other in imported_modules(module, with_types=False)
            if not other.endswith("__init__.py")
        }
        for name, module in zip(NAMES, MODULES, strict=True)
    }
    TopologicalSorter(graph).prepare()  # It raises CycleError, which names one.


def test_only_rooms_that_talk_to_ros_import_it():
    wrong = [
        f"{name} imports {other}"
        for name, module in zip(NAMES, MODULES, strict=True)
        if room_of(name) not in WITH_ROS
        for other in imported(module)
        if re.match(r"rclpy\b|tf2_ros\b|\w+_(msgs|srvs)\b", other)
    ]
    assert not wrong


def test_navigation_needs_no_pytorch():
    for name, module in zip(NAMES, MODULES, strict=True):
        if room_of(name) == "navigation":
            assert not any(other.split(".")[0] == "torch" for other in imported(module)), name


@pytest.mark.parametrize("name", NAMES)
def test_modules_are_short(name):
    most = MOST_LINES_OF_A_NODE if name in NODES else MOST_LINES
    licence = 2  # Lines above each module.
    assert len((PACKAGE / name).read_text().splitlines()) - licence <= most


def test_no_two_modules_have_one_name():
    counts = Counter(Path(name).name for name in NAMES)
    assert {name for name, count in counts.items() if count > 1} <= SHARED_NAMES
    rooms = {room_of(name) for name in NAMES if "/" in name}
    assert rooms.isdisjoint(Path(name).stem for name in NAMES)


def test_no_two_classes_have_one_name():
    names = Counter(
        node.name
        for module in MODULES
        for node in ast.parse(module.read_text()).body
        if isinstance(node, ast.ClassDef)
    )
    assert not {name for name, count in names.items() if count > 1}


def test_few_modules_stand_at_the_top():
    assert len([name for name in NAMES if "/" not in name]) <= 6
