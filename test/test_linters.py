# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
What linters find besides ruff and mypy of `make lint`: those of ROS, and of files of other kinds.

Those of PyPI are the extra "lint"; ament_copyright and ament_xmllint are packages of Debian.
"""

import re
import shutil
import subprocess
import sysconfig
from pathlib import Path

import pytest
from pages import ROOT

pytestmark = [
    pytest.mark.extras,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not (ROOT / ".github").exists(), reason="not in a clone of the repository"),
]

PYTHON = ("cem_planner_ros", "docs", "examples", "launch", "test", "setup.py")


def run(program, *arguments):
    """Return exit status and output of a program of this environment or of the machine."""
    here = shutil.which(program, path=sysconfig.get_path("scripts"))
    found = here or shutil.which(program)
    if found is None:
        pytest.skip(f"needs {program}")
    done = subprocess.run(
        [found, *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


def test_ament_flake8_finds_nothing():
    status, said = run("ament_flake8", "--config", "test/support/ament_flake8.ini", *PYTHON)
    assert status == 0, said


def test_ament_pep257_finds_nothing():
    """But for Google's sections, what properties are, and "Return the action" of an `action`."""
    ignored = "D401 D402 D406 D407 D413 D417".split()
    with_docstrings = [name for name in PYTHON if name != "test"]
    status, said = run("ament_pep257", "--add-ignore", *ignored, "--", *with_docstrings)
    assert status == 0, said


def test_ament_copyright_finds_the_owner_in_every_file():
    """It knows licences by their full text only, not by an SPDX line, which test_package checks."""
    _, said = run("ament_copyright", "--verbose", *PYTHON)
    found = re.findall(r"^(\S+): (.*)$", said, re.M)
    assert len(found) > 400
    owner = "copyright=the contributors of cem_planner_ros (2026), license="
    assert [line for line in found if line[1][: len(owner)] != owner] == []


def test_ament_xmllint_finds_nothing():
    status, said = run("ament_xmllint", "models", "worlds", "config", "test/support")
    assert status == 0, said


def test_package_xml_is_valid():
    package = pytest.importorskip("catkin_pkg.package", reason="needs catkin_pkg")
    warnings = []
    found = package.parse_package(ROOT / "package.xml", warnings=warnings)
    found.validate(warnings=warnings)
    assert warnings == []
    assert found.get_build_type() == "ament_python"


def test_the_changelog_is_one_of_catkin():
    changelog = pytest.importorskip("catkin_pkg.changelog", reason="needs catkin_pkg")
    package = pytest.importorskip("catkin_pkg.package", reason="needs catkin_pkg")
    versions = [
        version
        for version, _, _ in changelog.get_changelog_from_path(
            ROOT, "cem_planner_ros"
        ).foreach_version()
    ]
    assert package.parse_package(ROOT / "package.xml").version in versions


def test_workflows_of_github_match_their_schema():
    files = sorted(Path(ROOT, ".github", "workflows").glob("*.yml"))
    assert len(files) == 2
    status, said = run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)
    assert status == 0, said


def test_hadolint_finds_nothing_in_the_dockerfile():
    status, said = run("hadolint", "docker/Dockerfile")
    assert status == 0, said


def test_shellcheck_finds_nothing():
    """It cannot follow files that are sourced elsewhere (SC1090, SC1091)."""
    scripts = ["docker/entrypoint.bash", ".ci/run", *sorted((ROOT / "scripts").iterdir())]
    status, said = run("shellcheck", "--exclude", "SC1090,SC1091", *scripts)
    assert status == 0, said
