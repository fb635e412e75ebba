# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Finds out, before compiling, what plugins change from plan to plan."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import numpy as np
import torch

from cem_planner_ros.compile.watch import ChangedError, watched
from cem_planner_ros.navigation.costmap import OCCUPIED, Costmap
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.planning.rollout import Rollout

_CELLS = 100
"""Rows and columns of a costmap."""

_SQUARE = np.array([[1.0, 1.0], [-1.0, 1.0], [-1.0, -1.0], [1.0, -1.0]])
"""Corners of a footprint, m."""

_RESOLUTION = 0.1
"""m."""

_BEGIN = 1.0e3
"""s, when the first of the plans begins."""


def what_changes(rollout: Rollout, horizon: int, device: torch.device | str) -> str:
    """
    Return what `prepare` and `begin_plan` change although compiled code keeps it, as a text.

    A copy of the plugins is prepared for two different plans. The result is "" if nothing such
    changes, and also if the plugins cannot be copied or raise an error. In the latter case the
    watch of the execution finds the change, at the first plan.
    """
    try:
        rehearsed = copy.deepcopy(rollout)
        watch = watched(rehearsed, device)
        for state, action, time, surroundings in _beginnings(rehearsed):
            edges = rollout.dt * np.arange(horizon + 1)
            edges[1:] -= 0.5 * time % rollout.dt
            rehearsed.prepare(state, action, time, time, surroundings, edges)
            watch.check()
    except ChangedError as error:
        return (
            f"prepare or begin_plan changes what compiled code keeps: {error}; change tensors in "
            "place (copy_, fill_), which are read anew for each plan"
        )
    except Exception:  # A plugin may raise anything, also when it is copied.
        return ""
    return ""


def _beginnings(rollout: Rollout) -> Iterator[tuple[np.ndarray, np.ndarray, float, Surroundings]]:
    """Return what two plans begin with: state (nx,), action (nu,), time, s, and surroundings."""
    random = np.random.default_rng(0)
    dynamics = rollout.dynamics
    low, high = (np.asarray(bound, float) for bound in (dynamics.action_low, dynamics.action_high))
    for number in (1, 2):
        time = _BEGIN + number * rollout.dt
        cells = np.zeros((_CELLS, _CELLS), np.int8)
        cells[: 10 * number, 20:40] = OCCUPIED
        corner = -0.5 * _CELLS * _RESOLUTION - 0.1 * number
        points = np.array([[0.0, 0.1 * number], [2.0, 0.3], [3.0 + number, 1.0]])
        yield (
            random.normal(size=len(dynamics.state_names)),
            low + (high - low) * random.random(len(low)),
            time,
            Surroundings(
                Pose(2.0 + number, 1.0, 0.5 * number),
                ReferencePath.through(points, time + np.arange(3.0) * number),
                Costmap(cells, _RESOLUTION, Pose(corner, corner, 0.0), time),
                MovingObstacles(points, 0.1 * points, 0.1 * points[:, 0], time, time),
                footprint=Footprint.around(0.1 * number * _SQUARE, 4),
            ),
        )
