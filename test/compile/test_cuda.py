# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The CUDA kernel, as C++ where there is no GPU; the search on a GPU where there is one."""

import itertools

import numpy as np
import pytest
import torch
from emulated_gpu import EmulatedGpu

from cem_planner_ros.compile import cuda
from cem_planner_ros.compile.cuda import CudaRollout
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.paths import share
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")


@pytest.mark.parametrize(
    ("model", "most_constants"),
    [
        ("cartpole", 999),
        ("cartpole", 1),
        ("diff_drive", 1),
        ("quadrotor", 999),
        ("single_track", 1),
    ],
)
def test_the_kernel_agrees_with_pytorch(model, most_constants, monkeypatch):
    monkeypatch.setattr(cuda, "MOST_CONSTANTS", most_constants)
    configuration = configure(
        {
            "planner.device": "cpu",
            "dynamics.plugin": model,
            "costs": ["running"],
            "state.type": "std_msgs/msg/Float64MultiArray",
        }
    )
    cost = configuration.costs["running"]
    for name in cost.numbers:
        cost.set(name, 0.7)
    rollout = Rollout(configuration.dynamics, [cost], 0.05)
    kernel = CudaRollout(rollout, EmulatedGpu())
    nx, nu = len(configuration.dynamics.state_names), len(configuration.dynamics.action_names)
    for samples in (1, 32, 101):
        given = (torch.randn(nx), torch.randn(9, nu, samples), torch.randn(nu), torch.rand(9) * 0.1)
        given += (Actuators(0.1 * torch.arange(nu), torch.randn(nu)),)
        torch.testing.assert_close(kernel(*given), rollout(*given), rtol=1e-3, atol=1e-3)
    configuration.dynamics.set(configuration.dynamics.numbers[0], 1.3) if (
        configuration.dynamics.numbers
    ) else cost.set(cost.numbers[0], 1.3)
    torch.testing.assert_close(kernel(*given), rollout(*given), rtol=1e-3, atol=1e-3)
    actions, durations = np.random.default_rng(0).normal(size=(9, nu, 5)), np.full(9, 0.05)
    durations[1:3] = 0.0, -0.01  # The way from a state to the present can be of no time.
    for some in (actions, actions[..., 0], actions[:1, :, 0]):
        ways = (np.ones(nx), some, durations[: len(some)])
        np.testing.assert_allclose(kernel.predict(*ways), rollout.predict(*ways), 1e-3, 1e-3)


def test_a_cuda_graph_on_the_cpu_is_the_kernel_with_a_reason(cartpole):
    model, costs = cartpole
    planner = Planner(model, costs, backend="cudagraph", samples=64, elites=8)
    assert planner.execution.name == "kernel"
    assert planner.execution.reason == "no CUDA graph: the device is a CPU"


@needs_gpu
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"modes": 2, "decay": 1.3},
        {"knot_spacing": 4, "order": 3},
        {"weighting": "softmax", "temperature": 5.0, "control_cost": 0.25},
        {"rate": [20.0], "low": [-3.0], "high": [4.0], "momentum": 0.3},
    ],
)
def test_a_captured_search_is_repeatable_and_as_good_as_the_eager_one(options):
    plans, costs_found = [], []
    for backend in ("cudagraph", "eager", "cudagraph"):
        model, costs = swing_up("cuda")
        planner = Planner(
            model, costs, samples=512, elites=32, backend=backend, device="cuda", **options
        )
        assert planner.execution.name == backend
        assert planner.execution.reason == ""
        found = [planner.plan(np.ones(4), 0.02 * k) for k in range(10)]
        plans.append([plan.actions for plan in found])
        costs_found.append(np.mean([plan.cost for plan in found[5:]]))
    np.testing.assert_array_equal(plans[0], plans[2])
    # They draw other noise.
    assert costs_found[0] == pytest.approx(costs_found[1], rel=0.1)


@needs_gpu
def test_numbers_tuned_later_count_in_a_captured_search():
    model, costs = swing_up("cuda")
    planner = Planner(model, costs, samples=512, elites=32, device="cuda")
    before = planner.plan(np.ones(4), 0.0).actions
    planner.reset()
    model.set("gravity", 1.0)
    assert not np.array_equal(planner.plan(np.ones(4), 0.0).actions, before)


PATH = ReferencePath.through(np.array([[0.0, 0.0], [5.0, 0.0]]))
BOX = np.zeros((200, 200), np.int8)
BOX[95:110, 115:125] = 100
SURROUNDINGS = (
    Surroundings(Pose(5.0, 0.0, 0.0), PATH),
    Surroundings(Pose(1.0, 1.0, 0.5), PATH, Costmap(BOX, 0.025, Pose(-2.5, -2.5, 0.0), 0.0)),
    Surroundings(goal=Pose(-1.0, 0.0, 0.0)),
)


@needs_gpu
def test_a_captured_search_sees_the_surroundings_of_each_plan_and_keeps_the_rates():
    changes = {"planner.device": "cuda", "action.rate.v": 0.5}
    planner = configure(load_yaml(share("config") / "drive.yaml") | changes).planner()
    assert (planner.execution.name, planner.execution.reason) == ("cudagraph", "")
    seen = []
    for known in SURROUNDINGS:
        planner.reset()
        plan = planner.plan(np.full(5, 0.1), 0.0, np.zeros(2), surroundings=known)
        knots = planner.execution.candidates
        assert (knots.diff(dim=0)[:, 0].abs() <= 0.5 * planner.search.dt + 1e-5).all()
        seen.append(np.sort(planner.candidates(64).costs))
        ways = (np.full(5, 0.1), plan.actions, np.diff(plan.edges))
        expected = planner.rollout.predict(*ways, "cuda")
        np.testing.assert_allclose(planner.execution.trajectory(*ways), expected, 1e-3, 1e-3)
    for one, other in itertools.combinations(seen, 2):
        assert not np.allclose(one, other, rtol=0.01)


def swing_up(device):
    from cem_planner_ros.costs.quadratic import Quadratic

    model = CartPole(device=device)
    return model, [Quadratic(model, {"weight": {"x": 1.0, "theta": 5.0}}, device=device)]
