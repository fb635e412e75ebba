# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

# The wheels of rclpy start Python anew with their library path, so they come first.
try:
    import rclpy
    from lifecycle_msgs.msg import Transition
    from lifecycle_msgs.srv import ChangeState, GetState
    from rcl_interfaces.msg import Log
    from rcl_interfaces.srv import (
        GetParameters,
        ListParameters,
        SetParameters,
        SetParametersAtomically,
    )
    from rclpy.executors import SingleThreadedExecutor
    from rclpy.node import Node
    from rclpy.parameter import Parameter
    from rclpy.qos import DurabilityPolicy, QoSProfile
    from spinning import kept

    from cem_planner_ros.ros.node import PlannerNode
except ImportError:
    collect_ignore = ["ros", "simulation", "launch"]

import pytest
import torch
from hypothesis import settings

from cem_planner_ros.configuration import load_yaml
from cem_planner_ros.costs.quadratic import Quadratic, Terminal
from cem_planner_ros.dynamics.cartpole import CartPole

torch.set_num_threads(1)

# The same examples in each run; `pytest --hypothesis-profile other-examples` looks for new ones.
settings.register_profile("other-examples", deadline=None)
settings.register_profile("same-examples", deadline=None, derandomize=True)
settings.load_profile("same-examples")

SLOW = {"cli", "compile", "gazebo", "launch", "learning", "ros", "simulation"}
"""Folders whose tests are all slow; in others each says so itself."""


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.relative_to(Path(__file__).parent).parts[0] in SLOW:
            item.add_marker(pytest.mark.slow)


def wait_until(condition, timeout=120.0):
    """Wait for a condition; fail after `timeout` s."""
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end, "timed out"
        time.sleep(0.01)


