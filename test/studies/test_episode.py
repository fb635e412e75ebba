# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Episodes: disturbances, plants, and what is measured."""

import numpy as np
import pytest

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.studies import courses, scenario
from cem_planner_ros.studies.disturbed_plant import DisturbedPlant, Push
from cem_planner_ros.studies.episode import episode, reported
from cem_planner_ros.studies.objectives import excess, knee, mean

pytestmark = pytest.mark.timeout(600)  # The first episode compiles, maybe on a busy machine.


class Recorder:
    """A plant that keeps what it was asked to do."""

    def __init__(self):
        self.steps = []

    def state(self):
        return np.zeros(2)

    def step(self, action, duration):
        self.steps.append((round(float(action[0]), 9), round(duration, 9)))


def disturbed(plant, delay=0.0, process=0.0, state=0.0, pushes=()):
    return DisturbedPlant(
        plant.state,
        plant.step,
        np.zeros(1),
        np.random.default_rng(0),
        delay,
        np.array([process]),
        np.full(2, state),
        pushes,
    )


def test_a_command_acts_after_the_delay():
    plant = Recorder()
    late = disturbed(plant, delay=0.15)
    for action in (1.0, 2.0, 3.0):
        late.step(np.array([action]), 0.1)
    assert plant.steps == [(0.0, 0.1), (0.0, 0.05), (1.0, 0.05), (1.0, 0.05), (2.0, 0.05)]


def test_a_push_is_added_for_its_time():
    plant = Recorder()
    pushed = disturbed(plant, pushes=[Push(0.1, 0.2, np.array([5.0]))])
    for _ in range(4):
        pushed.step(np.array([1.0]), 0.1)
    assert [action for action, _ in plant.steps] == [1.0, 6.0, 6.0, 1.0]


def test_noise_is_on_the_action_and_on_what_is_measured():
    plant = Recorder()
    noisy = disturbed(plant, process=0.5, state=0.1)
    noisy.step(np.zeros(1), 0.1)
    assert plant.steps[0][0] != 0.0
    assert np.abs(noisy.measured()).min() > 0.0


@pytest.fixture
def small(write):
    """Return values and file of a small configuration."""
    file = write().with_name("small.yaml")
    return load_yaml(file), str(file)


def run(small, seed=0, changes=None, with_curves=False, **given):
    values, file = small
    (one,) = scenario.read({"plant": "model", "duration": 0.5, **given}, configure(values, file))
    return episode({**values, **(changes or {})}, values, file, one, seed, with_curves)


def without_times(found):
    return {name: value for name, value in found.items() if name not in ("plan_time", "wall_s")}


def test_an_episode_depends_on_nothing_before_it(small):
    first = run(small, start={"x": 1.0})
    for changes in ({"planner.samples": 20}, {"running.weight.x": 3.0}, {"planner.horizon": 4}):
        assert without_times(run(small, changes=changes, start={"x": 1.0})) != without_times(first)
    assert without_times(run(small, start={"x": 1.0})) == without_times(first)


def test_a_planner_that_is_used_again_plans_as_a_new_one(small):
    """Live values change in the planner that is there, as in an active node."""
    changes = {
        "running.weight.x": 3.0,
        "planner.std_initial": 0.3,
        "planner.keep": 0.9,
        "action.high.x_ddot": 0.7,
        "action.lag.x_ddot": 0.1,
    }
    run(small, start={"x": 1.0})
    again = run(small, changes=changes, start={"x": 1.0})
    assert without_times(again) != without_times(run(small, start={"x": 1.0}))
    run(small, changes={"planner.dt": 0.05}, start={"x": 1.0})  # The planner is another one.
    new = run(small, changes=changes, start={"x": 1.0})
    assert without_times(new) == without_times(again)


def test_the_seed_draws_start_and_noise(small):
    starts = [
        run(small, seed, with_curves=True, start={"x": [0.5, 1.5]})["curves"]["states"][0][0]
        for seed in (0, 0, 1)
    ]
    assert starts[0] == starts[1] != starts[2]
    assert all(0.5 <= start <= 1.5 for start in starts)
    noisy = [run(small, seed, start={"x": 1.0}, process_noise=0.2)["cost"] for seed in (0, 1)]
    assert noisy[0] != noisy[1]


def test_the_costs_of_today_judge(small):
    # A trial cannot make its episode cheap by small weights.
    one = run(small, start={"x": 1.0}, changes={"planner.samples": 16})
    scaled = {
        f"running.weight.{name}": 0.5 * w
        for name, w in (("x", 1.0), ("y", 1.0), ("x_dot", 0.1), ("y_dot", 0.1))
    }
    assert run(small, start={"x": 1.0}, changes=scaled)["cost"] == pytest.approx(one["cost"])


def test_the_time_to_a_goal_counts_from_when_it_is_kept(small):
    near = {"goal": {"x": 0.0}, "tolerance": {"x": 5.0}}
    assert run(small, start={"x": 1.0}, **near)["time_to_goal"] == 0.0
    far = {"goal": {"x": 9.0}, "tolerance": {"x": 0.1}}
    assert run(small, start={"x": 1.0}, **far)["time_to_goal"] == 1.0  # Twice the duration.


def test_pushes_and_delays_change_what_happens(small):
    plain = run(small, start={"x": 1.0})
    push = [{"at": 0.1, "duration": 0.2, "action": {"x_ddot": 3.0}}]
    assert run(small, start={"x": 1.0}, pushes=push)["cost"] != plain["cost"]
    assert run(small, start={"x": 1.0}, delay=0.1)["cost"] != plain["cost"]


def test_what_is_reported_is_what_episodes_measure(small):
    values, file = small
    base = configure(values, file)
    for given in ({}, {"goal": {"x": 0.0}, "tolerance": {"x": 0.1}}):
        (one,) = scenario.read({"plant": "model", "duration": 0.3, **given}, base)
        assert reported(one, base) == set(episode(values, values, file, one, 0)) - {"wall_s"}


def test_the_clearance_is_that_of_the_outline():
    pytest.importorskip("mujoco")
    from cem_planner_ros.navigation.footprint import Footprint

    square = Footprint.of("0.2 0.2 0.2 -0.2 -0.2 -0.2 -0.2 0.2", 0.0, 8)
    course = courses.WorldCourse("straight", 0, 0.1, square)
    assert course.clearance(np.zeros((1, 5))) == float("inf")
    course = courses.WorldCourse("clutter", 0, 0.1, square)
    start = course.state()[None]
    turned = start + [0.0, 0.0, np.pi / 4, 0.0, 0.0]
    assert 0.0 < course.clearance(start) < 10.0
    assert course.clearance(start) != course.clearance(turned)


def test_objectives_are_means_and_limits_hold_in_each_episode():
    episodes = [{"cost": 1.0, "clearance": 0.3}, {"cost": 3.0, "clearance": 0.1}, {"cost": 2.0}]
    assert mean(episodes, "cost") == 2.0
    assert mean(episodes, "clearance") == pytest.approx(0.2)
    assert excess(episodes, "cost", 2.5) == pytest.approx(0.5)
    assert excess(episodes, "clearance", 0.2) == pytest.approx(0.1)


def test_the_knee_is_where_no_objective_is_bad():
    assert knee(np.array([[0.0, 100.0], [0.2, 10.0], [1.0, 0.0]])) == 1
    assert knee(np.array([[1.0, 2.0]])) == 0
