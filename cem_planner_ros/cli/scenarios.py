# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The scenarios of `demo`, by name."""

from __future__ import annotations

from collections.abc import Mapping

from cem_planner_ros.cli.arm_demo import ArmScenario
from cem_planner_ros.cli.cartpole_demo import CartPoleScenario, LearnedCartPoleScenario
from cem_planner_ros.cli.demo_scenario import Scenario
from cem_planner_ros.cli.drive_demo import DiffDriveScenario
from cem_planner_ros.cli.quadrotor_demo import QuadrotorScenario
from cem_planner_ros.cli.quadruped_demo import QuadrupedScenario

SCENARIOS: Mapping[str, type[Scenario]] = {
    "arm": ArmScenario,
    "cartpole": CartPoleScenario,
    "cartpole_learned": LearnedCartPoleScenario,
    "diff_drive": DiffDriveScenario,
    "quadrotor": QuadrotorScenario,
    "quadruped": QuadrupedScenario,
}
