# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest
import torch

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.costs.actions import Effort
from cem_planner_ros.dynamics.latent import EvaluatedRollout, Latent
from cem_planner_ros.dynamics.pendulum import Pendulum
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import share
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.simulation.plants import ModelPlant


class Dummy:
    """A latent model with the interface of the usual notebook, and shapes to be checked."""

    def evaluate_rollout(self, h, s, actions):
        assert h.shape == (1, 200)
        assert s.shape == (1, 30)
        assert actions.shape[2] == 2
        return -((actions - 0.3) ** 2).sum(dim=(1, 2))


def test_any_model_with_evaluate_rollout_can_be_planned_with():
    model = EvaluatedRollout(Dummy(), 200, 30, [-1.0, -1.0], [1.0, 1.0])
    planner = Planner(*(model, [Effort(model)]), samples=1000, elites=100, iterations=5, horizon=10)
    h, s = np.random.default_rng(0).normal(size=200), np.zeros(30)
    plan = planner.plan(np.concatenate((h, s)), 0.0)
    np.testing.assert_allclose(plan.actions[0], 0.3, atol=0.1)
    assert plan.cost == pytest.approx(0.0, abs=0.2)


@pytest.fixture(scope="module")
def latent():
    return Latent({"file": "pendulum_latent.safetensors"})


def test_what_the_model_returns_is_a_part_of_a_plan_s_cost(latent):
    planner = Planner(latent, [Effort(latent)], samples=32, elites=4, horizon=5, dt=0.05)
    state = np.array([0.3])
    plan = planner.plan(state, 0.0)
    effort, from_model = planner.breakdown(plan, state)
    assert effort + from_model == pytest.approx(plan.cost, rel=1e-3)
    assert abs(from_model) > 0.01


def wrapped(angle):
    return np.remainder(angle + np.pi, 2 * np.pi) - np.pi


def test_the_shipped_model_knows_after_some_angles_how_fast_they_change(latent):
    """From five angles and torques it imagines half a second of the pendulum."""
    true = Pendulum({"integrator": "rk4"})
    random = np.random.default_rng(1)
    errors, still = [], []
    for _ in range(30):
        state = torch.tensor(random.uniform([-1.0, -2.0], [1.0, 2.0]), dtype=torch.float32)[:, None]
        torque = np.zeros(1)
        latent.begin_plan(np.zeros(1), torque, -100.0)  # Long ago: it begins anew.
        for tick in range(6):
            latent.begin_plan(state[0].numpy(), torque, 0.05 * tick)
            if tick < 5:
                torque = random.uniform(-3.0, 3.0, 1)
                held = torch.tensor(torque, dtype=torch.float32)[:, None]
                state = true.step(state, held, torch.tensor(0.05))
        sequence = torch.tensor(random.uniform(-3.0, 3.0, (10, 1, 1)), dtype=torch.float32)
        durations = torch.full((10,), 0.05)
        predicted = latent.rollout(state[:1], sequence, durations)[-1][0, 0]
        expected = true.rollout(state, sequence, durations)[-1][0, 0]
        errors.append(abs(wrapped(float(predicted - expected))))
        still.append(abs(wrapped(float(state[0, 0] - expected))))
    assert np.mean(errors) < 0.3
    assert np.mean(errors) < 0.3 * np.mean(still)


def balance(forget=False):
    """The angles of the pendulum under the node's loop and the shipped model."""
    file = share("config") / "pendulum_latent.yaml"
    configuration = configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))
    analytic = load_yaml(share("config") / "pendulum.yaml") | {"planner.device": "cpu"}
    plant = ModelPlant(configure(analytic), np.array([0.2, 0.0]))
    model = configuration.dynamics
    begin_plan = model.begin_plan
    if forget:
        model.begin_plan = lambda state, action, time: (
            begin_plan(state, action, time - 1e6),
            begin_plan(state, action, time),
        )
    run = Lockstep(configuration, configuration.planner(), lambda: plant.state()[:1], plant.step)
    angles = []
    while run.time < 4.0:
        run.period()
        angles.append(wrapped(plant.state()[0]))
    return np.abs(angles)


