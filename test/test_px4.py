# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The relay to PX4 in examples/, with a stand-in for px4_msgs."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.readers import state_reader
from cem_planner_ros.simulation.lockstep import Lockstep

EXAMPLE = Path(__file__).parents[1] / "examples" / "px4"


def module():
    spec = importlib.util.spec_from_file_location("px4_relay", EXAMPLE / "relay.py")
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


relay = module()


class VehicleOdometry(SimpleNamespace):
    """As in px4_msgs: position and q from FRD in NED, NaN for what is not known."""

    POSE_FRAME_NED, POSE_FRAME_FRD = 1, 2
    VELOCITY_FRAME_NED, VELOCITY_FRAME_FRD, VELOCITY_FRAME_BODY_FRD = 1, 2, 3


class Message(SimpleNamespace):
    """A message with any fields."""


PX4 = SimpleNamespace(
    VehicleOdometry=VehicleOdometry, OffboardControlMode=Message, VehicleRatesSetpoint=Message
)

ENU_FROM_NED = Rotation.from_matrix([[0, 1, 0], [1, 0, 0], [0, 0, -1]])
FRD_FROM_FLU = Rotation.from_matrix(np.diag([1, -1, -1]))


def vehicle(attitude, velocity_frame=1, **changes):
    """Odometry of a vehicle whose attitude is a Rotation from FRD to NED."""
    values = {
        "timestamp": 7_000_001,
        "timestamp_sample": 5_250_000,
        "pose_frame": 1,
        "position": [10.0, 20.0, -30.0],
        "q": attitude.as_quat(scalar_first=True),
        "velocity_frame": velocity_frame,
        "velocity": [1.0, 2.0, 3.0],
        "angular_velocity": [0.1, 0.2, 0.3],
    }
    return VehicleOdometry(**values | changes)


@pytest.mark.parametrize("angles", [(0, 0, 0), (0.3, -0.2, 1.0), (-2.5, 1.2, -3.0), (3.1, 0, 0.5)])
def test_odometry_is_that_of_ros(angles):
    attitude = Rotation.from_euler("xyz", angles)
    found = relay.odometry(vehicle(attitude))
    place, q = found.pose.pose.position, found.pose.pose.orientation
    assert (place.x, place.y, place.z) == (20.0, 10.0, 30.0)
    turn = Rotation.from_quat([q.x, q.y, q.z, q.w])
    wanted = ENU_FROM_NED * attitude * FRD_FROM_FLU
    np.testing.assert_allclose(turn.as_matrix(), wanted.as_matrix(), atol=1e-9)
    read = state_reader(
        "nav_msgs/msg/Odometry",
        {a: f"world.linear.{a}" for a in "xyz"} | {f"w{a}": f"angular.{a}" for a in "xyz"},
    )
    # North, east, down is north as y, east as x, up as z.
    np.testing.assert_allclose(read(found), [2.0, 1.0, -3.0, 0.1, -0.2, -0.3], atol=1e-9)
    assert (found.header.stamp.sec, found.header.stamp.nanosec) == (5, 250_000_000)


def test_a_nose_to_the_north_looks_along_y_and_to_the_east_along_x():
    for heading, yaw in ((0.0, np.pi / 2), (np.pi / 2, 0.0)):
        found = relay.odometry(vehicle(Rotation.from_euler("z", heading)))
        state = state_reader("nav_msgs/msg/Odometry", {"yaw": "yaw", "roll": "roll"})(found)
        np.testing.assert_allclose(state, [yaw, 0.0], atol=1e-9)


def test_a_velocity_in_the_body_is_one_in_the_body():
    found = relay.odometry(vehicle(Rotation.from_euler("xyz", (0.3, 0.2, 1.0)), velocity_frame=3))
    linear = found.twist.twist.linear
    assert (linear.x, linear.y, linear.z) == (1.0, -2.0, -3.0)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"pose_frame": 0}, "pose_frame is 0"),
        ({"velocity_frame": 0}, "velocity_frame is 0"),
        ({"position": [np.nan] * 3}, "not known yet"),
        ({"q": [np.nan] * 4}, "not known yet"),
    ],
)
def test_what_px4_does_not_know_is_not_passed_on(changes, text):
    with pytest.raises(ValueError, match=text):
        relay.odometry(VehicleOdometry(**vars(vehicle(Rotation.identity())) | changes))


def test_thrust_and_rates_are_those_of_px4():
    mode, rates = relay.setpoints(PX4, [9.81, 1.0, 2.0, 3.0], hover=0.4, microseconds=17)
    assert (rates.roll, rates.pitch, rates.yaw) == (1.0, -2.0, -3.0)
    np.testing.assert_allclose(rates.thrust_body, [0.0, 0.0, -0.4], rtol=1e-6)
    assert mode.body_rate
    others = (mode.position, mode.velocity, mode.acceleration, mode.attitude)
    assert not any(others)
    assert mode.timestamp == rates.timestamp == 17
    for thrust, share in ((-1.0, 0.0), (100.0, 1.0)):
        _, rates = relay.setpoints(PX4, [thrust, 0.0, 0.0, 0.0], hover=0.4, microseconds=0)
        assert -rates.thrust_body[2] == share


