# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A robot with two driven wheels and a lidar in a MuJoCo world."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.simulation.pedestrians import observed
from cem_planner_ros.simulation.worlds import World

TWIST_LOW, TWIST_HIGH = (-0.35, -1.9), (0.5, 1.9)
"""
Limits of the speeds, m/s and rad/s. All numbers here are those of models/diff_drive/model.sdf.
"""

ACCELERATION = (1.0, 4.0)
"""Limits of acceleration and deceleration, m/s^2 and rad/s^2."""

BEAMS = 360

LIDAR = {
    "angle_min": -math.pi,
    "angle_increment": math.tau / BEAMS,
    "range_min": 0.1,
    "range_max": 8.0,
}
"""Properties of a scan, named as in sensor_msgs/LaserScan; rad, m."""

SCAN_RATE = 10.0
"""Hz"""

OWN_GROUP = 5
"""Group of the robot's geoms, which the lidar ignores; other geoms must not be in it."""


class RobotPlant:
    """
    The robot models/diff_drive/robot.xml in a world, controlled like Gazebo's DiffDrive.

    A command is a twist. The robot follows it within limits of speed and acceleration; its wheels
    may slip. The state is the true pose of base_link, and the speeds of that body. Pedestrians walk
    whatever is in their way; the lidar sees them. The same world, seed and steps give the same
    states and scans.

    Args:
        world: the world; from now on this plant owns its model.
        seed: seed of the lidar's noise.
        range_noise: std of the lidar's noise, m.

    Raises ConfigurationError if the robot is not in the world.
    """

    state_type = "nav_msgs/msg/Odometry"
    state_topic = "odom"
    command_type = "geometry_msgs/msg/TwistStamped"
    command_topic = "cmd_vel"
    idle = np.zeros(2)
    action_range = 0.5 * (np.array(TWIST_HIGH) - np.array(TWIST_LOW))

    def __init__(self, world: World, seed: int = 0, range_noise: float = 0.01):
        import mujoco

        self.command_fields = {"v": "linear.x", "yaw_rate": "angular.z"}
        self.state_fields = {"x": "x", "y": "y", "yaw": "yaw"} | self.command_fields
        self._mujoco = mujoco
        self._model = model = world.model
        self._data = mujoco.MjData(model)
        self._start = world.start
        self._pedestrians = world.pedestrians
        self._seed = seed
        self._range_noise = range_noise
        try:
            self.wheel_radius = float(model.geom("left_wheel").size[0])
            self.wheel_separation = 2.0 * float(model.body("left_wheel").pos[1])
            self._site = model.site("lidar").id
        except KeyError as error:
            raise ConfigurationError(
                "the world needs to include models/diff_drive/robot.xml, the robot"
            ) from error
        is_robot = model.body_rootid[model.geom_bodyid] == model.body("base_link").id
        is_ground = model.geom_type == mujoco.mjtGeom.mjGEOM_PLANE
        # The product of two kinds is 2 if the robot touches something.
        self._kind = np.where(is_robot, 1, np.where(is_ground, 0, 2))
        model.geom_group[is_robot] = OWN_GROUP
        self._seen = np.ones(mujoco.mjNGROUP, np.uint8)
        self._seen[OWN_GROUP] = 0
        angles = LIDAR["angle_min"] + LIDAR["angle_increment"] * np.arange(BEAMS)
        self._beams = np.stack((np.cos(angles), np.sin(angles), np.zeros(BEAMS)), axis=1)
        self.reset()

    def reset(self) -> None:
        """Start again: at rest at the start, with the same noise."""
        data, (x, y, yaw) = self._data, self._start
        self._mujoco.mj_resetData(self._model, data)
        pose = data.joint("base_link").qpos
        pose[:2] = x, y
        pose[3:] = math.cos(0.5 * yaw), 0.0, 0.0, math.sin(0.5 * yaw)
        self._random = np.random.default_rng(self._seed)
        self._twist = [0.0, 0.0]
        self._surplus = 0.0
        self._touched: dict[str, None] = {}
        self._walk()

    @property
    def time(self) -> float:
        """Simulated s since the start."""
        return self._data.time

    @property
    def touched(self) -> tuple[str, ...]:
        """The names of touched objects, except the ground, in order of touch."""
        return tuple(self._touched)

    def state(self) -> np.ndarray:
        """Return (x, y, yaw, v, yaw_rate) in m, rad, m/s, rad/s."""
        joint = self._data.joint("base_link")
        x, y, _, qw, qx, qy, qz = joint.qpos
        yaw = math.atan2(2.0 * (qw * qz + qx * qy), 1.0 - 2.0 * (qy * qy + qz * qz))
        # A free joint has its linear speed in the world, its angular one in the body.
        vx, vy, _, _, _, yaw_rate = joint.qvel
        return np.array((x, y, yaw, vx * math.cos(yaw) + vy * math.sin(yaw), yaw_rate))

    def step(self, action: Sequence[float], duration: float) -> None:
        """
        Follow the twist `action`, (v, yaw_rate) in m/s and rad/s, for `duration` s.

        Time of less than one step is kept for the next call.
        """
        step = self._model.opt.timestep
        steps = int((self._surplus + duration) / step + 1e-9)
        self._surplus += duration - steps * step
        limits = zip(action, TWIST_LOW, TWIST_HIGH, strict=True)
        target = [min(max(float(value), low), high) for value, low, high in limits]
        for _ in range(steps):
            self._twist = [
                now + min(max(aim - now, -limit * step), limit * step)
                for now, aim, limit in zip(self._twist, target, ACCELERATION, strict=True)
            ]
            v, difference = self._twist[0], 0.5 * self._twist[1] * self.wheel_separation
            rims = np.array([v - difference, v + difference])
            self._data.ctrl[:] = rims / self.wheel_radius
            self._walk()
            self._mujoco.mj_step(self._model, self._data)
            geoms = self._data.contact.geom
            touches = geoms[self._kind[geoms].prod(axis=1) == 2]
            for index in touches[self._kind[touches] == 2] if touches.size else ():
                self._touched[self._model.geom(index).name or f"geom {index}"] = None

    def _walk(self) -> None:
        """Move the pedestrians to where they are now."""
        for place, pedestrian in zip(self._data.mocap_pos, self._pedestrians, strict=True):
            place[:2] = pedestrian.at(self._data.time)[0]

    @property
    def has_pedestrians(self) -> bool:
        """Whether pedestrians walk in the world."""
        return bool(self._pedestrians)

    def moving_obstacles(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return positions (n, 2), m, velocities (n, 2), m/s, and radii (n,), m, of pedestrians."""
        return observed(self._pedestrians, self._data.time)

    def scan(self) -> np.ndarray:
        """Return the ranges (BEAMS,), m, counterclockwise from behind; inf without an obstacle."""
        mujoco, model, data = self._mujoco, self._model, self._data
        mujoco.mj_kinematics(model, data)  # Positions are still those before the last step.
        site = data.site(self._site)
        directions = self._beams @ site.xmat.reshape(3, 3).T
        ranges, geoms = np.empty(BEAMS), np.empty(BEAMS, np.int32)
        low, high = LIDAR["range_min"], LIDAR["range_max"]
        mujoco.mj_multiRay(
            m=model,
            d=data,
            pnt=site.xpos,
            vec=directions.ravel(),
            geomgroup=self._seen,
            flg_static=True,
            bodyexclude=-1,
            geomid=geoms,
            dist=ranges,
            normal=None,
            nray=BEAMS,
            cutoff=high,
        )
        noisy = ranges + self._range_noise * self._random.standard_normal(BEAMS)
        noisy = np.where(noisy < low, -np.inf, noisy)
        return np.where((ranges < 0.0) | (noisy > high), np.inf, noisy)
