# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""How an iteration runs fast: a traced model becomes a C++ library or a CUDA kernel."""
