# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from scipy.spatial.transform import Rotation

from cem_planner_ros.dynamics.ackermann import Ackermann, AckermannDrive
from cem_planner_ros.dynamics.cartpole import CartPole
from cem_planner_ros.dynamics.diff_drive import DiffDrive, DiffDriveLag
from cem_planner_ros.dynamics.double_integrator import DoubleIntegrator
from cem_planner_ros.dynamics.omni_drive import OmniDrive
from cem_planner_ros.dynamics.pendulum import Pendulum
from cem_planner_ros.dynamics.planar_arm import PlanarArm
from cem_planner_ros.dynamics.quadrotor import Quadrotor
from cem_planner_ros.dynamics.single_track import SingleTrack
from cem_planner_ros.errors import ConfigurationError

MODELS = Path(__file__).parents[2] / "models"


def simulate(model, state, action, dt, steps):
    state, action = torch.tensor(state)[:, None], torch.tensor(action)[:, None]
    for _ in range(steps):
        state = model.step(state, action, torch.tensor(dt))
    return state[:, 0].numpy()


# The equations once more, for SciPy: written with other means than the classes use.


def pendulum(t, s, u):
    # Energy: 0.8 kg on 0.7 m, damping 0.2.
    inertia = 0.8 * 0.7**2
    return [s[1], (0.8 * 9.81 * 0.7 * np.sin(s[0]) - 0.2 * s[1] + u[0]) / inertia]


def cartpole(t, s, u):
    # Newton's equations of cart and pole as a linear system for the two accelerations.
    m_cart, m_pole, half, g = 1.2, 0.3, 0.4, 9.81
    sin, cos = np.sin(s[2]), np.cos(s[2])
    mass = [[m_cart + m_pole, m_pole * half * cos], [cos, 4.0 / 3.0 * half]]
    x_ddot, theta_ddot = np.linalg.solve(mass, [u[0] + m_pole * half * s[3] ** 2 * sin, g * sin])
    return [s[1], x_ddot, s[3], theta_ddot]


def double_integrator(t, s, u):
    return [s[2], s[3], u[0], u[1]]


def diff_drive(t, s, u):
    velocity = u[0] * np.exp(1j * s[2])
    return [velocity.real, velocity.imag, u[1]]


def diff_drive_lag(t, s, u):
    velocity = s[3] * np.exp(1j * s[2])
    v_dot = min(max((u[0] - s[3]) / 0.3, -0.8), 0.8)
    yaw_ddot = min(max((u[1] - s[4]) / 0.3, -2.0), 2.0)
    return [velocity.real, velocity.imag, s[4], v_dot, yaw_ddot]


def ackermann(t, s, u):
    # The car turns about the point where the axes of the wheels meet.
    radius = 0.7 / np.tan(u[1])
    velocity = u[0] * np.exp(1j * s[2])
    return [velocity.real, velocity.imag, u[0] / radius]


def ackermann_drive(t, s, u):
    # The steering can turn no tighter than a circle of 0.8 m, whatever is wanted or left to turn.
    def curved(speed, rate):
        return np.sign(rate) * min(abs(rate), abs(speed) / 0.8)

    velocity = s[3] * np.exp(1j * s[2])
    v_dot = min(max((u[0] - s[3]) / 0.2, -0.7), 0.7)
    yaw_ddot = min(max((curved(u[0], u[1]) - s[4]) / 0.2, -1.5), 1.5)
    return [velocity.real, velocity.imag, curved(s[3], s[4]), v_dot, yaw_ddot]


def omni_drive(t, s, u):
    velocity = (s[3] + 1j * s[4]) * np.exp(1j * s[2])
    limits = (0.6, 0.6, 2.5)
    slopes = [
        min(max((wanted - speed) / 0.2, -limit), limit)
        for wanted, speed, limit in zip(u, s[3:], limits, strict=True)
    ]
    return [velocity.real, velocity.imag, s[5], *slopes]