class Vehicle:
    """A vehicle with PX4's frames: it follows rates and thrust at once, with some drag."""

    def __init__(self, hover):
        self.hover = hover
        self.place, self.velocity = np.zeros(3), np.zeros(3)  # NED
        self.attitude = Rotation.from_euler("z", 0.7)
        self.rates = np.zeros(3)

    def message(self):
        return VehicleOdometry(
            timestamp=0,
            timestamp_sample=0,
            pose_frame=1,
            position=self.place,
            q=self.attitude.as_quat(scalar_first=True),
            velocity_frame=1,
            velocity=self.velocity,
            angular_velocity=self.rates,
        )

    def fly(self, wanted, duration, steps=10):
        self.rates = np.array([wanted.roll, wanted.pitch, wanted.yaw])
        force = np.array(wanted.thrust_body, float) * 9.81 / self.hover
        for _ in range(steps):
            dt = duration / steps
            self.attitude = self.attitude * Rotation.from_rotvec(dt * self.rates)
            gravity = np.array([0.0, 0.0, 9.81])
            self.velocity += dt * (self.attitude.apply(force) + gravity - 0.1 * self.velocity)
            self.place = self.place + dt * self.velocity


@pytest.mark.slow
def test_a_vehicle_flies_to_its_target_through_the_relay():
    values = load_yaml(EXAMPLE / "px4.yaml") | {
        "planner.device": "cpu",
        "planner.samples": 256,
        "planner.elites": 32,
        "planner.horizon": 20,
        "planner.iterations": 2,
        "control_rate": 20.0,
        "actuation_delay": 0.0,
    }
    configuration = configure(values)
    (source,) = configuration.sources
    read = state_reader(source.type, source.fields)
    vehicle = Vehicle(hover=0.4)

    def step(action, duration):
        vehicle.fly(relay.setpoints(PX4, action, 0.4, 0)[1], duration)

    run = Lockstep(
        configuration,
        configuration.planner(),
        lambda: read(relay.odometry(vehicle.message())),
        step,
    )
    for _ in range(100):
        run.period()
    # The target is x 2, y 1, z 1.5: 1 m to the north, 2 m to the east, 1.5 m up.
    np.testing.assert_allclose(vehicle.place, [1.0, 2.0, -1.5], atol=0.3)
    assert np.linalg.norm(vehicle.velocity) < 0.6


class StandInNode:
    """What the relay needs of a node."""

    def __init__(self):
        self.published, self.callbacks, self.warnings = {}, {}, []

    def create_publisher(self, kind, topic, qos):
        self.published[topic] = []
        return SimpleNamespace(publish=self.published[topic].append)

    def create_subscription(self, kind, topic, callback, qos):
        self.callbacks[topic] = callback

    def get_logger(self):
        return SimpleNamespace(warning=lambda text, **options: self.warnings.append(text))

    def get_clock(self):
        return SimpleNamespace(now=lambda: SimpleNamespace(nanoseconds=5_000))


def test_the_relay_passes_on_what_comes_and_repeats_nothing():
    node = StandInNode()
    relay.Relay(node, PX4, hover=0.5)
    node.callbacks["/fmu/out/vehicle_odometry"](vehicle(Rotation.identity()))
    node.callbacks["thrust_and_rates"](Float64MultiArray(data=[9.81, 0.0, 1.0, 0.0]))
    assert [len(messages) for messages in node.published.values()] == [1, 1, 1]
    assert node.published["/fmu/in/vehicle_rates_setpoint"][0].pitch == -1.0
    assert node.published["/fmu/in/offboard_control_mode"][0].timestamp == 5
    node.callbacks["thrust_and_rates"](Float64MultiArray(data=[1.0]))
    node.callbacks["thrust_and_rates"](Float64MultiArray(data=[np.nan] * 4))
    node.callbacks["/fmu/out/vehicle_odometry"](vehicle(Rotation.identity(), velocity_frame=0))
    assert [len(messages) for messages in node.published.values()] == [1, 1, 1]
    assert len(node.warnings) == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--messages", "no_px4.msg"], "--messages is no_px4.msg, which cannot be imported"),
        (["--hover", "nan"], "--hover is nan, expected a share of the thrust between 0 and 1"),
        (["--hover", "50"], "--hover is 50.0, expected a share"),
    ],
)
def test_wrong_options_are_explained(arguments, text, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["relay.py", *arguments])
    with pytest.raises(SystemExit) as caught:
        relay.main()
    assert caught.value.code == 2
    assert text in capsys.readouterr().err
