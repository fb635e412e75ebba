# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What an operator does to a node that controls, and what can happen to it."""

import math
import threading

import pytest
import torch
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Bool, Float64MultiArray
from std_srvs.srv import SetBool, Trigger

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.control.ladder import FRESH, STATUSES, STOPPED
from cem_planner_ros.control.tick import DEVICE_FAILED, EMERGENCY_STOP, PAUSED, RECOVERING
from cem_planner_ros.plugins.parameter import LIVE
from cem_planner_ros.ros import planner_swap
from cem_planner_ros.ros.ready_planner import make_planner

SAFE = [0.125, 0.0]


@pytest.fixture
def commands(observer):
    return observer.listen(Float64MultiArray, "command")


def only_safe(commands, wait_until, count=10):
    """Whether the commands are all the safe one, from the next safe one on."""
    wait_until(lambda: list(commands[-1][1].data) == SAFE)
    seen = len(commands)
    wait_until(lambda: len(commands) > seen + count)
    return {tuple(message.data) for _, message in commands[seen:]} == {tuple(SAFE)}


def test_pause_sends_the_safe_command_until_it_is_over(
    node, observer, states, statistics, commands, wait_until
):
    node().autostart()
    wait_until(lambda: statistics.status == FRESH)
    assert observer.call(SetBool, "/cem_planner/pause", SetBool.Request(data=True)).success
    wait_until(lambda: statistics.cause == PAUSED)
    assert only_safe(commands, wait_until)
    wait_until(lambda: statistics.values("iterations")[-1] > 0)  # planning goes on
    assert observer.call(SetBool, "/cem_planner/pause", SetBool.Request(data=False)).success
    wait_until(lambda: statistics.status == FRESH)


def test_reset_forgets_the_warm_start(node, observer, states, statistics, newest, wait_until):
    planner = node()
    planner.autostart()
    wait_until(lambda: statistics.status == FRESH)
    assert observer.call(Trigger, "/cem_planner/reset", Trigger.Request()).success
    wait_until(lambda: statistics.values("status").count(STATUSES.index(STOPPED)) > 3)
    wait_until(lambda: statistics.status == FRESH)
    assert observer.transition("deactivate")
    response = observer.call(Trigger, "/cem_planner/reset", Trigger.Request())
    assert (response.success, response.message) == (False, "not active")


def test_good_plans_that_are_not_followed_yet_are_no_error(node, states, newest, wait_until):
    node(recover_periods=1000).autostart()
    values = {}

    def is_recovering():
        values.update(newest())
        return values.get("cause") == RECOVERING

    wait_until(is_recovering)
    assert (values["level"], values["status"]) == (b"\x01", STOPPED)


@pytest.mark.parametrize("durability", list(DurabilityPolicy)[1:3])
def test_emergency_stop_lasts_until_released_and_activated_again(
    node, observer, states, statistics, commands, newest, wait_until, durability
):
    qos = QoSProfile(depth=1, durability=durability)
    button = observer.node.create_publisher(Bool, "/cem_planner/emergency_stop", qos)
    node().autostart()
    wait_until(lambda: statistics.status == FRESH and button.get_subscription_count() > 0)
    button.publish(Bool(data=True))
    wait_until(lambda: statistics.cause == EMERGENCY_STOP)
    assert only_safe(commands, wait_until)
    values = newest()
    assert (values["level"], values["cause"]) == (b"\x02", EMERGENCY_STOP)
    assert observer.transition("deactivate")
    assert not observer.transition("activate")  # still pressed
    assert observer.transition("cleanup")
    assert observer.transition("configure")
    assert not observer.transition("activate")
    button.publish(Bool(data=False))
    wait_until(lambda: observer.transition("activate"))
    wait_until(lambda: statistics.status == FRESH)


@pytest.mark.parametrize("durability", list(DurabilityPolicy)[1:3])
def test_a_button_stops_again_after_a_service_released_what_it_pressed(
    node, observer, states, statistics, wait_until, durability
):
    qos = QoSProfile(depth=1, durability=durability)
    button = observer.node.create_publisher(Bool, "/cem_planner/emergency_stop", qos)
    node().autostart()
    wait_until(lambda: button.get_subscription_count() > 0)
    for _ in range(2):
        wait_until(lambda: statistics.status == FRESH)
        button.publish(Bool(data=True))
        wait_until(lambda: statistics.cause == EMERGENCY_STOP)
        released = observer.call(
            SetBool, "/cem_planner/emergency_stop", SetBool.Request(data=False)
        )
        assert released.success
        assert observer.transition("deactivate")
        assert observer.transition("activate")


