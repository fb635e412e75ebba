# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Simulated plants, for tests, benchmarks and the simulator node."""
