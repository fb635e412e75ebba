# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Cost plugins: one file for each kind of cost, and the interface in `base`."""
