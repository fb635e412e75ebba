# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Pictures of costmaps and of their distance fields."""

from __future__ import annotations

import math

import numpy as np

UNKNOWN, INSIDE, NEAREST = (205, 215, 225), (60, 60, 60), (220, 40, 30)
"""Red, green, blue: of unknown cells, within an obstacle, and at its edge."""

FAR = 1.0
"""Distance from obstacles from which on the distance field has one colour, m."""

MOST_PIXELS = 600
"""Largest number of pixels of a side of the picture of a costmap; a larger map is thinned."""


def map_image(cells: np.ndarray) -> np.ndarray:
    """
    Return a picture (rows, columns, 3) of a costmap, dark where it is occupied.

    Its rows are those of the costmap: viser shows the first one on the side of -y.
    """
    cells = thinned(cells, np.maximum)
    grey = 255 - (np.clip(cells, 0, 100).astype(np.int16) * 225) // 100
    image = np.repeat(grey[..., None].astype(np.uint8), 3, axis=2)
    image[cells < 0] = UNKNOWN
    return image


def distance_image(distance: np.ndarray) -> np.ndarray:
    """
    Return a picture (rows, columns, 3) of a distance field (rows, columns), m.

    It is dark within obstacles, red at their edge, and white from FAR on.
    """
    distance = thinned(distance, np.minimum)
    share = np.clip(distance / FAR, 0.0, 1.0)[..., None]
    image = (np.array(NEAREST) + share * (255.0 - np.array(NEAREST))).astype(np.uint8)
    image[distance <= 0.0] = INSIDE
    return image


def thinned(cells: np.ndarray, combine: np.ufunc) -> np.ndarray:
    """Return cells with at most MOST_PIXELS in a row or column; several become one by `combine`."""
    step = math.ceil(max(cells.shape) / MOST_PIXELS)
    if step > 1:
        for axis, size in enumerate(cells.shape):
            cells = combine.reduceat(cells, np.arange(0, size, step), axis)
    return cells
