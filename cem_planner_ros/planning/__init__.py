# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The algorithm: Cross-Entropy search over action sequences. Knows no ROS, clock or thread."""
