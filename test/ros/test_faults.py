# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What goes wrong around the node: it stays within limits, never uses what is old, and recovers."""

import logging
import math
import os
import random
import signal
import sys
import threading
import time
import types

import numpy as np
import pytest
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.configuration import configure
from cem_planner_ros.control.ladder import FALLBACK, FRESH, PREVIOUS_PLAN, STATUSES, STOPPED
from cem_planner_ros.control.tick import CAUSES
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.plugins.parameter import LIVE
from cem_planner_ros.ros import planner_thread

SAFE = [0.125, 0.0]
JOINTS = ["a", "b"]
RATE = 20.0
MAX_STATE_AGE = 0.2
MAX_PLAN_AGE = 0.2
OLDEST_MS = 1e3 * (MAX_STATE_AGE + MAX_PLAN_AGE)
"""
From a state to the choice of a command that rests on it: the state may have been old when its plan
was begun, and the plan so old when it was chosen.
"""
CHANGES = int(os.environ.get("CEM_PLANNER_CHANGES", "300"))
"""Random parameter changes; `CEM_PLANNER_CHANGES=10000 pytest -k random` for a long run."""

WITHIN = {
    "max_state_age": (0.0, MAX_STATE_AGE),
    "max_plan_age": (0.0, MAX_PLAN_AGE),
    "action.low": (-1.0, 0.1),
    "action.high": (-0.1, 1.0),
}
"""What random values must keep to for every command to be within what is watched."""


class Watch:
    """Sees every command, and what the node says of it; both are judged when the test is over."""

    def __init__(self, observer, wait_until):
        self.wait_until = wait_until
        self.commands = observer.listen(Float64MultiArray, "command")
        self.statistics = observer.listen(Float64MultiArray, "/cem_planner/statistics")
        self.reports = observer.listen(DiagnosticArray, "/diagnostics")

    def column(self, label, since=0):
        """Return one statistic over the periods."""
        rows = [message for _, message in self.statistics[since:]]
        labels = [dimension.label for dimension in rows[0].layout.dim] if rows else []
        return [row.data[labels.index(label)] for row in rows]

    def statuses(self, since=0):
        return [STATUSES[int(index)] for index in self.column("status", since)]

    def causes(self, since=0):
        return {CAUSES[int(index)] for index in self.column("cause", since)}

    def wait(self, status):
        """Wait until a command that is still to come has this status."""
        count = len(self.statistics)
        self.wait_until(lambda: status in self.statuses(count)[-1:])

    def wait_for_the_stop(self):
        """Wait until it has stopped, and the safe command is the last one that came."""
        self.wait(STOPPED)
        self.wait_until(lambda: list(self.commands[-1][1].data) == SAFE)

    def diagnosis(self):
        """Return level, message and values of the next diagnostics as one text."""
        count = len(self.reports)
        self.wait_until(lambda: len(self.reports) > count + 1)
        (status,) = self.reports[-1][1].status
        values = [f"{value.key}={value.value}" for value in status.values]
        return "\n".join([f"level={ord(status.level)}", status.message, *values])

    def judge(self):
        assert self.commands
        actions = np.array([list(message.data) for _, message in self.commands])
        assert np.isfinite(actions).all()
        assert np.abs(actions).max() <= 1.0
        until = len(self.statistics)  # They still arrive.
        labels = ("status", "latency_ms", "interval_ms")
        rows = zip(*(self.column(label)[:until] for label in labels), strict=True)
        # Each is chosen after the one before was sent; the machine may stop it before it is sent.
        old = [row for row in rows if row[1] - row[2] > OLDEST_MS]
        assert not old


@pytest.fixture
def drive(drive):
    """A planner of joint states with time to spare also on a busy machine, quick to step down."""
    return drive | {
        "control_rate": RATE,
        "planner.horizon": 8,
        "planner.dt": 0.25,
        "state.type": "sensor_msgs/msg/JointState",
        "state.fields.x": "position[a]",
        "state.fields.y": "position[b]",
        "state.fields.x_dot": "velocity[a]",
        "state.fields.y_dot": "velocity[b]",
        "max_state_age": MAX_STATE_AGE,
        "max_plan_age": MAX_PLAN_AGE,
        "hold_time": 0.2,
    }


@pytest.fixture
def watch(observer, wait_until):
    made = Watch(observer, wait_until)
    yield made
    made.judge()


