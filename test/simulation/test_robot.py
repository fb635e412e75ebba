# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The robot in a MuJoCo world: how it drives, what its lidar sees, what it touches."""

import math
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.simulation import robot, worlds

pytest.importorskip("mujoco")

ROOT = Path(__file__).parents[2]


def plant(name="rooms", seed=0, **options):
    return robot.RobotPlant(
        worlds.load(str(ROOT / "worlds" / f"{name}.xml"), seed), seed, **options
    )


def drive(plant, *commands, period=0.05):
    """Give commands (v, yaw_rate, seconds); return the states (n, 5) after each period."""
    states = []
    for v, yaw_rate, seconds in commands:
        for _ in range(round(seconds / period)):
            plant.step((v, yaw_rate), period)
            states.append(plant.state())
    return np.array(states)


def test_it_begins_at_rest_at_the_start():
    made = plant("pillars")
    np.testing.assert_allclose(made.state(), [0.0, 0.0, 0.6, 0.0, 0.0], atol=1e-9)
    assert made.touched == ()
    assert list(made.state_fields) == ["x", "y", "yaw", "v", "yaw_rate"]
    assert list(made.command_fields) == ["v", "yaw_rate"]


def test_it_drives_as_it_is_told():
    states = drive(plant(), (0.4, 0.0, 0.5), (0.4, 0.0, 1.0))
    assert states[10:, 3] == pytest.approx(0.4, abs=0.02)
    assert states[-1, 0] - states[9, 0] == pytest.approx(0.4, abs=0.02)
    assert abs(states[:, 1]).max() < 0.01
    states = drive(plant(), (0.0, 1.5, 0.5), (0.0, 1.5, 1.0))
    assert states[12:, 4] == pytest.approx(1.5, abs=0.08)
    assert states[-1, 2] - states[9, 2] == pytest.approx(1.5, abs=0.08)
    assert np.hypot(*states[:, :2].T).max() < 0.02


def test_speeds_are_those_of_the_body():
    """Forwards is forwards whichever way it looks."""
    states = drive(plant(), (0.0, 1.5, 1.2), (0.0, 0.0, 0.6), (0.3, 0.0, 1.0))
    assert 1.3 < states[-1, 2] < 2.2
    assert states[-1, 3] == pytest.approx(0.3, abs=0.02)
    step = states[-1, :2] - states[-2, :2]
    assert math.atan2(step[1], step[0]) == pytest.approx(states[-1, 2], abs=0.05)


def test_it_keeps_limits_of_speed_and_acceleration():
    # The wheels follow with a lag, so the rate is that between 0.15 s and 0.3 s.
    states = drive(plant(), (9.0, 0.0, 1.0))
    assert states[5, 3] - states[2, 3] == pytest.approx(0.15, abs=0.02)
    assert states[-1, 3] == pytest.approx(0.5, abs=0.02)
    states = drive(plant(), (-9.0, 0.0, 1.0))
    assert states[5, 3] - states[2, 3] == pytest.approx(-0.15, abs=0.02)
    assert states[-1, 3] == pytest.approx(-0.35, abs=0.02)
    states = drive(plant(), (0.0, -9.0, 1.0))
    assert states[5, 4] - states[2, 4] == pytest.approx(-0.6, abs=0.08)
    assert states[-1, 4] == pytest.approx(-1.9, abs=0.1)
    # So is the rate of a command that is taken back.
    states = drive(plant(), (0.5, 0.0, 1.0), (0.0, 0.0, 0.3))
    assert states[25, 3] - states[22, 3] == pytest.approx(-0.15, abs=0.02)


