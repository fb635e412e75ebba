# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The page in a browser: scene, panel and plots, drawn from plain data."""
