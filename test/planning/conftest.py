import pytest
import torch

from cem_planner_ros.costs.quadratic import Quadratic, Terminal
from cem_planner_ros.dynamics.cartpole import CartPole


@pytest.fixture
def cartpole():
    """A cart-pole and costs that swing it up."""
    torch.manual_seed(0)
    model = CartPole()
    way = Quadratic(
        model,
        {
            "weight": {"x": 1.0, "x_dot": 0.1, "theta": 2.0, "theta_dot": 0.1},
            "action_weight": {"force": 0.001},
            "rate_weight": {"force": 0.01},
        },
    )
    end = Terminal(model, {"weight": {"x": 2.0, "theta": 20.0, "theta_dot": 2.0}})
    return model, [way, end]
