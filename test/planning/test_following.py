# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Plans that follow a reference: in every execution, and in closed loop."""

import numpy as np
import pytest
import torch
from emulated_gpu import EmulatedGpu

from cem_planner_ros.compile.cpp_execution import CppExecution
from cem_planner_ros.compile.cuda import CudaRollout
from cem_planner_ros.configuration import configure
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings
from cem_planner_ros.simulation.lockstep import Lockstep

pytestmark = pytest.mark.slow

FLIGHT = ["x", "y", "z", "x_dot", "qw", "qx", "qy", "qz"]
QUADROTOR = {
    "planner.device": "cpu",
    "planner.samples": 128,
    "planner.elites": 16,
    "planner.iterations": 2,
    "planner.horizon": 15,
    "planner.dt": 0.05,
    "dynamics.plugin": "quadrotor",
    "state.type": "std_msgs/msg/Float64MultiArray",
    "costs": ["follow", "hover"],
    "follow.plugin": "track",
    "follow.signals": FLIGHT,
    "follow.topic": "wanted",
    "follow.type": "trajectory_msgs/msg/MultiDOFJointTrajectory",
    "follow.terminal_weight": 3.0,
    "hover.plugin": "pose",
    "hover.target.z": 1.0,
    "hover.target.yaw": 0.5,
    "hover.weight": 0.1,
}
STATE = np.array([2.0, 1.0, 3.0, 0.1, 0.0, 0.2, -0.9, 0.1, 0.2, 0.1])


@pytest.fixture(scope="module")
def configuration():
    return configure(QUADROTOR)


@pytest.fixture(scope="module")
def planner(configuration):
    made = configuration.planner()
    assert isinstance(made.execution, CppExecution), made.execution.reason
    return made


def flight(configuration, begin=1.7e9):
    """A turning flight, of points that no step hits."""
    times = begin + np.linspace(-0.3, 2.0, 24)
    t = times - begin
    values = np.zeros((len(t), len(FLIGHT)))
    values[:, 0], values[:, 1], values[:, 2] = 2.0 + np.sin(t), np.cos(t), 3.0
    values[:, 3], values[:, 4], values[:, 7] = np.cos(t), np.cos(0.4 * t), np.sin(0.4 * t)
    source = configuration.costs["follow"].reference_source
    return Surroundings(references={"follow": Reference(source, times, values, True)})


def costs(planner, known):
    """What the kernel and PyTorch say that the same candidates cost."""
    planner.reset()
    planner.plan(STATE, 0.0, surroundings=known, stamp=1.7e9, iterations=1)
    plan = planner.plan(STATE, 0.02, surroundings=known, stamp=1.7e9 + 0.02, iterations=1)
    found = planner.candidates()
    state, sequence, durations = (
        torch.as_tensor(values, dtype=torch.float32)
        for values in (
            STATE - planner.dynamics.origin(STATE),
            found.actions,
            np.diff(plan.edges),
        )
    )
    before = torch.as_tensor(
        0.5 * (np.array(planner.dynamics.action_low) + planner.dynamics.action_high)
    )
    given = state, sequence, before.float(), durations
    return torch.from_numpy(found.costs), planner.rollout(*given), given


@pytest.mark.parametrize("name", ["a trajectory", "nothing yet"])
def test_the_kernels_see_the_reference_that_pytorch_does(planner, configuration, name):
    known = flight(configuration) if name == "a trajectory" else NOTHING
    got, expected, given = costs(planner, known)
    assert expected.std() > 0.0
    torch.testing.assert_close(got, expected.to(got), rtol=1e-3, atol=1e-3)
    on_gpu = CudaRollout(planner.rollout, EmulatedGpu())(*given)
    torch.testing.assert_close(on_gpu, expected, rtol=1e-3, atol=1e-3)


def test_another_reference_and_live_values_compile_nothing(planner, configuration):
    before, _, _ = costs(planner, flight(configuration))
    after, expected, _ = costs(planner, flight(configuration, begin=1.7e9 - 0.5))
    assert torch.isclose(after, before, rtol=1e-3).float().mean() < 0.1
    changes = {"follow.weight.x": 20.0, "hover.target.z": 3.0, "follow.terminal_weight": 0.0}
    configuration.changed(changes).tune(planner)
    try:
        got, expected, _ = costs(planner, flight(configuration))
        torch.testing.assert_close(got, expected.to(got), rtol=1e-3, atol=1e-3)
        assert torch.isclose(got, before, rtol=1e-3).float().mean() < 0.1
    finally:
        configuration.tune(planner)
    assert planner.execution.reason == ""


CART = {
    "planner.device": "cpu",
    "planner.samples": 128,
    "planner.elites": 16,
    "planner.iterations": 2,
    "planner.horizon": 25,
    "planner.dt": 0.04,
    "control_rate": 25.0,
    "dynamics.plugin": "cartpole",
    "state.type": "std_msgs/msg/Float64MultiArray",
    "costs": ["follow", "upright"],
    "follow.plugin": "track",
    "follow.signals": ["x"],
    "follow.topic": "wanted",
    "follow.type": "trajectory_msgs/msg/JointTrajectory",
    "follow.weight.x": 10.0,
    "upright.plugin": "quadratic",
    **{"upright.weight.theta": 2.0, "upright.weight.x_dot": 0.1, "upright.weight.theta_dot": 0.1},
}


def driven(values, reference_at, seconds=8.0):
    """The places of a balanced cart, one in each period, whose reference is set in each."""
    configuration = configure(values)
    planner = configuration.planner()
    state = np.zeros(4)

    def step(action, duration):
        nonlocal state
        state = planner.rollout.predict(state, action[None], np.array([duration]))[-1]

    loop = Lockstep(configuration, planner, lambda: state, step)
    source = configuration.costs["follow"].reference_source
    places = []
    while loop.time < seconds:
        loop.loop.commander.references = {"follow": reference_at(source, loop.time)}
        loop.period()
        places.append(state[0])
    return np.array(places)


def wanted(times):
    return 0.6 * np.sin(1.2 * times)


def test_a_trajectory_with_times_is_followed_better_than_its_set_points():
    times = np.arange(0.0, 12.0, 0.1)

    def whole(source, now):
        return Reference(source, times, wanted(times)[:, None], is_trajectory=True)

    def present(source, now):
        return Reference(source, np.array([now]), np.array([[wanted(now)]]))

    errors = []
    for reference_at in (whole, present):
        places = driven(CART, reference_at)
        after = 0.04 * np.arange(1, len(places) + 1)
        errors.append(np.sqrt(np.mean((places - wanted(after))[50:] ** 2)))
    assert errors[0] < 0.1
    assert errors[0] < 0.4 * errors[1]


def test_at_the_end_of_a_trajectory_its_last_point_is_held():
    def short(source, now):
        return Reference(source, np.array([0.0, 2.0]), np.array([[0.0], [0.7]]), True)

    assert np.abs(driven(CART, short)[-20:] - 0.7).max() < 0.1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"follow.topic": "no topic"}, "'follow.topic' is 'no topic', allowed: a ROS topic name"),
        ({"follow.type": "nav_msgs/msg/Paths"}, "'follow.type' is 'nav_msgs/msg/Paths'"),
        ({"follow.signals": ["slider"]}, "'follow.signals' has 'slider'"),
    ],
)
def test_a_reference_that_cannot_be_is_refused_when_it_is_configured(changes, reason):
    with pytest.raises(ConfigurationError, match=reason):
        configure(CART | changes)
