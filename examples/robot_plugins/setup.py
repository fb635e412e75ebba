# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A package with a model and a cost for cem_planner_ros."""

from setuptools import setup

setup(
    name="robot_plugins",
    version="0.1.0",
    description="A skid-steered robot and a place to keep out of, for cem_planner_ros",
    license="Apache-2.0",
    packages=["robot_plugins"],
    entry_points={
        "cem_planner_ros.dynamics": ["skid_steer = robot_plugins.skid_steer:SkidSteer"],
        "cem_planner_ros.costs": ["keep_out = robot_plugins.keep_out:KeepOut"],
    },
)
