# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Point clouds with named fields (sensor_msgs/PointCloud2), as arrays and back."""

from __future__ import annotations

import array
from collections.abc import Mapping, Sequence

import numpy as np
from sensor_msgs.msg import PointCloud2, PointField

from cem_planner_ros.readers import MessageError

KINDS = {
    PointField.INT8: "i1",
    PointField.UINT8: "u1",
    PointField.INT16: "i2",
    PointField.UINT16: "u2",
    PointField.INT32: "i4",
    PointField.UINT32: "u4",
    PointField.FLOAT32: "f4",
    PointField.FLOAT64: "f8",
}
"""NumPy's type of each `datatype` of a field, without the byte order."""


def point_count(message: PointCloud2) -> int:
    """Return the number of points of a cloud. Raises MessageError if its data has another size."""
    count = message.width * message.height
    is_whole = (
        message.row_step >= message.width * message.point_step
        and len(message.data) >= message.height * message.row_step
    )
    if count and not is_whole:
        raise MessageError(
            f"its data has {len(message.data)} bytes, expected {message.height} rows of "
            f"{message.row_step} bytes with {message.width} points of {message.point_step} bytes"
        )
    return count


def read_fields(message: PointCloud2, names: Sequence[str]) -> np.ndarray:
    """
    Return the values (n, k) of k fields of a cloud with n > 0 points, float64.

    Raises MessageError if a field is missing or has no place in a point.
    """
    count, fields = point_count(message), {field.name: field for field in message.fields}
    missing = [name for name in names if name not in fields]
    if missing:
        raise MessageError(
            f"it has no field '{missing[0]}', its fields are {', '.join(fields) or 'none'}; "
            f"expected {', '.join(names)}"
        )
    order = ">" if message.is_bigendian else "<"
    rows = np.frombuffer(message.data, np.uint8)[: message.height * message.row_step]
    rows = rows.reshape(message.height, -1)[:, : message.width * message.point_step]
    points = rows.reshape(count, message.point_step)
    values = np.empty((count, len(names)))
    for column, name in enumerate(names):
        field = fields[name]
        kind = np.dtype(order + KINDS[field.datatype]) if field.datatype in KINDS else None
        if kind is None or field.offset + kind.itemsize > message.point_step:
            raise MessageError(
                f"field '{name}' has datatype {field.datatype} at byte {field.offset} of "
                f"{message.point_step}, expected such as FLOAT32 (7) within the point"
            )
        bytes_of = points[:, field.offset : field.offset + kind.itemsize]
        values[:, column] = np.ascontiguousarray(bytes_of).view(kind)[:, 0]
    return values


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
