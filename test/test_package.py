# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What package.xml asks rosdep for; which version this is."""

import ast
import os
import re
import shlex
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

OF_ROSDEP = set(
    "g++-static python3-hypothesis python3-matplotlib python3-mujoco-pip python3-numpy "
    "python3-pytest python3-pytest-timeout python3-rich python3-scipy python3-torch "
    "python3-yaml".split()
)
"""Keys of rosdep/base.yaml and rosdep/python.yaml in rosdistro, looked up in November 2026."""

OF_ROS = set(
    "builtin_interfaces diagnostic_msgs geometry_msgs launch launch_pytest launch_ros "
    "lifecycle_msgs map_msgs nav_msgs rcl_interfaces rclpy ros2launch ros_gz_bridge ros_gz_sim "
    "rosgraph_msgs rviz2 sensor_msgs std_msgs std_srvs tf2_ros tf2_ros_py "
    "trajectory_msgs visualization_msgs".split()
)
"""Packages that distributions of ROS 2 release, as listed in rosdistro."""

PROVIDED_BY = {
    "numpy": "python3-numpy",
    "scipy": "python3-scipy",
    "torch": "python3-torch",
    "yaml": "python3-yaml",
    "matplotlib": "python3-matplotlib",
    "mujoco": "python3-mujoco-pip",
    "rich": "python3-rich",
    "tf2_ros": "tf2_ros_py",
}
"""Modules whose package has another name."""

WITHOUT_KEY = {
    *{
        "ament_index_python",
        "gymnasium",
        "mjviser",
        "rosbags",
        "safetensors",
        "viser",
        "websockets",
    },
    *{"cmaes", "mujoco_warp", "optuna", "ray", "warp"},
}
"""Of ROS itself, and what only extras need, of which rosdep knows not all."""


def dependencies():
    """Return [(kind, name, condition)] of package.xml."""
    return [
        (entry.tag, entry.text, entry.get("condition"))
        for entry in ET.parse(ROOT / "package.xml").getroot()
        if entry.tag.endswith("depend")
    ]


def imported():
    """Return the first names of all modules that the package and its launch files import."""
    names = set()
    for file in [*ROOT.glob("cem_planner_ros/**/*.py"), *ROOT.glob("launch/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                names.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names.add(node.module.partition(".")[0])
    return names - set(sys.stdlib_module_names) - {"cem_planner_ros"}


def test_rosdep_knows_every_key():
    """One key that it does not know, and it installs nothing."""
    assert {name for _, name, _ in dependencies()} <= OF_ROSDEP | OF_ROS


def test_what_is_imported_is_declared():
    declared = {name for kind, name, _ in dependencies() if kind in ("depend", "exec_depend")}
    needed = {PROVIDED_BY.get(name, name) for name in imported() - WITHOUT_KEY}
    assert needed <= declared
    # Imported by name, where they are there.
    assert {"map_msgs", "tf2_ros_py", "trajectory_msgs"} <= declared


def test_a_robot_without_a_display_needs_no_simulator_and_no_pictures():
    always = {name for _, name, condition in dependencies() if condition is None}
    assert always.isdisjoint({"ros_gz_bridge", "ros_gz_sim", "rviz2", "python3-mujoco-pip"})
    conditions = {condition for _, _, condition in dependencies()} - {None}
    assert conditions == {"$CEM_PLANNER_SIMULATION == 1"}


def test_the_version_is_the_same_wherever_it_stands():
    in_setup = re.search(r'version="([^"]+)"', (ROOT / "setup.py").read_text())[1]
    in_package = ET.parse(ROOT / "package.xml").getroot().findtext("version")
    in_python = re.search(
        r'^__version__ = "([^"]+)"', (ROOT / "cem_planner_ros" / "__init__.py").read_text(), re.M
    )[1]
    assert in_setup == in_package == in_python


def test_make_help_lists_every_target():
    makefile = (ROOT / "Makefile").read_text()
    targets = re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split()
    assert set(re.findall(r'@echo "make ([\w-]+)', makefile)) == set(targets)


@pytest.mark.parametrize(
    ("given", "options"),
    [
        ("REPORT=my report", ["--report", "my report"]),
        ("VIEW=1", ["--view", "--report", "report"]),
        ("VIEW=8081", ["--view", "8081", "--report", "report"]),
    ],
)
def test_variables_of_make_demo_are_options_of_the_demo(given, options):
    words = ["make", "--dry-run", "--no-print-directory", "--old-file=install", "demo", given]
    # `make test`, which runs this, hands its own options down.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    said = subprocess.run(
        words, cwd=ROOT, env=alone, capture_output=True, text=True, check=True
    ).stdout
    assert shlex.split(said)[-len(options) :] == options


def test_every_source_file_names_its_licence():
    """As the linter ament_copyright asks for."""
    kinds = ("*.py", "*.cpp", "*.cu", "*.h")
    folders = ("cem_planner_ros", "docs", "examples", "launch", "test")
    files = [file for folder in folders for kind in kinds for file in (ROOT / folder).rglob(kind)]
    assert len(files) > 400
    for file in [*files, ROOT / "setup.py", *(ROOT / "scripts").iterdir()]:
        begin = file.read_text()[:300]
        assert "Copyright 2026" in begin, file
        assert "SPDX-License-Identifier: Apache-2.0" in begin, file
