# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Errors between attitudes, against rotation matrices and SciPy."""

import math

import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation

from cem_planner_ros.costs.attitude import rotation_vector
from cem_planner_ros.costs.goal import Goal
from cem_planner_ros.costs.quadratic import Quadratic, Terminal
from cem_planner_ros.dynamics.quadrotor import Quadrotor

NOW = torch.tensor(0.0)
ZERO = torch.zeros(4, 1)


def columns(rotations):
    """Quaternions (4, N), w first, float32."""
    x, y, z, w = rotations.as_quat().T
    return torch.tensor(np.stack((w, x, y, z)), dtype=torch.float32)


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("length", [1.0, 0.2, 3.0])
def test_the_rotation_vector_is_that_of_scipy_whatever_sign_and_length(sign, length):
    random = np.random.default_rng(1)
    reference = Rotation.from_rotvec(random.normal(size=(200, 3)))
    turned = Rotation.from_rotvec(random.normal(size=(200, 3)))
    found = rotation_vector(sign * length * columns(reference * turned), columns(reference))
    expected = turned.as_rotvec()
    is_clear = np.linalg.norm(expected, axis=1) < 3.1  # At half a turn both ways are as long.
    np.testing.assert_allclose(found.T[is_clear], expected[is_clear], atol=2e-4)


def test_it_is_exact_for_tiny_turns_and_finite_for_none_and_half_a_turn():
    one = torch.tensor([[1.0], [0.0], [0.0], [0.0]])
    assert not rotation_vector(one, one).any()
    assert not rotation_vector(-one, one).any()
    tiny = torch.tensor([[1.0], [0.0], [1e-4], [0.0]])
    np.testing.assert_allclose(rotation_vector(tiny, one)[:, 0], [0.0, 2e-4, 0.0], rtol=1e-3)
    half = torch.tensor([[0.0], [0.0], [0.0], [1.0]])
    assert rotation_vector(half, one).norm().item() == pytest.approx(math.pi)
    assert torch.isfinite(rotation_vector(one, torch.zeros(4, 1))).all()


@pytest.mark.parametrize("kind", [Quadratic, Terminal, Goal])
def test_a_quaternion_and_its_negative_cost_the_same(kind):
    model = Quadrotor()
    target = {"target.qw": 0.8, "target.qz": 0.6}
    names = "tolerance" if kind is Goal else "weight"
    values = {f"{names}.{name}": 1.0 for name in ("qw", "qx", "qy", "qz")}
    if kind is Goal:
        values["terminal_weight"] = 1.0
    cost = kind(model, target | values)
    state = torch.zeros(10, 3)
    state[6:] = torch.tensor([[0.8, -0.8, 0.6], [0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [0.6, -0.6, 0.8]])
    found = cost.terminal(state) + cost.stage(state, ZERO, ZERO, NOW)
    assert found[0].item() == pytest.approx(0.0, abs=1e-6)
    assert found[1].item() == pytest.approx(0.0, abs=1e-6)
    assert found[2].item() > 0.01