def test_releasing_the_emergency_stop_alone_does_not_move_the_plant(
    node, observer, states, statistics, commands, wait_until
):
    qos = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    button = observer.node.create_publisher(Bool, "/cem_planner/emergency_stop", qos)
    button.publish(Bool(data=True))  # latched: pressed before the node exists
    planner = node()
    wait_until(lambda: planner.count_publishers("/cem_planner/emergency_stop") == 1)
    planner.autostart()
    assert observer.lifecycle() == "inactive"
    button.publish(Bool(data=False))
    wait_until(lambda: observer.transition("activate"))
    wait_until(lambda: statistics.status == FRESH)
    button.publish(Bool(data=True))
    wait_until(lambda: statistics.cause == EMERGENCY_STOP)
    button.publish(Bool(data=False))
    assert only_safe(commands, wait_until, 30)


def press(observer, is_pressed):
    """Call the service; return whether it succeeded, and what it said."""
    request = SetBool.Request(data=is_pressed)
    response = observer.call(SetBool, "/cem_planner/emergency_stop", request)
    return response.success, response.message


def test_the_emergency_stop_is_acknowledged_when_the_safe_command_is_out(
    node, observer, states, statistics, commands, wait_until
):
    node().autostart()
    wait_until(lambda: statistics.status == FRESH)
    assert press(observer, True) == (True, "stopped: only the safe command is sent")
    assert only_safe(commands, wait_until)
    assert statistics.cause == EMERGENCY_STOP
    assert press(observer, False) == (
        True,
        "released: deactivate and activate the node to go on",
    )
    assert only_safe(commands, wait_until)
    assert observer.transition("deactivate")
    assert observer.transition("activate")
    wait_until(lambda: statistics.status == FRESH)


def test_the_emergency_stop_can_be_pressed_before_the_node_is_active(node, observer, states):
    planner = node()
    success, message = press(observer, True)
    assert success
    assert "is not activated until it is released" in message
    planner.autostart()
    assert observer.lifecycle() == "inactive"
    assert press(observer, False) == (True, "released")
    assert observer.transition("activate")


def test_a_button_that_is_not_latched_is_heard_without_a_warning(
    node, observer, states, statistics, commands, wait_until, capfd
):
    button = observer.node.create_publisher(Bool, "/cem_planner/emergency_stop", 1)
    node().autostart()
    wait_until(lambda: statistics.status == FRESH and button.get_subscription_count() == 1)
    button.publish(Bool(data=True))
    wait_until(lambda: statistics.cause == EMERGENCY_STOP)
    assert "incompatible QoS" not in "".join(capfd.readouterr())


def test_values_set_one_by_one_may_pass_through_what_does_not_fit(
    node, observer, states, statistics, commands, newest, wait_until
):
    node().autostart()
    wait_until(lambda: statistics.status == FRESH)
    assert observer.set(action__low__x_ddot=2.0) == []  # above the highest, which is 1
    values = newest()
    assert "action.low.x_ddot" in values["message"]
    assert values["level"] != b"\x00"
    # What has nothing to do with it is still tuned, and commands stay as before.
    assert observer.set(goal__target__x=-0.5) == []
    wait_until(lambda: commands[-1][1].data[0] < -0.1)
    assert observer.set(action__safe__x_ddot=2.5, action__high__x_ddot=3.0) == []
    wait_until(lambda: commands[-1][1].data[0] >= 2.0)
    assert "wait" not in newest()["message"]


def test_what_is_set_while_it_is_inactive_counts_when_it_is_activated(
    node, observer, states, statistics, wait_until
):
    planner = node(autostart=False)
    assert observer.transition("configure")
    assert observer.set(goal__weight__x=7.0, action__high__x_ddot=0.25) == []
    assert observer.transition("activate")
    wait_until(lambda: statistics.status == FRESH)
    assert float(planner.ready.planner.costs[0].weight[0, 0]) == 7.0


def test_values_that_never_fit_keep_it_from_being_activated(node, observer, states):
    node().autostart()
    assert observer.set(action__low__x_ddot=2.0) == []
    assert observer.transition("deactivate")
    assert not observer.transition("activate")
    assert observer.set(action__low__x_ddot=-1.0) == []
    assert observer.transition("activate")


def test_values_set_together_must_fit_together(node, observer, states):
    node().autostart()
    (refusal,) = observer.set(atomically=True, action__low__x_ddot=2.0, goal__weight__x=2.0)
    assert "less than action.high.x_ddot" in refusal
    assert observer.get("goal.weight.x") == 1.0
    assert (
        observer.set(
            atomically=True,
            action__low__x_ddot=2.0,
            action__high__x_ddot=3.0,
            action__safe__x_ddot=2.0,
        )
        == []
    )


