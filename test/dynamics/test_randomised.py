import numpy as np
import pytest
import torch

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.randomised import Randomised
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import share

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