def test_limits_and_lidar_are_those_of_gazebo_s_robot():
    model = ET.parse(ROOT / "models" / "diff_drive" / "model.sdf").find("model")
    system = model.find("plugin[@name='gz::sim::systems::DiffDrive']")

    def limits(kind):
        return tuple(float(system.findtext(f"{kind}_{axis}")) for axis in axes)

    axes = ("linear_velocity", "angular_velocity")
    assert (limits("min"), limits("max")) == (robot.TWIST_LOW, robot.TWIST_HIGH)
    axes = ("linear_acceleration", "angular_acceleration")
    assert limits("max") == robot.ACCELERATION
    assert limits("min") == tuple(-limit for limit in robot.ACCELERATION)
    sensor = model.find(".//sensor[@name='lidar']")
    scan = sensor.find("lidar/scan/horizontal")
    angle_max = robot.LIDAR["angle_min"] + (robot.BEAMS - 1) * robot.LIDAR["angle_increment"]
    assert int(scan.findtext("samples")) == robot.BEAMS
    assert float(scan.findtext("min_angle")) == pytest.approx(robot.LIDAR["angle_min"], abs=1e-6)
    assert float(scan.findtext("max_angle")) == pytest.approx(angle_max, abs=1e-6)
    assert float(sensor.findtext("lidar/range/min")) == robot.LIDAR["range_min"]
    assert float(sensor.findtext("lidar/range/max")) == robot.LIDAR["range_max"]
    assert float(sensor.findtext("update_rate")) == robot.SCAN_RATE


def test_wheels_are_those_of_gazebo_s_robot():
    made = plant()
    model = ET.parse(ROOT / "models" / "diff_drive" / "model.sdf").find("model")
    system = model.find("plugin[@name='gz::sim::systems::DiffDrive']")
    assert made.wheel_radius == float(system.findtext("wheel_radius"))
    assert made.wheel_separation == float(system.findtext("wheel_separation"))


@pytest.mark.parametrize("name", ["rooms", "pillars", "clutter"])
def test_beams_end_where_something_stands_and_nowhere_before(name):
    world = worlds.load(str(ROOT / "worlds" / f"{name}.xml"), 3)
    made = robot.RobotPlant(world, range_noise=0.0)
    drive(made, (0.3, 0.8, 1.5))
    x, y, yaw = made.state()[:3]
    ranges = made.scan()
    angles = yaw + robot.LIDAR["angle_min"] + robot.LIDAR["angle_increment"] * np.arange(360)
    direction = np.stack((np.cos(angles), np.sin(angles)), axis=1)
    assert np.isfinite(ranges).sum() > 200
    for share in np.linspace(0.0, 1.0, 41):
        points = (x, y) + share * np.minimum(ranges, 8.0)[:, None] * direction
        distance = np.minimum(
            worlds.clearance(points, world.fixed), worlds.clearance(points, world.obstacles)
        )
        assert distance.min() > -0.01
    # A rough floor would show: the lidar tilts a little with the robot.
    assert distance[np.isfinite(ranges)] == pytest.approx(0.0, abs=0.01)


def test_it_does_not_see_itself():
    world = worlds.load(str(ROOT / "worlds" / "rooms.xml"), 0)
    made = robot.RobotPlant(world, range_noise=0.0)
    expected = made.scan()
    world.model.site("lidar").pos[2] = 0.12  # in the middle of the chassis
    np.testing.assert_allclose(made.scan(), expected, atol=1e-6)


def test_what_is_out_of_range_is_infinite():
    ranges = plant("pillars").scan()
    assert np.isposinf(ranges).any()
    assert not np.isneginf(ranges).any()
    assert ranges[np.isfinite(ranges)].max() <= 8.0
    world = worlds.load(str(ROOT / "worlds" / "rooms.xml"), 0)
    made = robot.RobotPlant(world)
    world.model.site("lidar").pos[0] = -0.93  # 2 cm from the western wall
    ranges = made.scan()
    assert np.isneginf(ranges[:60]).all()
    assert not np.isneginf(ranges[120:240]).any()


def test_ranges_are_noisy_as_told_and_by_the_seed():
    true = plant(range_noise=0.0).scan()
    made = plant(seed=0, range_noise=0.02)
    errors = np.concatenate([made.scan() - true for _ in range(20)])
    errors = errors[np.isfinite(errors)]
    assert errors.std() == pytest.approx(0.02, rel=0.05)
    assert abs(errors.mean()) < 0.002
    np.testing.assert_array_equal(plant(range_noise=0.02).scan(), plant(range_noise=0.02).scan())


