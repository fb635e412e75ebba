from pathlib import Path

import numpy as np
import pytest
import torch

from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.diff_drive import DiffDrive
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.dynamics.quadrotor import Quadrotor
from cem_planner_ros.errors import ConfigurationError

MODELS = Path(__file__).parents[2] / "models"


def simulate(model, state, action, dt, steps):
    state, action = torch.tensor(state)[:, None], torch.tensor(action)[:, None]
    for _ in range(steps):
        state = model.step(state, action, torch.tensor(dt))
    return state[:, 0].numpy()


def test_cartpole_moves_as_in_mujoco():
    mujoco = pytest.importorskip("mujoco")
    mjcf = mujoco.MjModel.from_xml_path(str(MODELS / "cartpole.xml"))
    data = mujoco.MjData(mjcf)
    data.qpos[:] = [0.1, 2.5]
    data.qvel[:] = [-0.3, 1.0]
    data.ctrl[:] = 4.0
    mujoco.mj_step(mjcf, data, nstep=800)
    x, x_dot, theta, theta_dot = simulate(
        CartPole({"gravity": 9.81}), [0.1, -0.3, 2.5, 1.0], [4.0], 0.002, 400
    )
    np.testing.assert_allclose([x, theta], data.qpos, atol=2e-3)
    np.testing.assert_allclose([x_dot, theta_dot], data.qvel, atol=1e-2)


def test_euler_is_the_published_discrete_model():
    # One step of the cart-pole of docs/benchmarks, written out for theta = 2, force 5 N.
    model = CartPole({"integrator": "euler"})
    th, thd, xd = 2.0, 0.5, -0.2
    tmp = (5.0 + 0.05 * thd**2 * np.sin(th)) / 1.1
    tha = (9.8 * np.sin(th) - np.cos(th) * tmp) / (0.5 * (4 / 3 - 0.1 * np.cos(th) ** 2 / 1.1))
    xa = tmp - 0.05 * tha * np.cos(th) / 1.1
    expected = [0.3 + 0.02 * xd, xd + 0.02 * xa, th + 0.02 * thd, thd + 0.02 * tha]
    np.testing.assert_allclose(simulate(model, [0.3, xd, th, thd], [5.0], 0.02, 1), expected, 1e-5)


def test_midpoint_errs_less_than_euler():
    def error(integrator):
        model = CartPole({"integrator": integrator})
        start, action = [0.0, 0.0, 2.0, 0.0], [0.0]
        exact = simulate(model, start, action, 0.0005, 800)
        return np.abs(simulate(model, start, action, 0.02, 20) - exact).max()

    assert error("midpoint") < 0.1 * error("euler")


def test_diff_drive_follows_its_circle():
    v, rate, time = 0.4, 1.2, 2.0
    state = simulate(DiffDrive(), [1.0, 2.0, 0.5], [v, rate], 0.01, 200)
    yaw = 0.5 + rate * time
    radius = v / rate
    expected = [
        1.0 + radius * (np.sin(yaw) - np.sin(0.5)),
        2.0 - radius * (np.cos(yaw) - np.cos(0.5)),
        yaw,
    ]
    np.testing.assert_allclose(state, expected, atol=1e-3)


def test_double_integrator_is_exact_at_any_step():
    state = simulate(DoubleIntegrator(), [0.0, 1.0, 2.0, -1.0], [0.5, -0.5], 3.0, 1)
    np.testing.assert_allclose(state, [8.25, -4.25, 3.5, -2.5], rtol=1e-6)


def test_quadrotor_hovers_falls_and_turns():
    start = [0.0, 0.0, 5.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]
    model = Quadrotor({"drag": 0.0})
    hover = simulate(model, start, [9.81, 0.0, 0.0, 0.0], 0.01, 100)
    np.testing.assert_allclose(hover, [1.0, *start[1:]], atol=1e-4)
    fall = simulate(model, start, [0.0, 0.0, 0.0, 0.0], 0.01, 100)
    assert fall[2] == pytest.approx(5.0 - 9.81 / 2, abs=1e-3)
    # A quarter turn of yaw, then of pitch: the thrust points along y.
    turned = simulate(model, start, [0.0, 0.0, 0.0, np.pi / 2], 0.001, 1000)
    np.testing.assert_allclose(turned[6:], [np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)], atol=1e-4)
    pitched = simulate(model, turned.tolist(), [0.0, 0.0, np.pi / 2, 0.0], 0.001, 1000)
    pushed = simulate(model, pitched.tolist(), [9.81, 0.0, 0.0, 0.0], 0.001, 100)
    np.testing.assert_allclose((pushed - pitched)[3:6], [0.0, 0.981, -0.981], atol=1e-3)


def test_quadrotor_loses_speed_to_drag():
    start = [0.0] * 3 + [2.0, 0.0, 0.0] + [1.0, 0.0, 0.0, 0.0]
    state = simulate(Quadrotor({"drag": 0.5, "gravity": 0.0}), start, [0.0] * 4, 0.001, 2000)
    assert state[3] == pytest.approx(2.0 * np.exp(-1.0), rel=1e-3)


def test_an_unknown_or_impossible_parameter_is_refused():
    with pytest.raises(ConfigurationError, match="no parameter 'mass', it has: cart_mass"):
        CartPole({"mass": 1.0})
    with pytest.raises(ConfigurationError, match=r"'pole_mass' is 0\.0"):
        CartPole({"pole_mass": 0.0})
    with pytest.raises(ConfigurationError, match="no number 'integrator'"):
        CartPole().set("integrator", 1.0)