def test_a_new_planner_is_made_while_the_old_one_controls(
    node, observer, states, statistics, newest, unhurried, wait_until, monkeypatch
):
    planner = node(allow_rebuild=True, **unhurried)
    planner.autostart()
    wait_until(lambda: statistics.status == FRESH)
    made = planner.ready
    ready = threading.Event()

    def slowly(values, before):
        assert ready.wait(60.0)
        return make_planner(values, before=before)._replace(iteration_time=0.0)

    monkeypatch.setattr(planner_swap, "make_planner", slowly)
    changes = {"iterations": 3, "horizon": 10, "dt": 0.2, "samples": 48}
    changes = {f"planner__{name}": value for name, value in changes.items()}
    assert observer.set(atomically=True, **changes) == []
    # The old planner controls meanwhile, and can be tuned.
    count = len(statistics.messages)
    wait_until(lambda: len(statistics.messages) > count + 5)
    assert planner.ready is made
    assert "a new planner is being made" in newest()["message"]
    assert observer.set(goal__weight__y=3.0) == []
    wait_until(lambda: float(made.planner.costs[0].weight[1, 0]) == 3.0)
    ready.set()
    wait_until(lambda: planner.ready is not made)
    wait_until(lambda: statistics.values("iterations")[-1] == 3)
    planner_now = planner.ready.planner
    search = planner_now.search
    assert (search.iterations, search.horizon, search.dt, search.samples) == (3, 10, 0.2, 48)
    assert float(planner_now.costs[0].weight[1, 0]) == 3.0
    # Live values still reach the new planner.
    assert observer.set(goal__weight__x=4.0) == []
    wait_until(lambda: float(planner.ready.planner.costs[0].weight[0, 0]) == 4.0)


def test_a_rebuild_that_cannot_be_leaves_the_old_planner(
    node, observer, states, statistics, newest, unhurried, wait_until
):
    planner = node(allow_rebuild=True, **unhurried)
    planner.autostart()
    wait_until(lambda: statistics.status == FRESH)
    made = planner.ready
    assert observer.set(planner__elites=100) == []  # of 64 samples
    wait_until(lambda: "planner.elites" in newest()["message"])
    assert planner.ready is made
    wait_until(lambda: statistics.status == FRESH)
    assert observer.set(planner__samples=256) == []
    wait_until(lambda: planner.ready is not made)
    assert planner.ready.planner.search.elites == 100


def test_a_planner_that_was_superseded_while_it_was_made_never_controls(
    node, observer, states, statistics, unhurried, monkeypatch, wait_until
):
    planner = node(allow_rebuild=True, **unhurried)
    planner.autostart()
    wait_until(lambda: statistics.status == FRESH)
    first, ready, asked = planner.ready, threading.Event(), []

    def slowly(values, before):
        asked.append((values["planner.samples"], before is first))
        assert ready.wait(60.0)
        # However busy the machine is, it is not too slow to control.
        return make_planner(values, before=before)._replace(iteration_time=0.0)

    monkeypatch.setattr(planner_swap, "make_planner", slowly)
    assert observer.set(planner__samples=48) == []
    wait_until(lambda: asked)
    assert observer.set(planner__samples=96) == []
    ready.set()
    wait_until(lambda: planner.ready is not first)
    assert planner.ready.planner.search.samples == 96
    # The first one still controlled when the second was begun.
    assert asked == [(48, True), (96, True)]


def test_a_new_planner_that_is_too_slow_leaves_the_old_one(
    node, observer, states, statistics, newest, monkeypatch, wait_until
):
    # At two commands a second the old planner is fast enough on any machine.
    planner = node(allow_rebuild=True, control_rate=2.0)
    planner.autostart()
    wait_until(lambda: statistics.status == FRESH)
    made = planner.ready

    def slow(values, before):
        return make_planner(values, before=before)._replace(iteration_time=5.0)

    monkeypatch.setattr(planner_swap, "make_planner", slow)
    assert observer.set(planner__samples=48) == []
    wait_until(lambda: "one iteration takes 5000 ms" in newest()["message"])
    assert planner.ready is made
    wait_until(lambda: statistics.status == FRESH)

    def quick(values, before):
        return make_planner(values, before=before)._replace(iteration_time=0.0)

    monkeypatch.setattr(planner_swap, "make_planner", quick)
    assert observer.set(planner__samples=96) == []
    wait_until(lambda: planner.ready is not made)


def test_without_allow_rebuild_shapes_do_not_change_while_it_controls(node, observer, states):
    node().autostart()
    (refusal,) = observer.set(planner__samples=128)
    assert "allow_rebuild" in refusal
    assert observer.set(atomically=True, planner__samples=128, allow_rebuild=True) == []


