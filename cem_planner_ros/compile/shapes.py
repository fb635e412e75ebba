# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Operations that move, join, make and overwrite elements, and compute nothing."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from cem_planner_ros.compile.writer import (
    KINDS,
    LANES,
    UnsupportedError,
    Value,
    kind_of,
    lane_of,
    literal,
    operand_of,
    result_of,
    rows_shape,
)


def _same(writer, node, args, kwargs):
    return args[0]


def _copy(writer, node, args, kwargs):
    return replace(args[0], rows=args[0].rows.copy())


def _select(writer, node, args, kwargs):
    value, dim, index = args
    dim = value.dim(dim)
    # A view, as PyTorch's: what is written into it is written into the whole.
    rows = value.rows[(slice(None),) * dim + (index,)]
    lane = value.lane - (dim < value.lane) if value.lane is not None else None
    # Of no dimension it would be no array, and no view.
    if not isinstance(rows, np.ndarray):
        rows = value.rows[(slice(None),) * dim + (slice(index, index + 1 or None),)].reshape(())
    return value.like(rows, lane)


def _slice(writer, node, args, kwargs):
    value, dim, start, end, step = (*args, *(0, None, None, 1)[len(args) - 1 :])
    if value.lane is not None and dim % value.rank == value.lane:
        if (start or 0) == 0 and (end is None or end >= LANES) and step == 1:
            return value
        raise UnsupportedError("an operation across the samples")
    rows = value.rows[(slice(None),) * (dim % value.rank) + (slice(start, end, step),)]
    return value.like(rows, value.lane)


def _unsqueeze(writer, node, args, kwargs):
    value, dim = args
    dim %= value.rank + 1
    lane = value.lane + (dim <= value.lane) if value.lane is not None else None
    return value.like(np.expand_dims(value.rows, dim), lane)


def _squeeze(writer, node, args, kwargs):
    value, dims = args[0], args[1] if len(args) > 1 else range(args[0].rank)
    dims = [d % max(1, value.rank) for d in ([dims] if isinstance(dims, int) else dims)]
    shape = value.rows.shape
    dims = tuple(d for d in dims if d != value.lane and d < len(shape) and shape[d] == 1)
    lane = value.lane
    if lane is not None:
        lane -= sum(d < lane for d in dims)
    return value.like(np.squeeze(value.rows, dims), lane)


def _view(writer, node, args, kwargs):
    value, shape = args[0], tuple(result_of(node).shape)
    lane = lane_of(shape)
    if value.lane is None:
        if lane is not None:
            raise UnsupportedError("a view that makes a dimension of samples")
        rows = value.rows.reshape(shape)
        return Value(rows, None, value.kind, value.table, value.fixed)
    before = math.prod(value.rows.shape[: value.lane])
    if lane is None or math.prod(shape[:lane]) != before:
        raise UnsupportedError("a view that mixes samples with another dimension")
    return value.like(value.rows.reshape(rows_shape(shape)), lane)


def _expand(writer, node, args, kwargs):
    value, shape = args[0], tuple(result_of(node).shape)
    return value.like(np.broadcast_to(value.rows, rows_shape(shape)), lane_of(shape))


def _permute(writer, node, args, kwargs):
    value = args[0]
    order = [d % value.rank for d in args[1]]
    lane = order.index(value.lane) if value.lane is not None else None
    return value.like(np.transpose(value.rows, order), lane)


def _flip(writer, node, args, kwargs):
    value, dims = args
    return value.like(np.flip(value.rows, [value.dim(dim) for dim in dims]), value.lane)


def _repeat(writer, node, args, kwargs):
    value, counts = args
    lane = lane_of(result_of(node).shape)
    if (lane is None) != (value.lane is None):
        raise UnsupportedError("an operation across the samples")
    return value.like(np.tile(value.rows, counts), lane)


