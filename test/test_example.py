# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The package in examples/, installed beside this one as somebody else's would be."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "robot_plugins"


@pytest.fixture(scope="module")
def python(tmp_path_factory):
    """A function that runs Python where the package is installed, and returns what it prints."""
    folder = tmp_path_factory.mktemp("example")
    site = folder / "site"
    shutil.copytree(EXAMPLE, folder / "source")  # pip leaves files where it builds.
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(site)]
    command += ["--no-deps", "--no-build-isolation", "--no-index", str(folder / "source")]
    subprocess.run(command, check=True)

    def run(*arguments):
        path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])])
        environment = os.environ | {"PYTHONPATH": path}
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout

    return run


def test_it_is_found_and_drives_past_the_pillar_to_its_goal(python):
    listed = python("-m", "cem_planner_ros", "plugins")
    assert "skid_steer  (robot_plugins.skid_steer:SkidSteer, from robot_plugins 0.1.0)" in listed
    width = "width = 0.4: Distance between the tracks. (a finite number of at least 0.01 m; live)"
    assert width in listed
    assert "keep_out  (robot_plugins.keep_out:KeepOut" in listed
    output = python(EXAMPLE / "drive.py")
    assert output.startswith("planning with: kernel \n")
    way = re.findall(r"x +([-\d.]+) m  y +([-\d.]+) m", output)
    way = [(float(x), float(y)) for x, y in way]
    x, y = way[-1]
    assert abs(x - 3.0) < 0.1
    assert abs(y) < 0.1
    assert min(abs(complex(x, y) - complex(1.5, 0.1)) for x, y in way) > 0.5


@pytest.mark.slow
def test_the_notebook_plans_draws_and_swings_the_pole_up(python, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    output = python(ROOT / "examples" / "notebook.py")
    theta = float(re.search(r"theta is ([-\d.]+) rad", output)[1])
    assert abs(theta) < 0.1
    assert "the minimum is at [3.0, 3.0]" in output
    assert (tmp_path / "plan.png").stat().st_size > 1000


def test_what_the_guide_shows_is_what_the_package_holds():
    guide = (ROOT / "docs" / "writing_a_plugin.md").read_text()
    guide = guide.partition("## What is checked")[0]
    blocks = re.findall(r"```\w+\n(.*?)```", guide, re.DOTALL)
    files = [file.read_text() for file in EXAMPLE.rglob("*") if file.suffix in (".py", ".yaml")]
    assert len(blocks) == 4
    for block in blocks:
        assert any(block in file for file in files), block