@pytest.mark.parametrize("allowed", [True, False])
def test_a_device_that_fails_is_replaced_by_the_cpu_if_that_is_allowed(
    node, observer, states, statistics, commands, newest, wait_until, allowed
):
    planner = node(allow_cpu_fallback=allowed)
    planner.autostart()
    wait_until(lambda: statistics.status == FRESH)

    def fail(*arguments):
        raise torch.cuda.OutOfMemoryError("CUDA out of memory")

    made = planner.ready
    made.planner.execution.run = fail
    wait_until(lambda: statistics.cause == DEVICE_FAILED)
    if allowed:
        wait_until(lambda: planner.ready is not made and statistics.status == FRESH)
        assert planner.ready.planner.search.samples < made.planner.search.samples
        assert observer.get("planner.device") == "cpu"
        assert observer.get("planner.samples") == planner.ready.planner.search.samples
    else:
        wait_until(lambda: statistics.status == STOPPED)
        assert only_safe(commands, wait_until)
        # On a busy machine another cause may be the last one for a period.
        wait_until(
            lambda: (
                "out of memory" in (values := newest())["message"] and values["level"] == b"\x02"
            )
        )
        # The value acts live, also after the device has failed.
        assert observer.set(allow_cpu_fallback=True) == []
        wait_until(lambda: planner.ready is not made and statistics.status == FRESH)


def test_values_dumped_and_loaded_again_are_the_same(
    node, observer, states, statistics, write_yaml, wait_until
):
    planner = node()
    planner.autostart()
    assert observer.set(goal__target__x=-0.25, fallback="keep_last", action__rate__y_ddot=2.0) == []
    values = {name: observer.get(name) for name in observer.parameters()}
    # What `ros2 param dump` writes: every parameter, strings in quotes.
    dump = {k: f"'{v}'" if isinstance(v, str) else v for k, v in values.items()}
    again = configure(load_yaml(write_yaml(dump)))
    assert again.values == {name: values[name] for name in again.values}


def test_another_commander_is_warned_of(node, observer, states, newest, wait_until):
    node().autostart()
    observer.node.create_publisher(Float64MultiArray, "command", 1)
    wait_until(lambda: "others publish on the command topic '/command' too" in newest()["message"])


def test_the_predicted_states_are_published(node, observer, states, wait_until):
    plans = observer.listen(Float64MultiArray, "/cem_planner/plan")
    node().autostart()
    wait_until(lambda: plans)
    message = plans[-1][1]
    steps, columns = (dimension.size for dimension in message.layout.dim)
    names = message.layout.dim[1].label.split(",")
    assert (steps, names[0], names[-1]) == (21, "time", "y_ddot")
    assert len(message.data) == steps * columns
    rows = [message.data[columns * k : columns * (k + 1)] for k in range(steps)]
    assert rows[0][0] == 0.0
    assert rows[-1][names.index("x")] > rows[0][names.index("x")]


def test_ten_thousand_random_changes_leave_finite_commands_within_limits(
    node, observer, states, statistics, commands, wait_until
):
    """Through the parameters' own callbacks, in this process: over DDS it would take minutes."""
    import random

    from rclpy.parameter import Parameter

    planner = node()
    planner.autostart()
    wait_until(lambda: statistics.status == FRESH)
    rng = random.Random(0)
    names = list(planner.ready.configuration.parameters)
    kinds = {name: planner.get_parameter(name).value for name in names}
    accepted = 0
    for _ in range(10_000):
        name = rng.choice(names)
        value = kinds[name]
        if isinstance(value, float):
            # Bounds of the action are tuned too, and have to stay within those judged below.
            large = rng.uniform(-2.0, 2.0) if name.startswith("action.") else rng.expovariate(1.0)
            value = rng.choice([rng.uniform(-2.0, 2.0), large, math.nan, math.inf])
        elif isinstance(value, bool):
            value = rng.random() < 0.5
        elif isinstance(value, int):
            value = rng.randint(-2, 100)
        if name.startswith(("realtime", "planner.device", "allow_rebuild", "frame_id")):
            continue
        accepted += planner.set_parameters([Parameter(name, value=value)])[0].successful
    assert accepted > 500
    assert observer.lifecycle() == "active"
    assert all(
        math.isfinite(value) and abs(value) <= 2.0
        for _, message in commands
        for value in message.data
    )
    for name, value in kinds.items():
        if planner.ready.configuration.parameters[name].when == LIVE:
            planner.set_parameters([Parameter(name, value=value)])
    wait_until(lambda: statistics.status == FRESH)
