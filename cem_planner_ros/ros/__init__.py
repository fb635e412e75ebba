# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The ROS room: the nodes, and translation between ROS and the other rooms."""