def _joined(join: Callable, grow: int):
    def translate(writer, node, args, kwargs):
        values, dim = args[0], args[1] if len(args) > 1 else 0
        kind = kind_of(result_of(node).dtype, "cat")
        values = [writer.cast(value, kind) for value in values if value.rows.size]
        if not values:
            raise UnsupportedError("joining tensors without elements")
        if len({value.lane for value in values}) > 1:
            raise UnsupportedError("joining tensors with and without samples")
        dim = values[0].dim(dim, grow)
        lane = values[0].lane
        lane = lane + (grow and dim <= lane) if lane is not None else None
        return Value(np.asarray(join([v.rows for v in values], dim), dtype=object), lane, kind)

    return translate


def _split(writer, node, args, kwargs):
    """Return views of a tensor, one after the other along a dimension."""
    value = args[0]
    dim = value.dim(args[2] if len(args) > 2 else kwargs.get("dim", 0))
    edges = np.cumsum([0, *(part.shape[dim] for part in result_of(node))])
    ways = [(slice(None),) * dim + (slice(a, b),) for a, b in itertools.pairwise(edges)]
    return [value.like(value.rows[way], value.lane) for way in ways]


def _unbind(writer, node, args, kwargs):
    value, dim = args[0], args[1] if len(args) > 1 else 0
    count = value.rows.shape[value.dim(dim)]
    return [_select(writer, node, (value, dim, index), {}) for index in range(count)]


def _filled(item: float | None, value_at: int = 1):
    """full, zeros, ones and their like; `item` is None where the value is an argument."""

    def translate(writer, node, args, kwargs):
        result = result_of(node)
        filling = args[value_at] if item is None else item
        if isinstance(filling, Value):
            raise UnsupportedError("a tensor filled with a tensor")
        text = literal(filling, kind_of(result.dtype, "full"))
        rows = np.full(rows_shape(result.shape), text, dtype=object)
        return Value(rows, lane_of(result.shape), KINDS[result.dtype])

    return translate


def _scattered(writer, node, args, kwargs):
    """select_scatter and slice_scatter: a copy with a part of it written."""
    value, source, dim, *rest = args
    result = _copy(writer, node, (value,), {})
    take = _select if "select" in str(node.target) else _slice
    writer.write(take(writer, node, (result, dim, *rest), {}), source)
    return result


def _copied(writer, node, args, kwargs):
    """copy, of which copy_ writes the result."""
    return args[1]


def _fill(writer, node, args, kwargs):
    value, filling = args[:2]
    filling = operand_of(filling, value.kind, writer)
    return Value(np.broadcast_to(filling.rows, ()), None, value.kind)


SHAPES: dict[str, Callable] = {
    **dict.fromkeys(("detach", "alias"), _same),
    **dict.fromkeys(("clone", "lift_fresh_copy", "contiguous"), _copy),
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), _view),
    **dict.fromkeys(("full", "full_like"), _filled(None)),
    **dict.fromkeys(("zeros", "zeros_like", "new_zeros"), _filled(0.0)),
    **dict.fromkeys(("ones", "ones_like", "new_ones"), _filled(1.0)),
    **dict.fromkeys(("empty", "empty_like", "new_empty", "empty_strided"), _filled(0.0)),
    "new_full": _filled(None, value_at=2),
    "scalar_tensor": _filled(None, value_at=0),
    "select": _select,
    "slice": _slice,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "expand": _expand,
    "permute": _permute,
    "flip": _flip,
    "repeat": _repeat,
    "stack": _joined(np.stack, 1),
    "cat": _joined(np.concatenate, 0),
    **dict.fromkeys(("split", "split_with_sizes"), _split),
    "unbind": _unbind,
    "select_scatter": _scattered,
    "slice_scatter": _scattered,
    "copy": _copied,
    "fill": _fill,
    "zero": lambda writer, node, args, kwargs: _fill(writer, node, (args[0], 0), {}),
}