class States:
    """A plant that stands still, 50 states a second; tests change what it says."""

    def __init__(self, observer):
        self._node = observer.node
        self._publisher = self._node.create_publisher(JointState, "state", 10)
        self.on = True
        self.change = lambda message: [message]
        self._node.create_timer(0.02, self._tick)

    def message(self, x=0.0, age=0.0):
        message = JointState(name=JOINTS, position=[x, 0.0], velocity=[0.0, 0.0])
        now = self._node.get_clock().now().nanoseconds
        message.header.stamp.sec, message.header.stamp.nanosec = divmod(
            now - round(1e9 * age), 10**9
        )
        return message

    def send(self, message):
        self._publisher.publish(message)

    def _tick(self):
        if self.on:
            for message in self.change(self.message()):
                self.send(message)


@pytest.fixture
def states(observer):
    return States(observer)


# What comes in


def test_a_state_that_stops_is_told_step_by_step_and_comes_back(node, watch, states):
    node().autostart()
    watch.wait(FRESH)

    def goes_step_by_step():
        count = len(watch.statistics)
        states.on = False
        watch.wait_for_the_stop()
        text = watch.diagnosis()
        assert "level=2" in text
        assert "stale_state" in text
        steps = list(dict.fromkeys(watch.statuses(count)))
        states.on = True
        watch.wait(FRESH)
        return steps[-3:] == [PREVIOUS_PLAN, FALLBACK, STOPPED]

    # On a busy machine a step may take no period, but hardly each time.
    assert any(goes_step_by_step() for _ in range(5))


def test_states_at_1_khz_keep_neither_the_loop_nor_the_executor(node, observer, watch, states):
    node().autostart()
    watch.wait(FRESH)
    stop = threading.Event()

    def flood():
        while not stop.wait(0.001):
            states.send(states.message())

    thread = threading.Thread(target=flood)
    thread.start()
    try:
        time.sleep(2.0)
        assert observer.set(goal__target__x=0.6) == []
        watch.wait(FRESH)
    finally:
        stop.set()
        thread.join()
    watch.wait(FRESH)


def test_states_out_of_order_do_not_count(node, watch, states):
    node().autostart()
    before = []

    def late(message):
        """
        Return a message, and one from before the last but one, which comes after it.

        The plant is before its target; what comes late says it were far beyond.
        """
        before.append(message.header.stamp)
        overtaken = states.message(x=50.0)
        overtaken.header.stamp = before[-3:][0]
        return [message, overtaken] if len(before) > 2 else [message]

    states.change = late
    watch.wait(FRESH)
    count = len(watch.commands)

    def forces():
        return [message.data[0] for _, message in watch.commands[count:]]

    watch.wait_until(lambda: len(forces()) >= RATE and np.mean(forces()[-int(RATE) :]) > 0.2)
    assert min(forces()) > -0.5
    assert "older than the previous message" in watch.diagnosis()
    states.change = lambda message: [message]
    watch.wait(FRESH)


@pytest.mark.parametrize(
    ("age", "text"),
    [(-3600.0, "stamp in the future"), (1.7e9, "stamp of another clock")],
    ids=["future", "another clock"],
)
def test_stamps_that_cannot_be_are_told_and_the_arrival_counts(node, watch, states, age, text):
    node().autostart()
    states.change = lambda message: [states.message(age=age)]
    watch.wait(FRESH)
    assert text in watch.diagnosis()
    states.on = False
    watch.wait(STOPPED)
    states.on, states.change = True, lambda message: [message]
    watch.wait(FRESH)


def test_states_that_cannot_be_used_are_as_good_as_none(node, watch, states):
    def changed(**fields):
        def change(message):
            for name, value in fields.items():
                setattr(message, name, value)
            return [message]

        return change

    node().autostart()
    for change in (
        changed(position=[math.nan, 0.0]),
        changed(velocity=[0.0, math.inf]),
        changed(position=[0.0, -1e30]),
        changed(velocity=[1e300, 0.0]),
        changed(position=[0.0]),
        changed(position=[], velocity=[]),
        changed(name=["a"]),
        changed(name=["c", "d"]),
        changed(name=[]),
    ):
        watch.wait(FRESH)
        states.change = change
        watch.wait(STOPPED)
        states.change = lambda message: [message]
    watch.wait(FRESH)


# Plugins


@pytest.fixture
def faulty(monkeypatch, drive):
    """A model that is as `faulty.fault`, a function of the next state, makes it."""
    module = types.ModuleType("faulty")

    class Faulty(DoubleIntegrator):
        def step(self, state, action, dt):
            return module.fault(super().step(state, action, dt))

    module.Faulty = Faulty
    module.fault = lambda state: state
    monkeypatch.setitem(sys.modules, "faulty", module)
    drive["dynamics.plugin"] = "faulty:Faulty"
    return module


def once(faulty, action):
    """
    Make the model do something in the next plan, and be right again after that.

    Returns an event that is set when the model does it.
    """
    begun = threading.Event()

    def fault(state):
        if state.shape[-1] == 1:  # A prediction, not the candidates.
            return state
        faulty.fault = lambda state: state
        begun.set()
        return action(state)

    faulty.fault = fault
    return begun


