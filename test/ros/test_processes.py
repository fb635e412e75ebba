# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Nodes in processes of their own, meeting over DDS."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.control.ladder import FRESH, STATUSES, STOPPED
from cem_planner_ros.ros.process import ending_signals

SAFE = [0.125, 0.0]


@pytest.fixture
def planner(start, write_yaml, drive):
    return start("planner", "--params-file", write_yaml(drive))


@pytest.fixture
def plant(start, write_yaml, drive):
    file = write_yaml(drive)
    return start(
        "simulator",
        *("-p", "plant:=model"),
        *("-p", f"planner_file:={file}"),
        *("-p", "start:='-0.5 0.0 0.0 0.0'"),
        *("-p", "state_topic:=state"),
        *("-p", "command_topic:=command"),
    )


def test_drives_a_plant_to_its_target_and_says_goodbye_safely(observer, planner, plant, wait_until):
    states = observer.listen(Float64MultiArray, "state")
    commands = observer.listen(Float64MultiArray, "command")
    wait_until(lambda: states and commands)
    wait_until(lambda: np.abs(np.array(states[-1][1].data) - [0.5, 0, 0, 0]).max() < 0.1)
    assert planner.end(signal.SIGINT) == 0
    wait_until(lambda: list(commands[-1][1].data) == SAFE)
    assert "Traceback" not in planner.output()
    assert plant.end(signal.SIGINT) == 0
    assert "Traceback" not in plant.output()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_the_safe_command_is_the_last_one(observer, planner, states, wait_until, number):
    commands = observer.listen(Float64MultiArray, "command")
    wait_until(lambda: commands and list(commands[-1][1].data) != SAFE)
    assert planner.end(number) == 0
    wait_until(lambda: list(commands[-1][1].data) == SAFE)


def test_nohup_keeps_a_node_from_ending_with_its_terminal():
    assert signal.SIGHUP in ending_signals()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert ending_signals() == [signal.SIGINT, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_compiling_ends_it(start, write_yaml, drive, number, wait_until, tmp_path):
    drive |= {"planner.backend": "compile"}
    planner = start("planner", "--params-file", write_yaml(drive), cache=tmp_path)
    wait_until(lambda: "configuring" in planner.output())
    # A terminal's Ctrl-C reaches the whole group, the compiler too.
    assert planner.end(number, group=True) == 0
    assert "Traceback" not in planner.output()


SIGNAL_AT_IMPORT = """
import importlib.abc, os, runpy, sys

class Sender(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "{module}":
            os.kill(os.getpid(), {number})

sys.meta_path.insert(0, Sender())
{run}
"""


def run_with_signal_at_import(module, number, run):
    """Run Python code that gets a signal when it imports a module; return status and output."""
    code = SIGNAL_AT_IMPORT.format(module=module, number=int(number), run=run)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("planner", "rclpy"),
        ("planner", "torch"),
        ("simulator", "cem_planner_ros.ros.simulator"),
        ("mapper", "cem_planner_ros.ros.mapper"),
    ],
)
def test_a_signal_while_a_node_is_imported_ends_it_quietly(name, module, number):
    run = f"from cem_planner_ros.ros.process import {name} as run; sys.exit(run())"
    executable = {"mapper": "costmap"}.get(name, name)
    said = f"{executable}_node: starting\n"
    assert run_with_signal_at_import(module, number, run) == (0, said)


@pytest.mark.parametrize("module", ["torch", "cem_planner_ros.cli.train_command"])
def test_a_signal_while_the_command_line_is_imported_ends_it_quietly(module):
    run = "sys.argv = ['x', 'plugins']; runpy.run_module('cem_planner_ros', run_name='__main__')"
    assert run_with_signal_at_import(module, signal.SIGINT, run) == (130, "")


ENDING = """
import atexit, signal, sys, threading

class Late:
    def __del__(self, write=sys.stdout.write):
        write("taken apart\\n")

late = Late()
from cem_planner_ros.ros.process import mapper
from cem_planner_ros.ros.mapper import MapperNode
made = MapperNode.__init__

def make(self):
    made(self)
    atexit.register(print, "cleaned up")
    signal.raise_signal(signal.SIGINT)

MapperNode.__init__ = make
status = mapper()
print("closed")
sys.exit(status)
"""


