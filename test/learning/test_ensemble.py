# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from cem_planner_ros.compile.cpu import Kernel
from cem_planner_ros.configuration import configure
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.ensemble import Ensemble
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning.particles import Particles
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import Rollout

SHIFTS = [[0.1, 0.0], [0.2, 0.0], [0.6, 0.0]]
"""How far each member moves theta in a step."""


class Reached(Cost):
    """Theta at the end of the horizon, and the torque on the way."""

    def stage(self, state, action, previous_action, time):
        return action[0]

    def terminal(self, state):
        return state[0]


def cost(file, samples=4, **particles):
    """The costs of `samples` candidates over three steps; candidate n has the torque n."""
    model = Ensemble({"file": str(file)})
    rollout = Rollout(model, [Reached(model)], 0.1, Particles(**particles))
    sequence = torch.arange(float(samples)).expand(3, 1, samples)
    return rollout(torch.zeros(2), sequence, torch.zeros(1), torch.full((3,), 0.1)).numpy()


class Ends(Cost):
    """Theta at the end of the horizon."""

    def terminal(self, state):
        return state[0]


OVER_THREE_STEPS = np.array([0.3, 0.6, 1.8])
RISKS = {
    "mean": ({}, OVER_THREE_STEPS.mean()),
    "worst": ({}, 1.8),
    "cvar": ({"cvar_alpha": 0.5}, (0.6 + 1.8) / 2),
    "mean_std": ({"std_factor": 2.0}, OVER_THREE_STEPS.mean() + 2.0 * OVER_THREE_STEPS.std()),
}


@pytest.mark.parametrize("risk", RISKS)
def test_the_cost_of_the_whole_horizon_is_made_of_those_under_all_members(ensemble_file, risk):
    options, expected = RISKS[risk]
    got = cost(ensemble_file(SHIFTS), risk=risk, **options)
    np.testing.assert_allclose(got, expected + 3.0 * np.arange(4), rtol=1e-5)


def test_a_candidate_can_have_particles_that_stay_with_their_members(ensemble_file):
    file = ensemble_file(SHIFTS)
    one = cost(file, samples=30, propagation="ts_inf", count=1) - 3.0 * np.arange(30)
    found, counts = np.unique(one.round(3), return_counts=True)
    np.testing.assert_allclose(found, OVER_THREE_STEPS, atol=1e-3)
    assert (counts == 10).all()
    # Evenly spread over the members, so nobody has luck.
    for risk, (options, expected) in RISKS.items():
        got = cost(file, propagation="ts_inf", count=3, risk=risk, **options)
        np.testing.assert_allclose(got, expected + 3.0 * np.arange(4), rtol=1e-5)


def test_a_candidate_can_have_particles_with_another_member_in_each_step(ensemble_file):
    file = ensemble_file(SHIFTS)
    mean = cost(file, propagation="ts_1", count=6)
    np.testing.assert_allclose(mean, 0.9 + 3.0 * np.arange(4), rtol=1e-5)
    drift = cost(file, samples=300, propagation="ts_1", count=1) - 3.0 * np.arange(300)
    # Sums of three shifts, most of them of different members.
    assert len(np.unique(drift.round(2))) > 5
    again = cost(file, samples=300, propagation="ts_1", count=1) - 3.0 * np.arange(300)
    np.testing.assert_array_equal(drift, again)


@pytest.mark.parametrize("propagation", ["all", "ts_inf", "ts_1"])
def test_a_plan_does_not_seek_luck_with_the_members(random_ensemble, propagation):
    """One member of five says that torque pays, and is wrong by what the four others say."""
    file = random_ensemble(5, [])
    gains = torch.tensor([-3.0, 0.9, 0.9, 0.9, 0.9])
    layers = load_file(file)
    for name in ("layer0.weight", "layer0.bias"):
        layers[name].zero_()
    layers["layer0.weight"][:, 0, 3] = gains
    save_file(layers, file)
    model = Ensemble({"file": str(file)})
    planner = Planner(
        *(model, [Ends(model)]),
        **{"samples": 200, "elites": 20, "horizon": 5, "dt": 0.1, "backend": "eager"},
        propagation=propagation,
    )
    plan = planner.plan(np.zeros(2), 0.0)
    assert plan.actions.sum() * gains.mean().item() < -1.5


@pytest.mark.parametrize("propagation", ["ts_inf", "ts_1"])
@pytest.mark.parametrize("samples", [1, 4])
def test_numbers_of_candidates_that_members_do_not_divide_are_fine(
    ensemble_file, propagation, samples
):
    file = ensemble_file(SHIFTS)
    for count in (1, 2, 20):
        given = {"samples": samples, "propagation": propagation, "count": count}
        assert cost(file, **given).shape == (samples,)


def test_a_tail_is_not_longer_for_rounding():
    assert Particles(risk="cvar", cvar_alpha=0.07).tail(100) == 7
    assert Particles(risk="cvar", cvar_alpha=0.4).tail(6) == 3


