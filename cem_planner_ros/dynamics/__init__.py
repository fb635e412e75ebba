# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Dynamics plugins: one file for each family of models, and the interface in `base`."""