def test_a_model_that_raises_in_the_100th_period_costs_no_command(node, watch, states, faulty):
    def broken(state):
        raise RuntimeError("the model broke")

    node().autostart()
    watch.wait(FRESH)
    watch.wait_until(lambda: len(watch.statistics) >= 100)

    def costs_no_command():
        count = len(watch.statistics)
        watch.wait_until(once(faulty, broken).is_set)
        watch.wait(FRESH)
        has_failed = "plan_failed" in watch.causes(count)
        return has_failed and set(watch.statuses(count)) == {FRESH, PREVIOUS_PLAN}

    # On a busy machine the plan may be late before it fails, but hardly each time.
    assert any(costs_no_command() for _ in range(5))


def test_what_was_compiled_is_no_longer_true_and_the_log_says_once_how_planning_goes_on(
    node, watch, states, drive, observer, monkeypatch, capfd
):
    monkeypatch.setattr(logging.root, "handlers", [])  # As where only nodes run.

    class Pulled(DoubleIntegrator):
        pull = 0.0

        def step(self, state, action, dt):
            return super().step(state, action + self.pull, dt)

    module = types.ModuleType("pulled")
    module.Pulled = Pulled
    monkeypatch.setitem(sys.modules, "pulled", module)
    drive |= {"dynamics.plugin": "pulled:Pulled", "planner.backend": "auto"}
    log = observer.listen_to_log()
    node().autostart()
    watch.wait(FRESH)
    assert "execution=kernel" in watch.diagnosis()
    Pulled.pull = 0.125

    def said():
        return [line for line in log() if line.startswith("planning now runs as eager, not as")]

    watch.wait_until(said)
    watch.wait(FRESH)
    assert "execution=eager: a plugin changes" in watch.diagnosis()
    (line,) = said()
    assert "Pulled.pull is 0.125, and was 0.0" in line
    assert capfd.readouterr().err.count("Pulled.pull is 0.125, and was 0.0") == 1


def test_a_model_that_goes_on_raising_stops_the_plant(node, watch, states, faulty):
    def broken(state):
        raise RuntimeError("the model broke")

    node().autostart()
    watch.wait(FRESH)
    faulty.fault = broken
    watch.wait(STOPPED)
    assert "RuntimeError: the model broke" in watch.diagnosis()
    faulty.fault = lambda state: state
    watch.wait(FRESH)


def test_nan_for_all_candidates_stops_the_plant(node, watch, states, faulty):
    node().autostart()
    watch.wait(FRESH)
    faulty.fault = lambda state: state * math.nan
    watch.wait_for_the_stop()
    assert "no_valid_plan" in watch.causes()
    faulty.fault = lambda state: state
    watch.wait(FRESH)


def test_a_plan_of_ten_periods_costs_no_command(node, watch, states, faulty):
    def slow(state):
        time.sleep(10 / RATE)
        return state

    node().autostart()
    watch.wait(FRESH)

    def costs_no_command():
        count, missing = len(watch.statistics), watch.column("missing")[-1]
        once(faulty, slow)
        watch.wait_until(lambda: watch.statuses(count).count(PREVIOUS_PLAN) >= 3)
        watch.wait(FRESH)
        return watch.column("missing")[-1] - missing <= 2

    # A busy machine may cost a command itself, but hardly each time.
    assert any(costs_no_command() for _ in range(5))
    assert "plans overdue=0" not in watch.diagnosis()


def test_a_model_that_hangs_stops_the_plant_and_can_be_left_behind(
    node, observer, watch, states, faulty, monkeypatch
):
    monkeypatch.setattr(planner_thread, "END_TIMEOUT", 1.0)
    release = threading.Event()

    def hang(state):
        release.wait(60.0)  # Should this test fail, the others must not wait for ever.
        return state

    node().autostart()
    watch.wait(FRESH)
    watch.wait_until(once(faulty, hang).is_set)
    count = len(watch.statistics)
    watch.wait_for_the_stop()
    # Ever further down; on a busy machine a step may take no period.
    steps = [STATUSES.index(status) for status in watch.statuses(count)]
    assert steps == sorted(steps)
    assert "over_budget" in watch.diagnosis()
    # It is deactivated and activated as usual, with a planner of its own.
    assert observer.transition("deactivate")
    sent = len(watch.commands)
    assert observer.transition("activate")
    watch.wait(FRESH)
    release.set()
    time.sleep(0.3)
    watch.wait(FRESH)
    assert len(watch.commands) > sent


