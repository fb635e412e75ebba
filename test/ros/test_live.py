# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Every parameter that is declared live acts live: it is changed while something runs, and seen."""

import dataclasses
import itertools
import operator
import types
from pathlib import Path

import numpy as np
import pytest
from std_msgs.msg import Float64MultiArray
from visualization_msgs.msg import MarkerArray

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.configuration.driving_table import DRIVING
from cem_planner_ros.configuration.table import TABLE
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.tick import StateSample
from cem_planner_ros.dynamics.diff_drive import DiffDriveLag
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.plugins import loading
from cem_planner_ros.plugins.parameter import LIVE

CONFIG = Path(__file__).parents[2] / "config"
POINT = {
    "planner.device": "cpu",
    "planner.backend": "eager",
    "planner.samples": 32,
    "planner.elites": 4,
    "planner.iterations": 2,
    "planner.horizon": 8,
    "control_rate": 10.0,
    "max_state_age": 0.15,
    "max_plan_age": 0.25,
    "hold_time": 0.45,
    "action.safe.x_ddot": -0.5,
    "dynamics.plugin": "double_integrator",
    "state.type": "std_msgs/msg/Float64MultiArray",
    "costs": ["way"],
    "way.weight.x": 1.0,
}
ROBOT = load_yaml(CONFIG / "drive.yaml") | {
    "planner.device": "cpu",
    "planner.backend": "eager",
    "control_rate": 10.0,
    "obstacles.moving_obstacles": 1,
}

OF_THE_NODE = {
    "plan_rate",
    "marker_rate",
    "marker_count",
    "allow_rebuild",
    "publish_statistics",
}
"""Seen from outside in `test_a_node_does_what_its_live_parameters_say`."""

ELSEWHERE = {
    "allow_cpu_fallback",
    "command.frame_id",
    "command.max_lead",
    "drive.moving_obstacles_padding",
}
"""
Seen when the planning device fails, in stamped commands, in positions of command.integrate and in
what a costmap becomes: they have tests of their own.
"""


OF_THE_SEARCH = ("planner.", "action.nominal.", "action.std.", "action.std_min.")


class Clock:
    def __init__(self):
        self.time = 100.0

    def __call__(self):
        return self.time


class ScriptedPlanner:
    """Plans far up and far down in turn; each iteration takes 5 ms of the clock."""

    def __init__(self, configuration, clock, plans):
        self._clock, self._plans = clock, plans
        self.search = types.SimpleNamespace(dt=configuration.values["planner.dt"])
        self.told = None

    def predict(self, plan, state):
        moved = np.array(state, float)
        moved[: plan.actions.shape[1]] += np.diff(plan.edges) @ plan.actions
        return np.array([state, moved])

    def tune(self, **values):
        pass

    def reset(self):
        pass

    def plan(self, state, time, previous_action, applied, until, **_):
        self.told = (tuple(state), time, tuple(applied))
        done = 0
        while done == 0 or (done < 8 and self._clock.time < until):
            self._clock.time += 0.005
            done += 1
        action = np.array([next(self._plans)])
        return Plan(np.array([time, time + 1.0]), action, 1.0, done, 0.0)


def run(configuration, changes, plans, script, surroundings=None):
    """
    Return what the loop of a configuration does in each period, with live values changed before
    the fifth.

    `script` makes of a time since the start the state and its age, s.
    """
    clock = Clock()
    planner = ScriptedPlanner(configuration, clock, itertools.cycle(plans))
    sent = []

    def look():
        state, age = script(clock.time - 100.0)
        return StateSample(np.array(state), clock.time - age)

    loop = ControlLoop(
        planner,
        configuration,
        look,
        lambda action: sent.append((round(clock.time, 6), tuple(action))),
        clock=clock,
        steady=clock,
    )
    record = []
    for period in range(45):
        if period == 5:
            loop.change(configuration.changed(changes))
        clock.time = max(clock.time, loop.commander.due)
        if surroundings is not None:
            loop.commander.surroundings = surroundings(clock.time)
        tick = loop.tick(clock.time)
        iterations = tick.plan.iterations if tick.plan else 0
        record.append(repr((tick.status, tick.cause, iterations, sent[-1], planner.told)))
    return record


def others(parameter, value):
    """Yield values that a parameter may have instead."""
    if parameter.choices:
        yield from parameter.choices
    elif isinstance(value, bool):
        yield not value
    else:
        value = 0.0 if isinstance(value, str) else value  # One of the words of a number.
        for other in (value / 4, value * 4, value + 0.05, value + 0.5, -value, value + 1):
            yield type(value)(other)
        if parameter.high is not None:
            yield type(value)(parameter.high)


def acts(configuration, name, look):
    """Return whether another value of a parameter changes something that `look` yields."""
    before = list(look({}))
    for other in others(configuration.parameters[name], configuration.values[name]):
        try:
            if other != configuration.values[name] and any(
                map(operator.ne, look({name: other}), before)
            ):
                return True
        except ConfigurationError:  # Not every other value is allowed.
            continue
    return False


