# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Learning: models from recorded data, and policies from simulated episodes."""