def single_track(t, s, u):
    # Velocities and forces as complex numbers; the wheel's axes are those of the car, turned.
    m, inertia, front, rear, mu, b, c, g = 1200.0, 1800.0, 1.1, 1.5, 0.8, 9.0, 1.3, 9.81
    velocity, rate = s[3] + 1j * s[4], s[5]
    force, torque = m * u[1], 0.0
    for arm, other, angle in ((front, rear, u[0]), (-rear, front, 0.0)):
        wheel = (velocity + 1j * arm * rate) * np.exp(-1j * angle)
        slip = -np.arctan2(wheel.imag, max(abs(wheel.real), 2.0))
        lateral = mu * m * g * other / (front + rear) * np.sin(c * np.arctan(b * slip))
        push = 1j * lateral * np.exp(1j * angle)
        force, torque = force + push, torque + arm * push.imag
    acceleration = force / m - 1j * rate * velocity
    moved = velocity * np.exp(1j * s[2])
    return [moved.real, moved.imag, rate, acceleration.real, acceleration.imag, torque / inertia]


def quadrotor(t, s, u):
    attitude = Rotation.from_quat([*s[7:], s[6]])
    acceleration = attitude.apply([0.0, 0.0, u[0]]) - [0.0, 0.0, 9.81] - 0.2 * s[3:6]
    w, v, rates = s[6], s[7:], np.array(u[1:])
    return [
        *s[3:6],
        *acceleration,
        -0.5 * v @ rates,
        *(0.5 * (w * rates + np.cross(v, rates))),
    ]


def planar_arm(t, s, u):
    # Lagrange: masses from the Jacobians of the centres, what is left from d(M q_dot)/dt.
    (m1, l1), (m2, l2) = (1.5, 0.6), (0.7, 0.4)
    q, w = s[:2], s[2:]

    def mass(q):
        total = np.zeros((2, 2))
        a, b = q[0], q[0] + q[1]
        tip = np.array([[-l1 * np.sin(a), 0.0], [l1 * np.cos(a), 0.0]])
        far = 0.5 * l2 * np.array([[-np.sin(b)] * 2, [np.cos(b)] * 2])
        for m, length, jacobian, spin in (
            (m1, l1, 0.5 * tip, np.array([1.0, 0.0])),
            (m2, l2, tip + far, np.array([1.0, 1.0])),
        ):
            total += m * jacobian.T @ jacobian + m * length**2 / 12 * np.outer(spin, spin)
        return total

    def height(q):
        low = 0.5 * l1 * np.sin(q[0])
        return 9.81 * (m1 * low + m2 * (2 * low + 0.5 * l2 * np.sin(q[0] + q[1])))

    def slope(function, at):
        step = 1e-5
        return [(function(at + d) - function(at - d)) / (2 * step) for d in np.eye(2) * step]

    change = slope(mass, q)
    forces = np.array(u) - 0.3 * w - slope(height, q)
    forces -= sum(rate * m for rate, m in zip(w, change, strict=True)) @ w
    forces += [0.5 * w @ m @ w for m in change]
    return [*w, *np.linalg.solve(mass(q), forces)]