def test_a_node_ends_at_once_when_everything_is_closed(domain_id):
    """Taking Python and PyTorch apart takes a second of the processor that nobody needs."""
    done = subprocess.run(
        [sys.executable, "-c", ENDING], stdout=subprocess.PIPE, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout.splitlines()[-2:] == ["closed", "cleaned up"]


def test_a_node_that_cannot_be_made_ends_with_status_1(start, wait_until):
    simulator = start("simulator", "-p", "model_file:=nowhere.xml")
    wait_until(lambda: simulator.popen.poll() is not None)
    assert simulator.end() == 1
    assert "error: file 'nowhere.xml' does not exist" in simulator.output()


def test_a_wrong_yaml_is_explained_and_the_process_lives(
    observer, start, write_yaml, drive, wait_until
):
    file = write_yaml(drive | {"planner.elites": 1000, "goal.wieght.x": 1.0})
    planner = start("planner", "--params-file", file)
    wait_until(lambda: str(file) in planner.output())
    assert "planner.elites" in planner.output()
    assert "did you mean 'goal.weight.x'" in planner.output()
    assert observer.lifecycle() == "unconfigured"
    write_yaml(drive)
    assert observer.transition("configure")
    assert observer.transition("activate")


def test_an_invalid_transition_leaves_it_alive(observer, planner, states, wait_until):
    commands = observer.listen(Float64MultiArray, "command")
    wait_until(lambda: commands)
    assert not observer.transition("configure")
    assert observer.lifecycle() == "active"
    count = len(commands)
    wait_until(lambda: len(commands) > count + 10)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("planner.samples", "", "planner.samples"),
        ("costs", "[goal, 3]", "a list of several types, expected one"),
    ],
)
def test_a_yaml_that_rcl_itself_refuses_is_explained_and_the_process_lives(
    observer, start, write_yaml, drive, wait_until, name, text, words
):
    file = write_yaml(drive | {name: text})
    planner = start("planner", "--params-file", file)
    wait_until(lambda: "not configured" in planner.output())
    assert words in planner.output()
    assert str(file) in planner.output()
    write_yaml(drive)
    assert observer.transition("configure")


def test_a_yaml_for_another_node_is_said_so(start, tmp_path, wait_until):
    file = tmp_path / "other.yaml"
    file.write_text("/other:\n  ros__parameters:\n    a: 1\n")
    planner = start("planner", "--params-file", file)
    wait_until(lambda: "no section for the node 'cem_planner'" in planner.output())
    assert str(file) in planner.output()


def test_a_plant_that_stands_still_does_not_keep_the_planner(observer, planner, plant, wait_until):
    commands = observer.listen(Float64MultiArray, "command")
    wait_until(lambda: len(commands) > 10)
    plant.popen.send_signal(signal.SIGSTOP)
    assert planner.end(signal.SIGINT) == 0  # It does not wait for ever.


FAILING = """
import os
import time
from pathlib import Path

import torch

from cem_planner_ros.costs.quadratic import Quadratic


class Device:
    def __init__(self):
        self.made = time.time()

    @property
    def is_lost(self):
        trigger = Path("{trigger}")
        return trigger.exists() and trigger.stat().st_mtime > self.made

    def __del__(self):  # As what PyTorch has on it.
        if self.is_lost:
            os.abort()


class Failing(Quadratic):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.device = Device()

    def prepare(self, state, time, surroundings):
        if self.device.is_lost:
            {failure}
"""

FAILURES = [
    ('raise RuntimeError("CUDA error: device-side assert triggered")', "cpu", "device-side assert"),
    ('torch.zeros(3, device="cuda")[torch.tensor([7], device="cuda")]', "cuda", "device-side"),
    ('torch.zeros(2**45, device="cuda")', "cuda", "out of memory"),
]


@pytest.mark.parametrize("allowed", [True, False])
@pytest.mark.parametrize(("failure", "device", "words"), FAILURES, ids=["by hand", "lost", "full"])
def test_a_device_that_fails_is_replaced_by_the_cpu_if_that_is_allowed(
    observer,
    start,
    write_yaml,
    drive,
    statistics,
    monkeypatch,
    tmp_path,
    wait_until,
    plant,
    failure,
    device,
    words,
    allowed,
):
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
    trigger = tmp_path / "fail"
    text = FAILING.format(trigger=trigger, failure=failure)
    if "memory" in words:  # Which comes back.
        text = text.replace("os.abort()", "pass")
    (tmp_path / "failing.py").write_text(text)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    drive |= {
        "planner.device": device,
        "planner.backend": "auto" if device == "cuda" else "eager",
        "goal.plugin": "failing:Failing",
        "allow_cpu_fallback": allowed,
    }
    commands = observer.listen(Float64MultiArray, "command")
    planner = start("planner", "--params-file", write_yaml(drive, "fails.yaml"))
    wait_until(lambda: statistics.status == FRESH)
    trigger.touch()
    if allowed:
        wait_until(lambda: "samples on the CPU" in planner.output())
        count = len(statistics.messages)
        fresh = STATUSES.index(FRESH)
        wait_until(lambda: fresh in statistics.values("status")[count:])
        assert observer.get("planner.device") == "cpu"
        time.sleep(1.0)
        assert planner.output().count("samples on the CPU") == 1
    else:
        wait_until(lambda: statistics.status == STOPPED)
        wait_until(lambda: list(commands[-1][1].data) == SAFE)
    assert words in planner.output()
    assert planner.end(signal.SIGINT) == 0
    assert "Aborted" not in planner.output()


def test_a_value_of_the_command_line_is_not_blamed_on_the_file(
    start, write_yaml, drive, wait_until
):
    file = write_yaml(drive)
    planner = start("planner", "--params-file", file, "-p", "control_rate:=-1.0")
    said = f"in {file} (but with -p, or set since: control_rate)"
    wait_until(lambda: said in planner.output())