def test_the_shipped_model_balances_the_pendulum_by_its_angle_alone():
    """It knows the pendulum from observations alone, and what to want from its reward head."""
    assert balance()[-20:].max() < 0.2
    # Without what it remembers it does not know how fast the pendulum turns.
    assert balance(forget=True)[-20:].max() > 0.4


def test_memory_goes_on_in_steps_of_dt_and_ends_after_a_gap(latent):
    state, torque = np.array([0.4]), np.array([1.0])

    def memory(*times):
        for time in times:
            latent.begin_plan(state, torque, time)
        return latent.encode(torch.zeros(1, 1))[0].clone()

    empty = memory(100.0)
    assert not empty.any()
    one = memory(100.05)
    assert one.any()
    # Periods shorter than dt, or not quite even, come to the same.
    assert torch.equal(memory(200.0, 200.02, 200.04), empty)
    assert torch.equal(memory(200.048), one)
    torch.testing.assert_close(memory(300.0, 300.051), one)
    assert not torch.equal(memory(300.1), one)
    for begun_anew in (memory(299.0), memory(310.0)):
        assert torch.equal(begun_anew, empty)
    latent.reset()
    assert torch.equal(memory(310.05), empty)


def test_a_short_time_changes_the_state_by_its_share(latent):
    """The loop predicts over a few milliseconds: what is remembered then is that prediction."""
    true = Pendulum({"integrator": "rk4"})
    state = torch.tensor([[0.5], [2.0]])
    latent.begin_plan(np.zeros(1), np.zeros(1), -100.0)
    for tick in range(8):
        latent.begin_plan(state[:1, 0].numpy(), np.zeros(1), 0.05 * tick)
        if tick < 7:
            state = true.step(state, torch.zeros(1, 1), torch.tensor(0.05))
    for duration in (0.0, 0.005, 0.025, 0.05):
        given = torch.zeros(1, 1), torch.tensor(duration)
        moved = float(latent.step(state[:1], *given) - state[0])
        expected = float(true.step(state, *given)[0] - state[0])
        assert moved == pytest.approx(expected, abs=1e-6 + 0.5 * duration)
    # Steps of different lengths: a first one that is short, as in a plan.
    durations = torch.tensor([0.02, 0.05, 0.05])
    end = latent.rollout(state[:1], torch.zeros(3, 1, 1), durations)[-1][0]
    expected = true.rollout(state, torch.zeros(3, 1, 1), durations)[-1][0]
    assert abs(wrapped(float(end - expected))) < 0.1


def test_a_model_step_other_than_the_models_is_refused():
    file = share("config") / "pendulum_latent.yaml"
    values = load_yaml(file) | {"planner.device": "cpu", "planner.dt": 0.02}
    text = r"'planner.dt' is 0.02, allowed with .*pendulum_latent.*: 0.05 s.*\n  in .*latent.yaml"
    with pytest.raises(ConfigurationError, match=text):
        configure(values, str(file))


def test_a_file_of_another_model_is_refused(ensemble_file):
    with pytest.raises(ConfigurationError, match="not a recurrent state-space model"):
        Latent({"file": str(ensemble_file([[0.0, 0.0]]))})


def test_imagination_in_bfloat16_predicts_nearly_the_same():
    exact, coarse = (
        Latent({"file": "pendulum_latent.safetensors", "precision": precision})
        for precision in ("float32", "bfloat16")
    )
    state, durations = torch.tensor([[0.5]]), torch.full((10,), 0.05)
    sequence = torch.linspace(-1.0, 1.0, 20).expand(10, 1, 20)
    gained, nearly = (model.returns(state, sequence, durations) for model in (exact, coarse))
    assert nearly.dtype == torch.float32
    assert (gained - nearly).abs().max() < 0.02 * gained.abs().max()
    angles, near = (torch.stack(m.rollout(state, sequence, durations)) for m in (exact, coarse))
    assert 0.0 < (angles - near).abs().max() < 0.1 * (angles - 0.5).abs().max()