CASES = {
    "pendulum": (
        Pendulum({"mass": 0.8, "length": 0.7, "damping": 0.2}),
        pendulum,
        [2.0, -1.0],
        [1.5],
    ),
    "cartpole": (
        CartPole({"cart_mass": 1.2, "pole_mass": 0.3, "half_length": 0.4, "gravity": 9.81}),
        cartpole,
        [0.1, -0.3, 2.5, 1.0],
        [4.0],
    ),
    "double_integrator": (DoubleIntegrator(), double_integrator, [0.0, 1.0, 2.0, -1.0], [0.5, 1.0]),
    "diff_drive": (DiffDrive(), diff_drive, [1.0, 2.0, 0.5], [0.4, 1.2]),
    "diff_drive_lag": (
        DiffDriveLag({"lag": 0.3, "acceleration": 0.8, "yaw_acceleration": 2.0}),
        diff_drive_lag,
        [0.0, 0.0, 1.0, -0.2, 0.0],
        [0.5, 1.5],
    ),
    "ackermann": (Ackermann({"wheel_base": 0.7}), ackermann, [1.0, 0.0, -0.5], [-1.0, 0.3]),
    "ackermann_drive": (
        AckermannDrive(
            {"turning_radius": 0.8, "lag": 0.2, "acceleration": 0.7, "yaw_acceleration": 1.5}
        ),
        ackermann_drive,
        [0.0, 1.0, 2.0, -0.4, 0.6],
        [0.7, 1.4],
    ),
    "omni_drive": (
        OmniDrive({"lag": 0.2, "acceleration": 0.6, "yaw_acceleration": 2.5}),
        omni_drive,
        [1.0, 0.0, -0.7, 0.3, -0.2, 0.5],
        [-0.3, 0.5, -1.2],
    ),
    "single_track": (
        SingleTrack(
            {
                "mass": 1200.0,
                "inertia": 1800.0,
                "front": 1.1,
                "rear": 1.5,
                "friction": 0.8,
                "stiffness": 9.0,
                "shape": 1.3,
                "low_speed": 2.0,
            }
        ),
        single_track,
        [0.0, 1.0, 0.3, 12.0, 0.2, 0.1],
        [0.12, 1.0],
    ),
    "quadrotor": (
        Quadrotor({"drag": 0.2}),
        quadrotor,
        [0.0, 1.0, 2.0, 0.5, -1.0, 0.3, 0.8, 0.0, 0.6, 0.0],
        [12.0, 1.0, -0.8, 0.5],
    ),
    "planar_arm": (
        PlanarArm(
            {
                "upper_mass": 1.5,
                "upper_length": 0.6,
                "lower_mass": 0.7,
                "lower_length": 0.4,
                "damping": 0.3,
            }
        ),
        planar_arm,
        [0.3, 1.0, -2.0, 1.5],
        [3.0, -1.0],
    ),
}
"""Model, its derivative for SciPy, start, action."""


@pytest.mark.parametrize("name", CASES)
def test_models_move_as_an_independent_integration(name):
    model, derivative, start, action = CASES[name]
    if hasattr(model, "integrator"):
        model.integrator = "rk4"
    exact = solve_ivp(derivative, (0.0, 1.0), start, args=(action,), rtol=1e-8, atol=1e-8)
    moved = simulate(model, start, action, 0.01, 100)
    assert np.abs(moved - start).max() > 0.3
    np.testing.assert_allclose(moved, exact.y[:, -1], rtol=1e-3, atol=1e-3)


def test_a_car_at_low_speed_rolls_as_the_kinematic_bicycle():
    car = SingleTrack({"integrator": "midpoint"})
    car_start = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
    np.testing.assert_array_equal(simulate(car, car_start, [0.4, 0.0], 0.05, 40), car_start)
    v, steering, front, rear = -0.5, 0.3, 1.2, 1.4
    moved = simulate(car, [0.0, 0.0, 0.0, v, 0.0, 0.0], [steering, 0.0], 0.05, 60)
    yaw_rate = v * np.tan(steering) / (front + rear)
    np.testing.assert_allclose(moved[3:], [v, rear * yaw_rate, yaw_rate], rtol=0.05, atol=0.01)


def test_no_command_makes_a_car_turn_tighter_or_speed_up_faster_than_it_can():
    generator = torch.Generator().manual_seed(0)
    state = 2.0 * torch.randn(5, 1000, generator=generator)
    command = 2.0 * torch.randn(2, 1000, generator=generator)
    limits = {"turning_radius": 0.8, "acceleration": 0.7, "yaw_acceleration": 1.5}
    slope = AckermannDrive(limits).derivative(state, command)
    speed, curve = torch.hypot(slope[0], slope[1]), slope[2].abs()
    assert 0.999 < (curve * 0.8 / speed).max() < 1.001
    assert slope[3].abs().max() == pytest.approx(0.7)
    assert slope[4].abs().max() == pytest.approx(1.5)
    # Standing, it cannot turn at all.
    standing = simulate(AckermannDrive(), [0.0] * 5, [0.0, 0.7], 0.05, 40)
    np.testing.assert_array_equal(standing, 0.0)


