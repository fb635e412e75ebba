# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The control loop: schedule, budget, and commands when there is no plan. Knows time, no ROS."""
