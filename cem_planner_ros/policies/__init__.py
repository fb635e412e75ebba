# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Policies, which return an action for a state without a search; `search-policy` finds them."""
