# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A robot that does what the stop guard assumes, under commands that change at random."""

import math

import numpy as np
import pytest
from guards import can_stop

from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.costmap_check import HALF_DIAGONAL
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.planar_robot import DriveSettings, PlanarRobot
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.stop_guard import StopGuard

RESOLUTION = 0.05
NAMES = ("v", "yaw_rate")
ROBOT = PlanarRobot(("x", "y", "yaw", *NAMES), NAMES, ("v",), (), ("yaw_rate",))
FOOTPRINT = Footprint.of("0.3 0.2 0.3 -0.2 -0.3 -0.2 -0.3 0.2", 0.25, 24)
FINE = 0.005
"""Time step of the robot, s."""


def drive_settings(random, delay):
    """Accelerations and delays; `delay` is the time until a command has an effect, s."""
    return DriveSettings(
        *(0.1, 0.2, 0.1, 0.25, 0.5, 0.5),
        reaction=delay,
        margin=0.02,
        acceleration=random.choice([0.5, 1.0, 3.0]),
        deceleration=random.choice([0.4, 0.8, 2.0]),
        yaw_acceleration=4.0,
        yaw_deceleration=3.0,
        actuation_delay=0.0,
        hold_time=0.3,
        period=random.choice([0.05, 0.1]),
    )


def room():
    """A map of a room of 3 m, and the centres (m, 2) of its walls' cells."""
    cells = np.full((68, 68), 100, np.int8)
    cells[4:64, 4:64] = 0
    corner = -0.5 * RESOLUTION * len(cells)
    rows, columns = np.nonzero(cells)
    centers = corner + RESOLUTION * (np.column_stack((columns, rows)) + 0.5)
    return Costmap(cells, RESOLUTION, Pose(corner, corner, 0.0), 0.0), centers


def clearance(pose, centers):
    dx, dy = (centers - pose[:2]).T
    cos, sin = math.cos(pose[2]), math.sin(pose[2])
    distance = FOOTPRINT.distance(cos * dx + sin * dy, cos * dy - sin * dx)
    return distance.min() - HALF_DIAGONAL * RESOLUTION


class Robot:
    """It follows commands after a delay, with the accelerations of the settings."""

    def __init__(self, settings, delay):
        self.settings, self.delay = settings, delay
        self.pose, self.speed, self.time = np.zeros(3), np.zeros(2), 0.0
        self.sent = [(-math.inf, np.zeros(2))]

    def send(self, command):
        self.sent.append((self.time, command))

    def in_force(self):
        """The commands that may not have had their effect yet, and the one before them."""
        count = sum(time > self.time - self.settings.reaction for time, _ in self.sent)
        return np.array([command for _, command in self.sent[-count - 1 :]])

    def step(self):
        heard = self.time - self.delay + 1e-9
        command = next(command for time, command in reversed(self.sent) if time <= heard)
        faster = self.settings.acceleration, self.settings.yaw_acceleration
        slower = self.settings.deceleration, self.settings.yaw_deceleration
        for i, (wanted, speed) in enumerate(zip(command, self.speed, strict=True)):
            if wanted * speed < 0.0:
                wanted = 0.0
            reach = FINE * (faster if abs(wanted) > abs(speed) else slower)[i]
            self.speed[i] += min(max(wanted - speed, -reach), reach)
        v, turning = self.speed
        middle = self.pose[2] + 0.5 * turning * FINE
        self.pose += FINE * np.array([v * math.cos(middle), v * math.sin(middle), turning])
        self.time += FINE


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("seed", range(5))
def test_whatever_is_commanded_it_stops_before_the_walls(seed, delay):
    random = np.random.default_rng(seed)
    settings = drive_settings(random, delay)
    guard, (costmap, centers) = StopGuard(ROBOT, FOOTPRINT, settings), room()
    robot = Robot(settings, delay)
    wanted, driven, least = np.zeros(2), 0.0, math.inf
    for _ in range(round(15.0 / settings.period)):
        if random.random() < 0.1:  # Mostly straight, where a robot becomes fast.
            wanted = random.uniform(-1.5, 1.5, 2) * (1.0, random.random() < 0.3)
        state = np.concatenate((robot.pose, robot.speed))
        command = guard.bounded(costmap, state, 0.0, robot.in_force(), wanted, np.zeros(2))
        robot.send(np.zeros(2) if command is None else command)
        for _ in range(round(settings.period / FINE)):
            robot.step()
            driven += FINE * abs(robot.speed[0])
        least = min(least, clearance(robot.pose, centers))
    assert least > -0.005
    assert driven > 1.0


def behind(distance):
    """A map with a wall so far behind the robot, m."""
    cells = np.zeros((80, 80), np.int8)
    cells[:, : round((2.0 - 0.3 - distance) / RESOLUTION)] = 100
    return Costmap(cells, RESOLUTION, Pose(-2.0, -2.0, 0.0), 0.0)


def test_commands_on_their_way_count_until_they_have_had_their_effect():
    settings = drive_settings(np.random.default_rng(0), 0.4)
    guard = StopGuard(ROBOT, FOOTPRINT, settings)
    stands, back, stop = np.zeros(5), np.array([-1.0, 0.0]), np.zeros(2)
    near = behind(0.15)
    assert not can_stop(guard, near, stands, 0.0, back, stop)
    # A stop that was sent after it has not overtaken it.
    assert not can_stop(guard, near, stands, 0.0, np.array([back, stop]), stop)
    assert can_stop(guard, near, stands, 0.0, stop, stop)


def test_a_robot_that_stands_may_get_commands_of_both_directions():
    settings = drive_settings(np.random.default_rng(0), 0.4)
    guard = StopGuard(ROBOT, FOOTPRINT, settings)
    stands, ahead, back = np.zeros(5), np.array([0.5, 0.0]), np.array([-0.4, 0.0])
    assert not can_stop(guard, behind(0.15), stands, 0.0, np.array([ahead, back]), back)
    assert can_stop(guard, behind(1.4), stands, 0.0, np.array([ahead, back]), back)


def test_an_obstacle_that_may_move_is_not_backed_into_either():
    settings = drive_settings(np.random.default_rng(0), 0.4)
    guard = StopGuard(ROBOT, FOOTPRINT, settings)
    ahead = np.array([0.0, 0.0, 0.0, 0.1, 0.0])
    back, slow = np.array([-1.0, 0.0]), np.array([0.1, 0.0])

    def can_stop_at(distance, before):
        place = np.array([[-0.3 - distance - 0.2, 0.0]])
        one = MovingObstacles(place, np.zeros((1, 2)), np.array([0.2]), 0.0, 0.0)
        return can_stop(guard, None, ahead, 0.0, before, back, one)

    assert not can_stop_at(0.6, back)
    assert can_stop_at(1.4, back)
    assert can_stop_at(0.6, slow)


def test_a_robot_that_is_about_to_turn_back_needs_room_behind_it():
    settings = drive_settings(np.random.default_rng(0), 0.4)
    guard = StopGuard(ROBOT, FOOTPRINT, settings)
    ahead, back = np.array([0.0, 0.0, 0.0, 0.1, 0.0]), np.array([-1.0, 0.0])
    assert not can_stop(guard, behind(0.15), ahead, 0.0, back, back)
    assert can_stop(guard, behind(1.4), ahead, 0.0, back, back)
    # The first command back is the one that is checked now.
    assert can_stop(guard, behind(0.15), ahead, 0.0, np.array([0.1, 0.0]), back)