def test_a_model_that_is_always_too_slow_leaves_commands_in_time(node, watch, states, faulty):
    def slow(state):
        time.sleep(2 / RATE / 8)  # eight model steps to an iteration, which takes two periods
        return state

    node().autostart()
    watch.wait(FRESH)
    count = len(watch.statistics)
    faulty.fault = slow
    watch.wait_until(lambda: len(watch.statistics) > count + 15)
    watch.wait_until(lambda: "over_budget" in watch.causes(count))
    assert "level=0" not in watch.diagnosis()
    faulty.fault = lambda state: state
    watch.wait(FRESH)


# Other nodes


@pytest.fixture
def plant(start, write_yaml, drive):
    """A function that starts a plant in a process of its own."""

    def start_plant(state_topic="state"):
        return start(
            "simulator",
            *("-p", "plant:=model"),
            *("-p", f"planner_file:={write_yaml(drive)}"),
            *("-p", f"state_topic:={state_topic}"),
            *("-p", "command_topic:=command"),
        )

    return start_plant


def test_a_subscriber_that_dies_costs_no_command(node, watch, states, plant, wait_until):
    planner = node()
    planner.autostart()
    subscriber = plant(state_topic="elsewhere")
    wait_until(lambda: planner.count_subscribers("command") == 2)
    watch.wait(FRESH)
    subscriber.end(signal.SIGKILL)
    count = len(watch.commands)
    wait_until(lambda: len(watch.commands) > count + 40)
    watch.wait(FRESH)


# Processes


@pytest.fixture
def planner(start, write_yaml, drive):
    return start("planner", "--params-file", write_yaml(drive))


def test_a_plant_that_is_killed_and_started_again_is_controlled_again(
    planner, plant, watch, wait_until
):
    first = plant()
    wait_until(lambda: FRESH in watch.statuses())
    first.end(signal.SIGKILL)
    watch.wait_for_the_stop()
    plant()
    wait_until(lambda: FRESH in watch.statuses()[-1:])
    assert planner.popen.poll() is None


def test_a_planner_that_stood_still_sends_nothing_that_is_old(planner, states, watch, wait_until):
    wait_until(lambda: FRESH in watch.statuses())
    for _ in range(3):
        planner.popen.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        count, began = len(watch.commands), time.monotonic()
        planner.popen.send_signal(signal.SIGCONT)
        watch.wait(FRESH)
        # Those of the second that it stood still are not made up for.
        assert len(watch.commands) - count <= RATE * (time.monotonic() - began) + 3


@pytest.mark.timeout(1800)
def test_random_parameter_changes_while_it_controls(
    observer, planner, plant, watch, drive, wait_until
):
    plant()
    wait_until(lambda: FRESH in watch.statuses())
    draw = random.Random(0)
    declared = configure(drive).parameters
    fixed = ("planner.backend", "planner.device", "planner.threads", "publish_statistics")
    live = [name for name in declared if declared[name].when == LIVE and name not in fixed]
    planning = [name for name in declared if name.startswith("planner.") and name not in fixed]
    others = sorted(set(declared) - {*live, *planning, *fixed})
    accepted = refused = 0
    for _ in range(CHANGES):
        (names,) = draw.choices((live, planning, others), (8, 1, 1))
        chosen = draw.sample(names, draw.choice((1, 1, 1, 2, 5)))
        values = {name.replace(".", "__"): drawn(declared[name], draw) for name in chosen}
        reasons = observer.set(atomically=draw.random() < 0.5, **values)
        assert all(reasons)
        accepted, refused = accepted + (not reasons), refused + bool(reasons)
    assert accepted > CHANGES / 4
    assert refused > CHANGES / 20
    usual = {
        name: declared[name].check(drive.get(name, declared[name].default))
        for name in ["allow_rebuild", *live, *planning]
    } | {"allow_rebuild": True}
    assert observer.set(**{name.replace(".", "__"): v for name, v in usual.items()}) == []
    watch.wait(FRESH)
    assert {name: observer.get(name) for name in usual} == usual
    assert planner.popen.poll() is None
    assert "Traceback" not in planner.output()


def drawn(parameter, draw):
    """Return a value for a parameter, most of the time one that is allowed."""
    if draw.random() < 0.1:
        return draw.choice((math.nan, math.inf, -1.0, 1e300, 10**12, "", "no", ["a"]))
    group = ".".join(parameter.name.split(".")[:2])
    if group in WITHIN:
        return draw.uniform(*WITHIN[group])
    if isinstance(parameter.default, bool):
        return draw.random() < 0.5
    if isinstance(parameter.default, str):
        return draw.choice(parameter.choices or ("odom", "map"))
    if isinstance(parameter.default, list):
        return parameter.default
    low = -10.0 if parameter.low is None else parameter.low
    high = 10.0 if parameter.high is None else min(parameter.high, 10.0)
    return type(parameter.default)(draw.uniform(low, high))
