# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""What tests ask of the stop guard."""

import numpy as np


def can_stop(guard, costmap, state, age, before, action, moving=None, safe=None):
    """Return whether the stop guard lets a command through unchanged; see its `bounded`."""
    action = np.asarray(action, float)
    safe = np.zeros_like(action) if safe is None else safe
    chosen = guard.bounded(costmap, state, age, before, action, safe, moving)
    return chosen is not None and np.array_equal(chosen, action)
