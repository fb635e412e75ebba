# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The wheel and the sdist, installed into an environment of their own.

Nothing is downloaded: what the wheel asks for is lent by the environment of the tests, and nothing
else is. So an import that setup.py does not ask for fails here. Whether pip finds the dependencies
on PyPI is seen by `make install`.
"""

import re
import subprocess
import sys
import tarfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = [
    pytest.mark.extras,
    pytest.mark.timeout(300),
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not in a clone of the repository"),
]


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    """The folder of an unpacked sdist; nothing that git does not know gets into it."""
    folder = tmp_path_factory.mktemp("sdist")
    copy = folder / "copy"
    subprocess.run(["git", "clone", "--quiet", ROOT, copy], check=True)
    command = [sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", folder]
    subprocess.run(command, cwd=copy, check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(folder / "unpacked", filter="data")
    (unpacked,) = (folder / "unpacked").iterdir()
    return unpacked


def asked_for(requirements):
    """Return the distributions that requirements without extras lead to."""
    found, left = {}, list(requirements)
    while left:
        name, _, marker = left.pop().partition(";")
        name = re.match(r"[\w.-]+", name)[0]
        if name in found or "extra" in marker:
            continue
        try:
            found[name] = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            assert marker, f"{name} is not installed"  # For another system or Python.
        else:
            left += found[name].requires or []
    return found.values()


def lend(distributions, folder):
    """Link the files of distributions into a folder."""
    for distribution in distributions:
        for file in distribution.files:
            place = folder / file
            if ".." not in file.parts and not place.exists():
                place.parent.mkdir(parents=True, exist_ok=True)
                place.symlink_to(distribution.locate_file(file))


@pytest.fixture(scope="module")
def python(sdist, tmp_path_factory):
    """The Python of an environment that has the wheel of the sdist, and what that asks for."""
    folder = tmp_path_factory.mktemp("environment")
    pip = [sys.executable, "-m", "pip", "--quiet"]
    built = ["wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, sdist]
    subprocess.run([*pip, *built], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
    python = folder / "venv" / "bin" / "python"
    installed = ["--python", python, "install", "--no-deps", "--no-index", wheel]
    subprocess.run([*pip, *installed], check=True)
    (packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (own,) = metadata.distributions(name="cem_planner_ros", path=[str(packages)])
    lend(asked_for(own.requires), packages)
    return python


def test_an_installed_wheel_runs_with_its_own_files(python, tmp_path):
    """`check` finds the plugins by their entry points."""
    file = python.parents[1] / "share" / "cem_planner_ros" / "config" / "cartpole.yaml"
    command = [python, "-m", "cem_planner_ros", "check", file]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    asked = "import cem_planner_ros, pathlib; print(pathlib.Path(cem_planner_ros.__file__))"
    where = subprocess.run([python, "-c", asked], cwd=tmp_path, capture_output=True, text=True)
    assert where.stdout.startswith(str(python.parents[1]))


def test_the_environment_has_only_what_the_wheel_asks_for(python):
    for module, is_there in (("torch", True), ("pytest", False), ("mujoco", False)):
        done = subprocess.run([python, "-c", f"import {module}"], capture_output=True)
        assert (done.returncode == 0) == is_there, module


def test_nothing_is_missing_in_the_sdist(sdist):
    """What git knows is in it, but for what belongs to the repository alone."""
    known = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.split("\n")
    own = (".ci/", ".github/", ".gitignore", ".dockerignore", ".pre-commit-config.yaml")
    expected = {name for name in known if name and not name.startswith(own)}
    assert {name for name in expected if not (sdist / name).exists()} == set()
