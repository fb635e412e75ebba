# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What `python -m cem_planner_ros bench` measures; figures are in docs/benchmarks.md."""
