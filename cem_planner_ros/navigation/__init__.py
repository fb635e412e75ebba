# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What a mobile robot needs besides costs: goal, path, costmap, footprint, stop guard."""
