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


class Dummy:
    """A latent model with the interface of the usual notebook, and shapes to be checked."""

    def evaluate_rollout(self, h, s, actions):
        assert h.shape == (1, 200)
        assert s.shape == (1, 30)
        assert actions.shape == (1000, 10, 2)
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


def test_the_shipped_model_predicts_the_pendulum(latent):
    true = Pendulum({"integrator": "rk4"})
    random = torch.Generator().manual_seed(1)
    state = torch.stack(
        (
            (torch.rand(64, generator=random) - 0.5) * 2.0,
            (torch.rand(64, generator=random) - 0.5) * 4.0,
        )
    )
    sequence = (torch.rand(10, 1, 64, generator=random) - 0.5) * 6.0
    durations = torch.full((10,), 0.05)
    predicted = latent.rollout(state, sequence, durations)[-1]
    expected = true.rollout(state, sequence, durations)[-1]
    error = torch.remainder(predicted[0] - expected[0] + torch.pi, 2 * torch.pi) - torch.pi
    assert error.abs().mean() < 0.2


def test_the_shipped_model_balances_the_pendulum(latent):
    """It knows the pendulum from observations alone, and what to want from its reward head."""
    true = Pendulum({"integrator": "rk4"})
    planner = Planner(
        *(latent, [Effort(latent)]),
        **{"samples": 64, "elites": 8, "iterations": 2, "horizon": 15, "dt": 0.05},
    )
    state, action = torch.tensor([[0.2], [0.0]]), None
    angles = []
    for tick in range(80):
        action = planner.plan(state[:, 0].numpy(), 0.05 * tick, action).actions[0]
        held = torch.tensor(action, dtype=torch.float32)[:, None]
        state = true.step(state, held, torch.tensor(0.05))
        angles.append(float(state[0]))
    assert np.abs(angles[-20:]).max() < 0.2


def test_the_memory_goes_on_from_observation_to_observation(latent):
    state = torch.tensor([[0.4], [1.0]])
    h, s = latent.encode(state)
    again, _ = latent.model.encode(latent.observe(state), h, s, torch.zeros(1, 1))
    assert h.shape == again.shape
    assert not torch.equal(h, again)


def test_the_node_takes_a_latent_model_where_the_analytic_one_was():
    values = load_yaml(share("config") / "pendulum.yaml") | {
        "planner.device": "cpu",
        "dynamics.plugin": "latent",
        "dynamics.file": "pendulum_latent.safetensors",
    }
    del values["dynamics.integrator"]
    plan = configure(values).planner().plan(np.zeros(2), 0.0)
    assert np.isfinite(plan.cost)


def test_a_file_of_another_model_is_refused(ensemble_file):
    with pytest.raises(ConfigurationError, match="not a recurrent state-space model"):
        Latent({"file": str(ensemble_file([[0.0, 0.0]]))})
