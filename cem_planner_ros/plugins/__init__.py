# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Plugins: declared parameters, loading by name, and trying out."""