def test_what_it_touched_is_named_and_not_forgotten():
    made = plant()
    drive(made, (-0.35, 0.0, 1.0))
    assert made.touched == ()
    drive(made, (-0.35, 0.0, 3.0))
    assert made.touched == ("west",)
    drive(made, (0.3, 0.0, 1.0))
    assert made.touched == ("west",)
    made.reset()
    assert made.touched == ()


def test_the_same_steps_give_the_same_states_and_scans_whatever_was_looked_at():
    commands = ((0.4, 0.5, 1.0), (0.2, -0.8, 1.0), (-0.35, 0.0, 2.0))
    one, other = plant("clutter", 2), plant("clutter", 2)
    for v, yaw_rate, seconds in commands:
        for _ in range(round(seconds / 0.05)):
            one.step((v, yaw_rate), 0.05)
            other.step((v, yaw_rate), 0.05)
            other.state()
    first = one.state(), one.scan()
    np.testing.assert_array_equal(first[0], other.state())
    np.testing.assert_array_equal(first[1], other.scan())
    other.scan()
    one.reset()
    other.reset()
    assert one.time == 0.0
    for v, yaw_rate, seconds in commands:
        for step in range(round(seconds / 0.05)):
            one.step((v, yaw_rate), 0.05)
            if step % 2 == 0:
                other.scan()
            other.step((v, yaw_rate), 0.05)
    np.testing.assert_array_equal(one.state(), first[0])
    np.testing.assert_array_equal(one.scan(), first[1])
    np.testing.assert_array_equal(other.state(), first[0])


def test_pedestrians_walk_are_seen_and_touch():
    made = plant("crossing", 3)
    again = plant("crossing", 3)
    assert made.has_pedestrians
    assert not plant("rooms").has_pedestrians
    seen = 0
    for _ in range(200):
        before, velocities, radii = made.moving_obstacles()
        made.step((0.0, 0.0), 0.1)
        after = made.moving_obstacles()[0]
        straight = (made.moving_obstacles()[1] == velocities).all(1)
        assert after[straight] == pytest.approx((before + 0.1 * velocities)[straight], abs=1e-9)
        ranges, (x, y, yaw, *_) = made.scan(), made.state()
        for (left, low), radius in zip(after, radii, strict=True):
            distance = math.hypot(left - x, low - y)
            beam = round(180 + math.degrees(math.atan2(low - y, left - x) - yaw)) % 360
            if distance > 7.0:
                continue
            assert ranges[beam] < distance - radius + 0.1  # Or somebody is in front of it.
            seen += abs(ranges[beam] - (distance - radius)) < 0.06
    assert seen > 500
    drive(again, (0.5, 0.0, 60.0))
    assert any("pedestrian" in name for name in again.touched)
    again.reset()
    np.testing.assert_array_equal(
        again.moving_obstacles()[0], plant("crossing", 3).moving_obstacles()[0]
    )


def bare_world(folder, inside=""):
    """Return a world with nothing in it but what is told."""
    numbers = {"path": "0 0 1 0", "start": "0 0 0", "goal": "1 0 0"}
    lines = "".join(f"<numeric name='{name}' data='{data}'/>" for name, data in numbers.items())
    file = folder / "bare.xml"
    file.write_text(f"<mujoco>{inside}<custom>{lines}</custom></mujoco>")
    return worlds.load(str(file))


def test_where_nothing_stands_nothing_is_seen(tmp_path):
    include = f"<include file='{ROOT / 'models' / 'diff_drive' / 'robot.xml'}'/>"
    assert np.isposinf(robot.RobotPlant(bare_world(tmp_path, include)).scan()).all()


def test_a_world_without_the_robot_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match=r"include models/diff_drive/robot\.xml"):
        robot.RobotPlant(bare_world(tmp_path))


def test_no_time_is_lost_between_steps():
    made = plant()
    for _ in range(100):
        made.step((0.0, 0.0), 0.00149)
    assert made.time == pytest.approx(0.149, abs=0.0021)