def test_a_car_that_is_told_to_turn_tighter_than_it_can_drives_its_tightest_circle():
    car = AckermannDrive({"turning_radius": 0.8})
    yaw = 0.4 / 0.8 * 3.0
    for turn, yaw_rate in ((1.0, 5.0), (-1.0, -5.0)):
        begin = [0.0, 0.0, 0.0, 0.4, turn * 0.5]
        state = simulate(car, begin, [0.4, yaw_rate], 0.01, 300)
        expected = [0.8 * np.sin(yaw), turn * 0.8 * (1 - np.cos(yaw)), turn * yaw, *begin[3:]]
        np.testing.assert_allclose(state, expected, atol=2e-3)
    # Backwards it turns the other way round the same circle's mirror image.
    state = simulate(car, [0.0, 0.0, 0.0, -0.4, 0.5], [-0.4, 5.0], 0.01, 300)
    np.testing.assert_allclose(
        state[:3], [-0.8 * np.sin(yaw), -0.8 * (1 - np.cos(yaw)), yaw], atol=2e-3
    )


def test_an_omnidirectional_robot_drives_sideways_while_it_turns():
    start = [0.0, 0.0, np.pi / 2, 0.0, 0.4, 0.0]
    state = simulate(OmniDrive(), start, [0.0, 0.4, 0.0], 0.05, 40)
    np.testing.assert_allclose(state, [-0.8, 0.0, *start[2:]], atol=1e-5)
    # Turning about a point ahead of it: sideways at the speed of the circle.
    state = simulate(OmniDrive(), [0.0, 0.0, 0.0, 0.0, 0.4, -0.5], [0.0, 0.4, -0.5], 0.01, 200)
    np.testing.assert_allclose(state[:2], [0.8 * (1 - np.cos(1.0)), 0.8 * np.sin(1.0)], atol=2e-3)


def test_motors_speed_up_no_faster_than_they_can_and_reach_what_is_commanded():
    robot = OmniDrive({"acceleration": 0.5, "yaw_acceleration": 2.0})
    states = [simulate(robot, [0.0] * 6, [0.5, -0.5, 1.9], 0.02, n) for n in (1, 10, 150)]
    np.testing.assert_allclose(states[0][3:], [0.01, -0.01, 0.04], rtol=1e-3)
    np.testing.assert_allclose(states[1][3:], [0.1, -0.1, 0.4], rtol=1e-3)
    np.testing.assert_allclose(states[2][3:], [0.5, -0.5, 1.9], rtol=1e-3)


def test_a_car_is_pushed_no_harder_than_its_tyres_grip():
    generator = torch.Generator().manual_seed(0)
    scale = torch.tensor([1.0, 1.0, 1.0, 20.0, 5.0, 2.0])[:, None]
    state = scale * torch.randn(6, 1000, generator=generator)
    steering = torch.randn(1, 1000, generator=generator)
    slope = SingleTrack({"friction": 0.5}).derivative(
        state, torch.cat((steering, torch.zeros_like(steering)))
    )
    _, _, _, v_x, v_y, yaw_rate = state
    push = torch.hypot(slope[3] - v_y * yaw_rate, slope[4] + v_x * yaw_rate)
    assert 0.9 < push.max() / (0.5 * 9.81) < 1.001


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


def test_each_integrator_errs_less_than_the_one_before():
    _, derivative, start, action = CASES["cartpole"]
    values = {"cart_mass": 1.2, "pole_mass": 0.3, "half_length": 0.4, "gravity": 9.81}
    exact = solve_ivp(derivative, (0.0, 1.0), start, args=(action,), rtol=1e-9, atol=1e-9).y[:, -1]

    def error(integrator):
        model = CartPole(values | {"integrator": integrator})
        return np.abs(simulate(model, start, action, 0.05, 20) - exact).max()

    assert error("midpoint") < 0.2 * error("euler")
    assert error("rk4") < 0.1 * error("midpoint")


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
