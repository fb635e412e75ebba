# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from cem_planner_ros.compile.cpu import Kernel
from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.randomised import Randomised
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import share
from cem_planner_ros.planning.particles import Particles
from cem_planner_ros.planning.rollout import Rollout

DT = torch.tensor(0.05)


def test_each_variant_has_numbers_of_its_own_and_the_first_those_of_the_model():
    model = CartPole()
    variants = Randomised(model, {"cart_mass": 0.5}, 3)
    state, action = torch.zeros(4, 6), torch.tensor([[5.0, -5.0]]).repeat(1, 3)
    moved = variants.step(state, action, DT)[1]
    alone = model.step(state[:, :2], action[:, :2], DT)[1]
    torch.testing.assert_close(moved[:2], alone)
    assert len(torch.unique(moved[::2])) == 3
    torch.testing.assert_close(moved[::2], -moved[1::2])


def test_what_is_tuned_changes_in_all_variants():
    model = CartPole()
    variants = Randomised(model, {"cart_mass": 0.5}, 3)
    action = torch.full((1, 3), 5.0)
    before = variants.step(torch.zeros(4, 3), action, DT)[1]
    model.set("cart_mass", 4.0)
    assert (variants.step(torch.zeros(4, 3), action, DT)[1] < 0.5 * before).all()


CARTPOLE = load_yaml(share("config") / "cartpole.yaml") | {
    "planner.device": "cpu",
    "planner.samples": 64,
    "planner.elites": 8,
    "planner.horizon": 5,
}


def test_the_planner_pays_for_the_worst_variant():
    plans = {}
    for risk in ("mean", "worst"):
        changes = {
            "randomisation.samples": 4,
            "randomisation.spread.pole_mass": 0.5,
            "planner.risk": risk,
        }
        planner = configure(CARTPOLE | changes).planner()
        plans[risk] = planner.plan(np.array([0.0, 0.0, 0.3, 0.0]), 0.0)
    assert np.isfinite(plans["mean"].cost)
    assert plans["worst"].cost > plans["mean"].cost


def test_members_of_members_are_refused(tmp_path):
    values = load_yaml(share("config") / "double_integrator.yaml") | {"planner.device": "cpu"}
    with pytest.raises(ConfigurationError, match=r"'randomisation.samples' is 2, allowed: 1"):
        configure(
            values
            | {"randomisation.samples": 2, "dynamics.plugin": "latent"}
            | {"dynamics.file": "pendulum_latent.safetensors"}
        )


@pytest.mark.parametrize("risk", ["mean", "worst", "cvar", "mean_std"])
def test_the_kernel_does_with_variants_what_pytorch_does(risk):
    model = CartPole()
    cost = Quadratic(model, {"weight": {"x": 1.0, "theta": 3.0}})
    variants = Randomised(model, {"cart_mass": 0.5, "gravity": 0.3}, 5)
    rollout = Rollout(variants, [cost], 0.05, Particles(risk=risk))
    kernel = Kernel(rollout)
    given = (torch.randn(4), torch.randn(9, 1, 100), torch.randn(1), torch.rand(9) * 0.1)
    torch.testing.assert_close(kernel.rollout(*given), rollout(*given), rtol=1e-3, atol=1e-3)
    model.set("gravity", 3.0)
    torch.testing.assert_close(kernel.rollout(*given), rollout(*given), rtol=1e-3, atol=1e-3)


def test_a_candidate_that_fails_under_one_variant_is_invalid_in_the_kernel_too():
    model = CartPole()

    class Sensitive(Quadratic):
        def terminal(self, state):
            return torch.log(state[1] - 0.3)

    variants = Randomised(model, {"cart_mass": 0.9}, 4)
    rollout = Rollout(variants, [Sensitive(model)], 0.05, Particles(risk="worst"))
    given = (torch.zeros(4), torch.rand(5, 1, 64) * 3.0, torch.zeros(1), torch.full((5,), 0.05))
    valid = torch.isfinite(rollout(*given))
    assert 0 < valid.sum() < 64
    assert torch.equal(torch.isfinite(Kernel(rollout).rollout(*given)), valid)
