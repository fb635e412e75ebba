# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The commands of the pages, typed as they stand into a shell, in a copy of the repository.

A page is run from its begin to its end. Commands that go on, such as nodes, run until a later block
starts other nodes, or until the page ends; Ctrl-C ends them. Rows of docs/reference/not_run.md say
which commands are left out.
"""

import contextlib
import fnmatch
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import pages
import pytest
from pages import PAGES, ROOT

GO_ON = re.compile(
    r"\w+_node\b|ros2 (launch|run|topic echo|topic pub --rate)|python \S*eight\.py"
    r"|python -m cem_planner_ros (watch|demo --duration)"
)
"""Commands that run until Ctrl-C, or beside those that follow."""

NODES = re.compile(r"\w+_node\b|ros2 (launch|run)")
PLANNER = re.compile(r"planner_node|ros2 launch")
PLANT = re.compile(r"simulator_node|ros2 launch")

ASKS = ("ros2 param", "ros2 service", "ros2 topic pub", "python -m cem_planner_ros set")
"""Commands to nodes that run."""

PREPARES = ("cd ", "export ", "source ")
"""Commands that matter to those after them."""

WAITS = ("no_goal", "goal_reached", "emergency_stop", "paused", "over_budget")
"""Causes with which a planner stands that could control, or could on a faster machine."""

STATUS = re.compile(r"/cem_planner: (?P<status>\w+)(?: \((?P<cause>\w+)\))?")
"""How `watch` says it."""

PATIENCE = 180.0
"""Time until a planner controls, s."""

WITHOUT_COMMANDS = ("architecture.md", "how_it_works.md")
"""Pages whose indented blocks are diagrams and formulas."""

BEFORE = {
    "safety.md": (
        "simulator_node --ros-args --params-file config/cartpole_simulator.yaml",
        "planner_node --ros-args --params-file config/cartpole.yaml",
    )
}
"""What runs already where a page begins."""

FILES = {
    "arm.md": {"mine.xml": "models/arm.xml", "mine.yaml": "config/arm.yaml"},
    "quadrotor.md": {"mine.xml": "models/quadrotor.xml"},
}
"""Files of the reader, by page; everywhere robot.xml is one with legs."""

PACKAGES = {"examples/robots/README.md": "mjlab"}
"""Packages that the commands of a page need, by page, and `make test` does without."""


def not_run():
    """Return [(pattern of commands, page)] of the table."""
    text = (ROOT / "docs" / "reference" / "not_run.md").read_text()
    return re.findall(r"^\| `(.+?)` \| ([^|]+\.md) \|", text.replace("\\|", "|"), re.M)


def is_left_out(page, command):
    return any(
        fnmatch.fnmatchcase(command, pattern.replace("[", "[[]")) and row == str(page)
        for pattern, row in not_run()
    )


def scripts():
    """Return {page: [[command]]}, by block, without what is left out; demos only once."""
    found, demos = {}, set()
    for page in PAGES:
        is_typed = page.name not in WITHOUT_COMMANDS
        for block in filter(lambda b: is_typed and b.language == "", pages.blocks(page)):
            kept = [c for c in pages.commands(block.text) if not is_left_out(block.page, c)]
            kept = [command for command in kept if command not in demos]
            demos.update(command for command in kept if command.startswith("make demo"))
            if kept:
                found.setdefault(block.page, []).append(kept)
    return found


class Shell:
    """
    The terminals of a reader, in one folder and with one environment.

    Attributes:
        prepared: commands that each later one begins with, such as `cd`.
        running: [(command, process, file of its output)] of those that go on.
    """

    def __init__(self, folder, environment):
        self.prepared = []
        self.running = []
        self._folder, self._environment = folder, environment

    def _start(self, command, output):
        return subprocess.Popen(
            ["bash", "-c", "\n".join(["set -e", *self.prepared, command])],
            cwd=self._folder / "cem_planner_ros",
            env=self._environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )

    def run(self, command):
        """Run a command to its end, or let it go on; prepare what it prepares."""
        file = self._folder / f"{len(list(self._folder.glob('*.log'))):02}.log"
        goes_on = GO_ON.match(command)
        with file.open("wb") as output:
            process = self._start(f"exec {command}" if goes_on else command, output)
        if goes_on:
            self.running.append((command, process, file))
            return
        try:
            status = process.wait(timeout=300.0)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        said = file.read_text(errors="replace")
        assert ended_well(command, status, said), f"{command} ended with {status}\n{said}"
        if command.startswith(PREPARES):
            self.prepared.append(command)

    def end(self):
        """End what goes on with Ctrl-C, the newest first; each has to end well."""
        while self.running:
            command, process, file = self.running.pop()
            process.send_signal(signal.SIGINT)
            try:
                status = process.wait(timeout=60.0)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                status = None
            said = file.read_text(errors="replace")
            is_interrupted = status in (130, -signal.SIGINT)
            assert is_interrupted or ended_well(command, status, said), (
                f"{command}: {status}\n{said}"
            )
            assert "Traceback" not in said, f"{command}\n{said}"

    def wait_for_control(self, wait_until):
        """
        Wait until all that goes on has said something, and the planner, if there is one, controls.

        It also may stand where it has no goal to go to, or where nobody simulates a robot.
        """
        for _, process, file in self.running:
            wait_until(lambda f=file, p=process: f.stat().st_size or p.poll() is not None, 120.0)
        commands = " ".join(command for command, *_ in self.running)
        if not PLANNER.search(commands):
            return
        waits = WAITS if PLANT.search(commands) else (*WAITS, "no_state")
        reader = self._start("exec python -m cem_planner_ros watch cem_planner", subprocess.PIPE)
        alarm = threading.Timer(PATIENCE, reader.kill)
        alarm.start()
        seen = ""
        try:
            for line in iter(reader.stdout.readline, b""):
                seen += line.decode()
                said = STATUS.match(line.decode())
                if said and (said["status"] == "fresh" or said["cause"] in waits):
                    return
                for command, process, file in self.running:
                    assert process.poll() is None, f"{command}\n{file.read_text()}"
            raise AssertionError(f"the planner does not control after {PATIENCE} s\n{seen}")
        finally:
            alarm.cancel()
            reader.send_signal(signal.SIGINT)
            reader.communicate()


def ended_well(command, status, said):
    """Whether a command did what it should; a demo may say that the machine was too busy."""
    is_judged = command.startswith("make demo") or "cem_planner_ros demo" in command
    return status == 0 or (is_judged and "FAILED" in said)


@pytest.fixture
def shell(tmp_path, domain_id):
    """A shell in a copy of the repository, with an environment of its own as `make` makes it."""
    copy = tmp_path / "cem_planner_ros"
    ignored = shutil.ignore_patterns(".git", ".venv*", "__pycache__", "report", "build", "dist")
    shutil.copytree(ROOT, copy, ignore=ignored)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", copy / ".venv"], check=True)
    (packages,) = (copy / ".venv" / "lib").glob("python*/site-packages")
    there = sysconfig.get_path("purelib")
    (packages / "others.pth").write_text(f"import site; site.addsitedir({there!r})\n")
    (copy / ".venv" / "share").symlink_to(Path(sys.prefix) / "share")
    programs = copy / ".venv" / "bin"
    if "LD_LIBRARY_PATH" in os.environ:
        # The wheels of ROS look for their libraries in this environment; `make` unsets the path.
        program = (programs / "python").resolve()
        for name in ("python", "python3"):
            (programs / name).unlink()
        (programs / "python3").symlink_to(program)
        path = f"LD_LIBRARY_PATH='{os.environ['LD_LIBRARY_PATH']}'"
        write_program(programs / "python", f'{path} exec "{programs}/python3" "$@"')
    for node in pages.NODES:
        entry = node.removesuffix("_node").replace("costmap", "mapper").replace("view", "viewer")
        called = f"from cem_planner_ros.ros.process import {entry}; {entry}()"
        write_program(programs / node, f'exec "{programs}/python" -c "import sys; {called}" "$@"')
    write_program(programs / "pip", f'exec "{programs}/python" -m pip "$@"')
    # What `make` needs is there already.
    made = "--assume-old=.venv/.installed --assume-old=.venv/.dependencies"
    write_program(programs / "make", f'exec {shutil.which("make")} {made} "$@"')
    if shutil.which("ros2") is None:
        stand_in = ROOT / "test" / "support" / "ros2.py"
        write_program(programs / "ros2", f'exec "{programs}/python" "{stand_in}" "$@"')
    environment = os.environ | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "MPLBACKEND": "Agg",
        "PYTHONUNBUFFERED": "1",
    }
    made = Shell(tmp_path, environment)
    yield made
    for _, process, _ in made.running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def write_program(file, text):
    file.write_text(f"#!/bin/sh\n{text}\n")
    file.chmod(0o755)


def test_the_table_of_what_is_not_run_is_true():
    """Each row is a command of its page."""
    for pattern, page in not_run():
        shown = [command for b in pages.blocks(ROOT / page) for command in pages.commands(b.text)]
        assert fnmatch.filter(shown, pattern.replace("[", "[[]")), (pattern, page)


def test_reasons_of_blocks_that_are_not_run_are_in_the_table():
    text = (ROOT / "docs" / "reference" / "not_run.md").read_text()
    for page in PAGES:
        for block in pages.blocks(page):
            if block.marker.startswith("not run: "):
                assert f"| {block.page} | {block.marker.removeprefix('not run: ')}" in text


@pytest.mark.extras
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", scripts(), ids=str)
def test_commands_run(page, shell, tmp_path, wait_until):
    for package in ("rclpy", *filter(None, [PACKAGES.get(str(page))])):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    copy = tmp_path / "cem_planner_ros"
    reader = {"robot.xml": "models/quadruped.xml"} | FILES.get(page.name, {})
    for name, file in reader.items():
        shutil.copy(copy / file, copy / name)
    for command in BEFORE.get(page.name, ()):
        shell.run(command)
    for block in scripts()[page]:
        if any(NODES.match(command) for command in block):
            shell.end()
        for command in block:
            if command.startswith(ASKS):
                shell.wait_for_control(wait_until)
            shell.run(command)
        shell.wait_for_control(wait_until)
    shell.end()
