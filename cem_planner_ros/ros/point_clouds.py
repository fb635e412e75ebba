# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Point clouds with named fields (sensor_msgs/PointCloud2) from arrays; `readers` reads them."""

from __future__ import annotations

import array
from collections.abc import Mapping

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField


def write_fields(values: Mapping[str, np.ndarray]) -> PointCloud2:
    """Return a cloud with a float32 field for each name; the values are (n,). It has no header."""
    data = np.column_stack(list(values.values())).astype("<f4")
    return PointCloud2(
        height=1,
        width=len(data),
        fields=[
            PointField(name=name, offset=4 * index, datatype=PointField.FLOAT32, count=1)
            for index, name in enumerate(values)
        ],
        point_step=4 * data.shape[1],
        row_step=data.nbytes,
        data=array.array("B", data.tobytes()),
        is_dense=True,
    )