@pytest.mark.parametrize("risk", RISKS)
def test_a_candidate_that_is_invalid_under_one_member_is_invalid(ensemble_file, risk):
    assert not np.isfinite(cost(ensemble_file([*SHIFTS, [np.nan, 0.0]]), risk=risk)).any()


def test_the_planner_takes_an_ensemble(ensemble_file):
    model = Ensemble({"file": str(ensemble_file(SHIFTS))})
    planner = Planner(model, [Reached(model)], samples=32, elites=4, horizon=5, dt=0.1)
    plan = planner.plan(np.zeros(2), 0.0)
    assert np.isfinite(plan.cost)
    assert plan.actions.max() < 0.0  # The torque costs.
    # What is predicted is the mean of the members.
    np.testing.assert_allclose(planner.predict(plan, np.zeros(2))[:, 0], 0.3 * np.arange(6), 1e-4)


def test_a_step_that_is_shorter_takes_its_share(ensemble_file):
    model = Ensemble({"file": str(ensemble_file(SHIFTS))})
    moved = model.step(torch.zeros(2, 3), torch.zeros(1, 3), torch.tensor(0.05))
    np.testing.assert_allclose(moved[0], [0.05, 0.1, 0.3], rtol=1e-5)


def test_the_node_loads_a_model_by_its_path(ensemble_file):
    values = {
        "planner.device": "cpu",
        "dynamics.plugin": "ensemble",
        "dynamics.file": str(ensemble_file(SHIFTS)),
        "costs": ["running"],
        "running.weight.theta": 1.0,
        "planner.risk": "worst",
        "state.fields.theta": "position[hinge]",
        "state.fields.theta_dot": "velocity[hinge]",
    }
    configuration = configure(values)
    assert configuration.dynamics.state_names == ("theta", "theta_dot")
    assert configuration.planner().search.risk == "worst"


def test_a_file_that_is_no_model_is_refused(ensemble_file, tmp_path):
    with pytest.raises(ConfigurationError, match=r"'nothing.safetensors' does not exist"):
        Ensemble({"file": "nothing.safetensors"})
    file = ensemble_file(SHIFTS)
    text = file.with_suffix(".json").read_text()
    for changed, message in (
        (text.replace('"dt"', '"step"'), "does not say 'dt'"),
        (text.replace('["theta"]', "[]"), "4 inputs and 2 outputs, expected 3 and 2"),
        (text[:-5], "cannot be read"),
    ):
        file.with_suffix(".json").write_text(changed)
        with pytest.raises(ConfigurationError, match=message):
            Ensemble({"file": str(file)})
    file.write_bytes(b"no tensors")
    with pytest.raises(ConfigurationError, match="is no safetensors file"):
        Ensemble({"file": str(file)})


def test_small_networks_are_compiled_and_plan_as_in_pytorch(random_ensemble):
    model = Ensemble({"file": str(random_ensemble(3, [8, 8]))})
    assert Planner(model, [Reached(model)], samples=32, elites=4).execution.name == "kernel"
    kernel = Kernel(Rollout(model, [Reached(model)], 0.1, Particles(risk="worst")))
    rollout = Rollout(model, [Reached(model)], 0.1, Particles(risk="worst"))
    generator = torch.Generator().manual_seed(0)
    given = torch.ones(2), torch.randn(10, 1, 20, generator=generator), torch.zeros(1)
    given += (torch.full((10,), 0.1),)
    torch.testing.assert_close(kernel.rollout(*given), rollout(*given), rtol=1e-3, atol=1e-4)
    large = Ensemble({"file": str(random_ensemble(2, [64, 64]))})
    planner = Planner(large, [Reached(large)], samples=32, elites=4)
    assert planner.execution.name == "eager"
    assert "members" in planner.execution.reason


@pytest.mark.parametrize(("precision", "loss"), [("tf32", 1e-6), ("bfloat16", 0.02)])
def test_products_of_a_lower_precision_predict_nearly_the_same(random_ensemble, precision, loss):
    file = str(random_ensemble(3, [64, 64]))
    exact, coarse = (Ensemble({"file": file, "precision": kind}) for kind in ("float32", precision))
    state, action = torch.linspace(-2.0, 2.0, 60).view(2, 30), torch.ones(1, 30)
    moved, nearly = (model.step(state, action, torch.tensor(0.1)) for model in (exact, coarse))
    assert nearly.dtype == torch.float32
    change = (moved - state).abs().max()
    assert (nearly - moved).abs().max() < loss * change
    assert precision == "tf32" or not torch.equal(nearly, moved)


def test_threads_share_the_candidates_and_change_nothing(ensemble_file):
    file, costs = ensemble_file(SHIFTS), []
    for threads in (1, 2):
        model = Ensemble({"file": str(file)})
        model.member = None  # As large networks are, which are not compiled.
        planner = Planner(
            model, [Reached(model)], samples=65, elites=8, horizon=5, dt=0.1, threads=threads
        )
        assert planner.execution.name == "eager"
        planner.plan(np.zeros(2), 0.0)
        costs.append(planner.candidates(20).costs)
    np.testing.assert_allclose(*costs, rtol=1e-4)