def states_that_age_and_cease(since):
    """A state that is fresh, then old, then missing, then there again."""
    age = 0.0 if since < 1.2 else 0.12 if since < 1.8 else since - 1.6 if since < 3.2 else 0.0
    return [0.1 * since, 0.0, 0.0, 0.0], age


def live(configuration, *beginnings):
    return [
        name
        for name, parameter in configuration.parameters.items()
        if parameter.when == LIVE and name.startswith(beginnings)
    ]


POINT_MADE = configure(POINT)
ROBOT_MADE = configure(ROBOT)
OF_THE_LOOP = [
    name
    for name in live(POINT_MADE, "")
    if not name.startswith((*OF_THE_SEARCH, "dynamics.", "way."))
    and name not in OF_THE_NODE | ELSEWHERE
]


@pytest.mark.parametrize("name", OF_THE_LOOP)
def test_the_loop_does_what_its_live_parameters_say(name):
    plans = [[2.0, 2.0], [-2.0, -2.0], [2.0, -2.0]]
    assert acts(
        POINT_MADE,
        name,
        lambda changes: run(POINT_MADE, changes, plans, states_that_age_and_cease),
    )


FAR = Pose(1.8, 0.0, 0.0)


def walker(time):
    """Somebody who walks far away."""
    return MovingObstacles(
        np.array([[50.0, 0.0]]), np.array([[0.0, 1.0]]), np.array([0.3]), time, time
    )


def around(wall, goal):
    def see(now):
        cells = np.zeros((80, 80), np.int8)
        cells[:, round((wall + 2.0) / 0.05) :] = 100
        cells[round((wall + 2.0) / 0.05) :, :] = 100
        # Where it is to drive to is told after the change.
        there = goal if now > 101.0 else FAR
        costmap = Costmap(cells, 0.05, Pose(-2.0, -2.0, 0.0), now - 0.3)
        return Surroundings(there, None, costmap, walker(now - 0.3))

    return see


SCENES = (
    # At the goal, nearly at rest; then towards a wall, turning, ever nearer.
    (lambda since: ([0.0, 0.0, 0.1, 0.05, 0.0], 0.0), around(1.5, Pose(0.05, 0.0, 0.0))),
    (lambda since: ([0.2 * since, 0.0, 0.3, 0.4, 0.8], 0.0), around(1.0, FAR)),
    (lambda since: ([0.0, 0.2 * since, 0.3, 0.0, 1.5], 0.0), around(0.6, FAR)),
)


PLANS, GENTLE = [[0.5, 1.5], [0.5, -1.5]], [[0.05, 0.1], [0.05, 0.09]]


@pytest.mark.parametrize("name", sorted(set(live(ROBOT_MADE, "drive.")) - ELSEWHERE))
def test_a_robot_drives_as_its_live_parameters_say(name):
    assert any(
        acts(
            ROBOT_MADE,
            name,
            lambda changes, scene=scene: run(
                ROBOT_MADE, changes, PLANS if scene is not SCENES[0] else GENTLE, *scene
            ),
        )
        for scene in SCENES
    )


@pytest.mark.parametrize("name", live(POINT_MADE, *OF_THE_SEARCH))
def test_the_search_does_what_its_live_parameters_say(name):
    def plan(values, changes):
        configuration = configure(values)
        planner = configuration.planner()
        made = []
        for index in range(4):
            if index == 1:
                configuration.changed(changes).tune(planner)
            if index == 3:
                planner.reset()
            made.append(planner.plan([1.0, 0.5, 0.0, 0.0], 0.1 * index).actions.tolist())
        return made

    bases = [POINT, POINT | {"planner.weighting": "softmax"}]
    assert any(
        acts(POINT_MADE, name, lambda changes, base=base: plan(base, changes)) for base in bases
    )


FROM_FILES = {"mujoco", "mujoco_warp", "exported", "ensemble", "latent", "serial_arm"}
"""Models whose parameters depend on a file; see the tests of each."""


def plugins():
    """Yield kind and name of each plugin of this package that needs no file."""
    for kind in ("dynamics", "costs"):
        for name, entries in loading.installed(kind).items():
            if entries[0].value.startswith("cem_planner_ros.") and name not in FROM_FILES:
                yield kind, name


class Bumper(DiffDriveLag):
    """A robot with an output."""

    output_names = ("bump",)

    def output(self, state):
        return 1.0 * state[:1]


BODY = {"dynamics.plugin": "mujoco", "dynamics.file": "quadruped.xml"}
# The target of a cost is for a constant reference, the age for one from a topic.
ROBOTS = {
    "contact": [{"dynamics.plugin": f"{__name__}:Bumper"}],
    "mean_velocity": [BODY, BODY | {"cost.topic": "wanted"}],
    "pose": [{"dynamics.plugin": "quadrotor"}],
    "track": [{}, {"cost.topic": "wanted", "cost.type": "std_msgs/msg/Float64MultiArray"}],
}
"""What costs need besides a plugin; each of their numbers acts in one of several."""


