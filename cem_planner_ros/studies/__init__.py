# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Episodes in lockstep, workers that run them, and studies of parameters over them."""