class Observer:
    """A node in this process that sees and asks what another process would."""

    def __init__(self):
        self.node = Node("observer")
        self.messages = {}
        self._executor = SingleThreadedExecutor()
        self._executor.add_node(self.node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._stop = threading.Event()
        self._clients = {}
        self._thread.start()

    def _spin(self):
        while not self._stop.is_set():
            self._executor.spin_once(timeout_sec=0.05)

    def close(self):
        self._stop.set()
        self._thread.join()
        self.node.destroy_node()

    def listen(self, kind, topic):
        """Return the list that (arrival, message) of a topic go into from now on."""
        seen = []
        self.node.create_subscription(
            kind, topic, lambda message: seen.append((time.monotonic(), message)), 50
        )
        return seen

    def listen_latched(self, kind, topic, depth=1):
        """Do as `listen`, and hear the last `depth` messages that were sent before."""
        seen = []
        latched = QoSProfile(depth=depth, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.node.create_subscription(
            kind, topic, lambda message: seen.append((time.monotonic(), message)), latched
        )
        return seen

    def listen_to_log(self, name="cem_planner"):
        """Return a function to the texts that a node has logged, those before it was heard too."""
        seen = self.listen_latched(Log, "/rosout", depth=1000)
        return lambda: [message.msg for _, message in list(seen) if message.name == name]

    def call(self, kind, service, request, timeout=120.0):
        if service not in self._clients:
            self._clients[service] = self.node.create_client(kind, service)
        assert self._clients[service].wait_for_service(timeout), f"no service {service}"
        future = self._clients[service].call_async(request)
        done = threading.Event()  # Some tests call hundreds of times.
        future.add_done_callback(lambda _: done.set())
        assert done.wait(timeout), "timed out"
        return future.result()

    def transition(self, name, node="/cem_planner"):
        number = getattr(Transition, f"TRANSITION_{name.upper()}")
        request = ChangeState.Request(transition=Transition(id=number))
        return self.call(ChangeState, f"{node}/change_state", request).success

    def lifecycle(self, node="/cem_planner"):
        return self.call(GetState, f"{node}/get_state", GetState.Request()).current_state.label

    def set(self, node="/cem_planner", atomically=False, **values):
        """Set parameters, "__" in a name being a dot; return the reasons of what was refused."""
        parameters = [
            Parameter(name.replace("__", "."), value=value).to_parameter_msg()
            for name, value in values.items()
        ]
        if atomically:
            request = SetParametersAtomically.Request(parameters=parameters)
            results = [
                self.call(
                    SetParametersAtomically, f"{node}/set_parameters_atomically", request
                ).result
            ]
        else:
            request = SetParameters.Request(parameters=parameters)
            results = self.call(SetParameters, f"{node}/set_parameters", request).results
        return [result.reason for result in results if not result.successful]

    def get(self, name, node="/cem_planner"):
        request = GetParameters.Request(names=[name])
        value = self.call(GetParameters, f"{node}/get_parameters", request).values[0]
        return rclpy.parameter.parameter_value_to_python(value)

    def parameters(self, node="/cem_planner"):
        request = ListParameters.Request()
        return self.call(ListParameters, f"{node}/list_parameters", request).result.names


class Process:
    """A node in a process of its own, with its output."""

    def __init__(self, name, log, *arguments, cache=None):
        code = f"import sys; from cem_planner_ros.ros.process import {name}; sys.exit({name}())"
        self.log = log
        self._file = log.open("w")
        self.popen = subprocess.Popen(
            [sys.executable, "-c", code, "--ros-args", *map(str, arguments)],
            stdout=self._file,
            stderr=subprocess.STDOUT,
            env=os.environ
            | {"PYTHONUNBUFFERED": "1"}
            | ({"XDG_CACHE_HOME": str(cache)} if cache else {}),
            start_new_session=True,
        )

    def output(self):
        return self.log.read_text()

    def end(self, number=signal.SIGINT, timeout=120.0, group=False):
        """Send a signal, to the process or to its group, and return the exit status."""
        if self.popen.poll() is None:
            if group:
                os.killpg(self.popen.pid, number)
            else:
                self.popen.send_signal(number)
        try:
            return self.popen.wait(timeout)
        finally:
            self.popen.kill()
            self._file.close()


@pytest.fixture(autouse=True)
def _same_numbers():
    """Let a test draw the same random numbers whichever tests ran before it."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def _kernel_cache(tmp_path_factory):
    """Compile as on a fresh machine, but once a session, for processes that tests start too."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # What one of them compiled serves the others.
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        yield


@pytest.fixture(autouse=True, scope="session")
def _signals_that_end():
    """
    Let SIGINT and SIGHUP end the processes that tests start.

    A shell has what it starts in the background ignore the one, and nohup the other; pytest would
    hand that on.
    """
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGHUP: lambda *_: None}
    ignored = [number for number in handlers if signal.getsignal(number) == signal.SIG_IGN]
    for number in ignored:
        signal.signal(number, handlers[number])
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def own_domain():
    """
    Have a DDS domain on this machine alone, inherited by processes that are started meanwhile.

    Tests that run at the same time, of this user or another, have other ones: who has a domain
    holds the last of its UDP ports, which only its 120th participant would use. Nor has it other
    participants: the first one would use the port that is tried.
    """
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mark,
        pytest.MonkeyPatch.context() as p,
    ):
        for number in random.SystemRandom().sample(range(1, 101), 100):
            with (
                contextlib.suppress(OSError),
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as tried,
            ):
                tried.bind(("", 7400 + 250 * number + 10))
                mark.bind(("127.0.0.1", 7400 + 250 * number + 249))
                break
        else:
            raise RuntimeError("each of the DDS domains 1 to 100 is taken")
        p.setenv("ROS_DOMAIN_ID", str(number))
        p.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
        yield


@pytest.fixture
def domain_id():
    """A DDS domain for one test."""
    with own_domain():
        yield


@pytest.fixture(scope="session")
def own_domain_function():
    """For fixtures of a module."""
    return own_domain


