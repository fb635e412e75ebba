# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Operations that take elements at places, which the trace knows or which are computed."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cem_planner_ros.compile.writer import (
    LANES,
    UnsupportedError,
    Value,
    Writer,
    lane_of,
    rows_of,
)


def _index(writer, node, args, kwargs):
    value, indices = args
    given = [entry for entry in indices if entry is not None]
    if any(entry.kind == "bool" for entry in given):
        raise UnsupportedError("an index that is a mask: choose with torch.where")
    if all(entry.lane is None for entry in given):
        fixed = [_fixed_places(entry) for entry in given]
        if all(places is not None for places in fixed):
            places = iter(fixed)
            index = tuple(slice(None) if i is None else next(places) for i in indices)
            return _at(value, index)
        if value.table and len(given) == len(indices) == value.rank:
            return _looked_up(writer, value, given)
        if len(given) == 1:
            return _index_select(writer, node, (value, _first(indices), given[0]), {})
        raise UnsupportedError("several indices that are computed")
    if len(given) == len(indices) == value.rank and value.table:
        return _looked_up(writer, value, given)
    if len(indices) == 1 and value.lane is None and value.rank == 1:
        return _picked(writer, value, 0, indices[0])
    raise UnsupportedError("an index by sample into what is no constant")


def _first(indices: list) -> int:
    return next(i for i, entry in enumerate(indices) if entry is not None)


def _fixed_places(entry: Value) -> np.ndarray | None:
    """Return the numbers of an index that the trace knows, or None."""
    items = []
    for item in entry.rows.reshape(-1):
        text = str(item).strip("()").removesuffix("LL")
        if not text.lstrip("-").isdigit():
            return None
        items.append(int(text))
    return np.array(items, dtype=int).reshape(entry.rows.shape)


def _at(value: Value, index: tuple) -> Value:
    """Return what NumPy's indexing returns of a tensor; its samples may move."""
    if value.lane is not None:
        index = (*index, *(slice(None),) * (value.rank - len(index)))
        if not isinstance(index[value.lane], slice):
            raise UnsupportedError("an index across the samples")
    shape = list(value.rows.shape)
    if value.lane is None:
        return value.like(value.rows[index], None)
    shape[value.lane] = LANES
    whole = np.broadcast_to(value.rows, shape)[index]
    lane = lane_of(whole.shape)
    return value.like(np.take(whole, [0], lane), lane)


def _index_select(writer, node, args, kwargs):
    value, dim, entry = args
    dim = value.dim(dim)
    places = _fixed_places(entry) if entry.lane is None else None
    if places is not None:
        return _at(value, (slice(None),) * dim + (places,))
    if entry.lane is not None or entry.rank > 1:
        raise UnsupportedError("an index by sample into what is no constant")
    rows = np.moveaxis(value.rows, dim, 0)
    shape = rows.shape[1:]
    items = [
        _choose(writer, list(options), str(place), value.kind)
        for place in entry.rows.reshape(-1)
        for options in rows.reshape(len(rows), -1).T
    ]
    found = rows_of(items, (entry.rows.size, *shape))
    lane = value.lane
    if entry.rank == 0:
        lane = lane - (dim < lane) if lane is not None else None
        return value.like(found.reshape(shape), lane)
    return value.like(np.moveaxis(found, 0, dim), lane)


def _picked(writer: Writer, value: Value, dim: int, entry: Value) -> Value:
    """Return elements of a constant row at a place that each sample has of its own."""
    if value.rows.size > 64:
        raise UnsupportedError("an index by sample into what is no constant")
    options = list(value.rows)
    items = [_choose(writer, options, item, value.kind) for item in entry.rows.reshape(-1)]
    return Value(rows_of(items, entry.rows.shape), entry.lane, value.kind)


def _gather(writer, node, args, kwargs):
    value, dim, entry = args[:3]
    dim = value.dim(dim)
    if value.lane is not None and entry.lane not in (None, value.lane):
        raise UnsupportedError("an operation across the samples")
    if value.rank != entry.rank or entry.kind not in ("int", "long long"):
        raise UnsupportedError("a gather of another rank")
    rows = np.moveaxis(value.rows, dim, -1)
    items = []
    for place in np.ndindex(entry.rows.shape):
        other = tuple(p for axis, p in enumerate(place) if axis != dim)
        items.append(_choose(writer, list(rows[other]), entry.rows[place], value.kind))
    lane = value.lane if value.lane is not None else entry.lane
    return Value(rows_of(items, entry.rows.shape), lane, value.kind)


def _looked_up(writer: Writer, value: Value, indices: list[Value]) -> Value:
    """Look each sample's place up in a table; what lies outside becomes its first or last."""
    shape = value.rows.shape
    place = None
    for length, entry in zip(shape, indices, strict=True):
        items = [writer.truncated.get(item, item) for item in entry.rows.reshape(-1)]
        if entry.lane is None:  # It is cheap, as it is computed once for all samples.
            items = [f"({item} < 0 ? {item} + {length} : {item})" for item in items]
        entry = Value(rows_of(items, entry.rows.shape), entry.lane, "int")
        template, operands = f"within({{0}}, {length})", [entry]
        if place is not None:
            template, operands = f"{{1}} * {length} + {template}", [entry, place]
        place = writer.each(template, "int", *operands)
    return writer.each(f"{value.table}[{{0}}]", value.kind, place)


def _choose(writer: Writer, options: list[str], place: str, kind: str) -> str:
    """Return the option at a place that is known at run time; from the end if it is negative."""
    if len(options) == 1:
        return options[0]
    place = writer.assign(f"({place} < 0 ? {place} + {len(options)} : {place})", "long long")
    chosen = options[-1]
    for number in reversed(range(len(options) - 1)):
        chosen = f"({place} == {number} ? {options[number]} : {chosen})"
    return writer.assign(chosen, kind)


INDEXING: dict[str, Callable] = {
    "index": _index,
    "index_select": _index_select,
    "gather": _gather,
}