@pytest.mark.parametrize(("kind", "name"), plugins())
def test_plugins_do_what_their_live_parameters_say(kind, name):
    without = None
    for more in ROBOTS.get(name, [{}]):
        without = without_effect(kind, name, more, without)
    assert not without


def without_effect(kind, name, more, among=None):
    """Return the live parameters of a plugin, all if `among` is None, that change nothing."""
    values = {
        "planner.device": "cpu",
        "planner.backend": "eager",
        "planner.samples": 8,
        "planner.elites": 2,
        "planner.horizon": 8,
        "state.type": "std_msgs/msg/Float64MultiArray",
        "dynamics.plugin": "diff_drive_lag",
        "costs": ["cost"],
        "cost.plugin": "effort",
    } | {"dynamics.plugin" if kind == "dynamics" else "cost.plugin": name}
    first = configure(values | more)
    random = np.random.default_rng(0)
    numbers = live(first, "dynamics." if kind == "dynamics" else "cost.")
    # None is at a default that another one multiplies by zero.
    some = {}
    for number in numbers:
        usual = first.values[number]
        away = 0.2 + 0.2 * random.random()
        for value in (away if abs(usual) > 1e6 else usual + away, usual):
            try:
                first.changed({number: value})
            except ConfigurationError:
                continue
            some[number] = value
            break
    configuration = first.changed(some)
    planner = configuration.planner()
    edges = 0.1 * np.arange(9)
    low, high = np.array(configuration.action("low")), np.array(configuration.action("high"))
    nx = len(configuration.dynamics.state_names)
    plans = [Plan(edges, random.uniform(low, high, (8, len(low))), 0.0, 1, 0.0) for _ in range(10)]
    states = [scale * random.standard_normal(nx) for scale in (0.3, 0.3, 1, 1, 1, 1, 3, 3, 10, 10)]
    points = np.array([[0.0, 0.0], [1.0, 0.2], [3.0, 0.0], [3.0, 9.0]])
    way = ReferencePath.through(points, np.array([0.0, 0.2, 0.5, 3.0]))
    references = {
        name: Reference(source, np.array([-0.75]), np.ones((1, len(source.fields))))
        for name, source in configuration.reference_sources.items()
    }
    seen = dataclasses.replace(around(0.5, FAR)(102.0), path=way, references=references)
    wall = np.zeros((80, 80), np.int8)
    wall[round((1.3 + 2.0) / 0.05) :] = 100  # Beside the path, 1.1 m away.
    beside = dataclasses.replace(seen, costmap=dataclasses.replace(seen.costmap, cells=wall))

    def look(changes):
        configuration.changed(changes).tune(planner)
        for plan, state, surroundings in zip(plans, states, 5 * [seen, beside], strict=True):
            # Only for what the plugin prepares; the plan that is looked at is always the same.
            planner.plan(state, 0.0, surroundings=surroundings, iterations=1)
            yield repr((planner.predict(plan, state).tolist(), planner.breakdown(plan, state)))

    tried = numbers if among is None else among
    return [number for number in tried if not acts(configuration, number, look)]


def test_all_that_is_declared_live_is_tried():
    tried = {*OF_THE_LOOP, *OF_THE_NODE, *ELSEWHERE}
    tried |= {*live(ROBOT_MADE, "drive."), *live(POINT_MADE, "planner.")}
    declared = {p.name for p in (*TABLE, *DRIVING) if p.when == LIVE}
    assert declared <= tried


def test_a_node_does_what_its_live_parameters_say(node, observer, states, wait_until):
    silent = {"plan_rate": 0.0, "marker_rate": 0.0, "marker_count": 4, "publish_statistics": False}
    node(**silent)
    assert observer.transition("configure")
    assert observer.transition("activate")
    topics = {"statistics": Float64MultiArray, "plan": Float64MultiArray, "markers": MarkerArray}
    seen = {name: observer.listen(kind, f"/cem_planner/{name}") for name, kind in topics.items()}
    commands = observer.listen(Float64MultiArray, "command")
    wait_until(lambda: len(commands) > 20)
    assert not any(seen.values())
    for name, changes in (
        ("statistics", {"publish_statistics": True}),
        ("plan", {"plan_rate": 10.0}),
        ("markers", {"marker_rate": 10.0}),
    ):
        assert observer.set(**changes) == []
        wait_until(lambda name=name: seen[name])

    def points():
        count = len(seen["markers"])
        wait_until(lambda: len(seen["markers"]) > count + 1)
        return sum(len(marker.points) for marker in seen["markers"][-1][1].markers)

    few = points()
    assert observer.set(marker_count=20) == []
    assert points() > few
    for value in (1, 0.5, "middle"):  # A number of either type, or a word.
        assert observer.set(action__nominal__x_ddot=value) == []
    (reason,) = observer.set(action__nominal__x_ddot="keyframe:home")
    assert "a finite number" in reason
    assert "or middle, or measured" in reason
    (reason,) = observer.set(planner__samples=48)
    assert "allow_rebuild" in reason
    assert observer.set(allow_rebuild=True) == []
    assert observer.set(planner__samples=48) == []