@pytest.fixture(name="wait_until")
def wait_until_fixture():
    return wait_until


@pytest.fixture(scope="session")
def observer_class():
    """For fixtures of a module, which make their own."""
    return Observer


@pytest.fixture(scope="session")
def process_class():
    """For fixtures of a module, which start their own."""
    return Process


@pytest.fixture(scope="session")
def wait_until_function():
    """For fixtures of a module."""
    return wait_until


@pytest.fixture
def context(domain_id):
    rclpy.init(args=[])
    yield
    rclpy.try_shutdown()


@pytest.fixture
def elsewhere(domain_id):
    """A node with a DDS participant of its own; a participant has one type for a topic."""
    context = rclpy.Context()
    rclpy.init(args=[], context=context)
    node = rclpy.create_node("elsewhere", context=context)
    yield node
    node.destroy_node()
    context.try_shutdown()


@pytest.fixture
def observer(context):
    made = Observer()
    yield made
    made.close()


@pytest.fixture
def start(tmp_path, domain_id):
    """A function that starts a node in a process; all are ended after the test."""
    running = []

    def start_process(name, *arguments, **options):
        log = tmp_path / f"{len(running)}_{name}.log"
        process = Process(name, log, *arguments, **options)
        running.append(process)
        return process

    yield start_process
    for process in running:
        process.end(signal.SIGKILL)
        print(f"--- {process.log.name}\n{process.output()}")  # Shown where the test failed.


@pytest.fixture
def node(context, drive, monkeypatch):
    """A function that makes a planner node in this process and spins it; parameters by name."""
    with contextlib.ExitStack() as ended:

        def make(file=None, **changes):
            given = ["--params-file", str(file)] if file else []
            monkeypatch.setattr(sys, "argv", ["node", *given])
            values = drive | {name.replace("__", "."): value for name, value in changes.items()}
            if file is not None:
                values = load_yaml(file)
            overrides = [Parameter(name, value=value) for name, value in values.items()]
            return kept(PlannerNode(parameter_overrides=overrides), ended)

        yield make


@pytest.fixture
def drive():
    """Parameters of a planner for a plant without physics, quick to start."""
    return {
        "control_rate": 50.0,
        "planner.samples": 64,
        "planner.elites": 8,
        "planner.iterations": 2,
        "planner.horizon": 20,
        "planner.dt": 0.1,
        "planner.device": "cpu",
        "planner.backend": "eager",
        "dynamics.plugin": "double_integrator",
        "costs": ["goal"],
        "goal.plugin": "quadratic",
        "goal.weight.x": 1.0,
        "goal.weight.y": 1.0,
        "goal.weight.x_dot": 0.3,
        "goal.weight.y_dot": 0.3,
        "goal.target.x": 0.5,
        "action.safe.x_ddot": 0.125,
        "state.type": "std_msgs/msg/Float64MultiArray",
        "state.topic": "state",
        "command.topic": "command",
        "publish_statistics": True,
    }


@pytest.fixture
def write_yaml(tmp_path):
    """A function that writes parameters as the YAML of a node."""

    def write(values, name="planner.yaml"):
        file = tmp_path / name
        lines = "".join(f"    {key}: {_yaml(value)}\n" for key, value in values.items())
        file.write_text(f"/**:\n  ros__parameters:\n{lines}")
        return file

    return write


def _yaml(value):
    return str(value).lower() if isinstance(value, bool) else value


@pytest.fixture
def cartpole():
    """A cart-pole and costs that swing it up."""
    torch.manual_seed(0)
    model = CartPole()
    way = Quadratic(
        model,
        {
            "weight": {"x": 1.0, "x_dot": 0.1, "theta": 2.0, "theta_dot": 0.1},
            "action_weight": {"force": 0.001},
            "rate_weight": {"force": 0.01},
        },
    )
    end = Terminal(model, {"weight": {"x": 2.0, "theta": 20.0, "theta_dot": 2.0}})
    return model, [way, end]
