# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Operations that combine the elements along dimensions: sums, extrema, sorting, products."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable

import numpy as np

from cem_planner_ros.compile.writer import (
    UnsupportedError,
    Value,
    Writer,
    kind_of,
    lane_of,
    literal,
    result_of,
    rows_of,
    rows_shape,
)


def _reduced_dims(value: Value, dims) -> tuple[int, ...]:
    dims = range(value.rank) if dims is None or dims == [] else dims
    return tuple(value.dim(d) for d in ([dims] if isinstance(dims, int) else dims))


def _reduce(writer: Writer, value: Value, dims: tuple, keep: bool, fold: Callable) -> Value:
    """Return what `fold` makes of the items along dims, a list for each other element."""
    rows = np.moveaxis(value.rows, dims, range(len(dims)))
    shape = rows.shape[len(dims) :]
    columns = rows.reshape(-1, math.prod(shape)).T
    total = rows_of([fold(list(column)) for column in columns], shape)
    lane = value.lane
    if keep:
        total = np.expand_dims(total, sorted(dims))
    elif lane is not None:
        lane -= sum(d < lane for d in dims)
    return Value(total, lane, value.kind)


def _folded(writer: Writer, combine: str, kind: str) -> Callable[[list[str]], str]:
    def fold(items: list[str]) -> str:
        return functools.reduce(
            lambda total, item: writer.assign(combine.format(total, item), kind), items
        )

    return fold


def _reduction(combine: str, empty: float | None = None):
    def translate(writer, node, args, kwargs):
        kind = kind_of(result_of(node).dtype, str(node.target))
        value = writer.cast(args[0], kind)
        dims = _reduced_dims(value, args[1] if len(args) > 1 else kwargs.get("dim"))
        keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
        fold = _folded(writer, combine, kind)
        return _reduce(
            writer, value, dims, keep, lambda items: fold(items or [literal(empty, kind)])
        )

    return translate


_sum = _reduction("{0} + {1}", 0)


def _mean(writer, node, args, kwargs):
    total = _sum(writer, node, args, kwargs)
    count = args[0].rows.size // max(1, total.rows.size)
    return writer.each(f"{{0}} / {literal(count, total.kind)}", total.kind, total)


def _deviation(template: str):
    """Var and std, computed in double as PyTorch does."""

    def translate(writer, node, args, kwargs):
        kind = kind_of(result_of(node).dtype, "var")
        value = writer.cast(args[0], "double")
        dims = _reduced_dims(value, args[1] if len(args) > 1 else kwargs.get("dim"))
        correction, keep = kwargs.get("correction"), kwargs.get("keepdim", False)
        correction = 1 if correction is None else correction

        def fold(items: list[str]) -> str:
            add = _folded(writer, "{0} + {1}", "double")
            mean = writer.assign(f"{add(items)} / {len(items)}.0", "double")
            apart = [f"({item} - {mean})" for item in items]
            squares = [writer.assign(f"{item} * {item}", "double") for item in apart]
            divisor = literal(max(0, len(items) - correction), "double")
            return writer.assign(template.format(f"{add(squares)} / {divisor}"), "double")

        return writer.cast(_reduce(writer, value, dims, keep, fold), kind)

    return translate


def _vector_norm(writer, node, args, kwargs):
    value, order, dims, keep = (*args, *(2, None, False)[len(args) - 1 :])
    kind = kind_of(result_of(node).dtype, "vector_norm")
    value = writer.cast(value, kind)
    dims = _reduced_dims(value, dims)
    add = _folded(writer, "{0} + {1}", kind)
    size = writer.each("fabs({0})", kind, value)
    if math.isinf(order):
        bound = "maximum({0}, {1})" if order > 0 else "minimum({0}, {1})"
        return _reduce(writer, size, dims, keep, _folded(writer, bound, kind))
    if order == 0:
        size = writer.each("({0} != 0 ? 1 : 0)", kind, size)
    elif order == 2:
        size = writer.each("{0} * {0}", kind, size)
    elif order != 1:
        size = writer.each(f"pow({{0}}, {literal(order, kind)})", kind, size)
    total = _reduce(writer, size, dims, keep, add)
    if order == 2:
        return writer.each("sqrt({0})", kind, total)
    if order in (0, 1):
        return total
    return writer.each(f"pow({{0}}, {literal(1.0 / order, kind)})", kind, total)


def _best(comparison: str):
    """The place of the smallest or largest; a NaN is both, and the first one counts."""

    def places(writer, value: Value, dims: tuple, keep: bool) -> tuple[Value, Value]:
        kind = value.kind

        def fold(items: list[str]) -> tuple[str, str]:
            best, place = items[0], literal(0, "long long")
            for number, item in enumerate(items[1:], 1):
                test = f"(({item} {comparison} {best}) | ({item} != {item})) & ({best} == {best})"
                better = writer.assign(test, "bool")
                best = writer.assign(f"({better} ? {item} : {best})", kind)
                number = literal(number, "long long")
                place = writer.assign(f"({better} ? {number} : {place})", "long long")
            return best, place

        found: list[tuple[str, str]] = []

        def note(items: list[str]) -> str:
            found.append(fold(items))
            return found[-1][0]

        best = _reduce(writer, value, dims, keep, note)
        where = rows_of([place for _, place in found], best.rows.shape)
        return best, Value(where, best.lane, "long long")

    return places


def _extremum(comparison: str):
    """Min or max: of all, or of a dimension with the places."""
    both = _best(comparison)

    def translate(writer, node, args, kwargs):
        value, keep = args[0], args[2] if len(args) > 2 else kwargs.get("keepdim", False)
        if len(args) == 1 and "dim" not in kwargs:
            return both(writer, value, _reduced_dims(value, None), False)[0]
        dim = args[1] if len(args) > 1 else kwargs["dim"]
        return both(writer, value, _reduced_dims(value, dim), keep)

    return translate


def _arg_extremum(comparison: str):
    both = _best(comparison)

    def translate(writer, node, args, kwargs):
        value, dim = args[0], args[1] if len(args) > 1 else kwargs.get("dim")
        keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
        return both(writer, value, _reduced_dims(value, dim), keep)[1]

    return translate


def _cumulative(combine: str):
    def translate(writer, node, args, kwargs):
        kind = kind_of(result_of(node).dtype, str(node.target))
        value = writer.cast(args[0], kind)
        if not value.rank:
            return value
        rows = np.moveaxis(value.rows, value.dim(args[1]), 0)
        items = [list(rows[0].reshape(-1))]
        for row in rows[1:]:
            pairs = zip(items[-1], row.reshape(-1), strict=True)
            items.append([writer.assign(combine.format(*pair), kind) for pair in pairs])
        found = rows_of(list(itertools.chain(*items)), rows.shape)
        return Value(np.moveaxis(found, 0, value.dim(args[1])), value.lane, kind)

    return translate


def _sort(writer, node, args, kwargs):
    """Sort, or take the first so many. NaN is the largest, as in PyTorch; equals keep order."""
    is_topk = "topk" in str(node.target)
    value, defaults = args[0], (-1, True) if is_topk else (-1, False)
    rest = args[2:] if is_topk else args[1:]
    dim, downwards = (*rest, *defaults[len(rest) :])[:2]
    dim, downwards = kwargs.get("dim", dim), kwargs.get("descending", downwards)
    wanted = args[1] if is_topk else None
    return _sorted(writer, value, value.dim(dim), downwards, wanted)


def _sorted(
    writer: Writer, value: Value, dim: int, downwards: bool, wanted: int | None = None
) -> tuple[Value, Value]:
    """Return the first `wanted` of the sorted elements along a dimension, and their places."""
    rows = np.moveaxis(value.rows, dim, -1)
    count = rows.shape[-1]
    if count > 16:
        raise UnsupportedError("sorting more than 16 elements")
    wanted = count if wanted is None else wanted
    columns = [
        _sorted_column(writer, list(column), value.kind, downwards)[:wanted]
        for column in rows.reshape(-1, count)
    ]
    shape = (*rows.shape[:-1], wanted)
    items, places = (
        np.moveaxis(rows_of([pair[i] for column in columns for pair in column], shape), -1, dim)
        for i in (0, 1)
    )
    return Value(items, value.lane, value.kind), Value(places, value.lane, "long long")


def _sorted_column(
    writer: Writer, items: list[str], kind: str, downwards: bool
) -> list[tuple[str, str]]:
    """Sort expressions by exchanging neighbours; return each with the place where it was."""
    worse = "{0} < {1}" if downwards else "{0} > {1}"
    nan = "(({1} != {1}) & ({0} == {0}))" if downwards else "(({0} != {0}) & ({1} == {1}))"
    pairs = [(item, literal(place, "long long")) for place, item in enumerate(items)]
    for last in range(len(pairs) - 1, 0, -1):
        for i in range(last):
            (a, pa), (b, pb) = pairs[i : i + 2]
            swap = writer.assign(f"({worse}) | {nan}".format(a, b), "bool")
            for this, (x, y), (px, py) in ((i, (b, a), (pb, pa)), (i + 1, (a, b), (pa, pb))):
                item = writer.assign(f"({swap} ? {x} : {y})", kind)
                place = writer.assign(f"({swap} ? {px} : {py})", "long long")
                pairs[this] = (item, place)
    return pairs


def _median(writer, node, args, kwargs):
    """The lower one of the two in the middle; a NaN wins."""
    value = args[0]
    if len(args) == 1:
        if value.lane is not None:
            raise UnsupportedError("an operation across the samples")
        value, dim, keep = value.like(value.rows.reshape(-1), None), 0, False
    else:
        dim, keep = value.dim(args[1]), args[2] if len(args) > 2 else False

    def at(part: Value, place: int) -> Value:
        rows, lane = np.take(part.rows, [place], dim), part.lane
        if not keep:
            rows = np.squeeze(rows, dim)
            lane = lane - (dim < lane) if lane is not None else None
        return part.like(rows, lane)

    both = _sorted(writer, value, dim, downwards=False)
    middle = (value.rows.shape[dim] - 1) // 2
    is_nan = writer.each("{0} != {0}", "bool", at(both[0], -1))
    found = [
        writer.each("({0} ? {1} : {2})", part.kind, is_nan, at(part, -1), at(part, middle))
        for part in both
    ]
    return found[0] if len(args) == 1 else tuple(found)


def _product(writer, node, args, kwargs):
    """mm, bmm, mv and dot: sums of products over the last dimension of the left one."""
    kind = kind_of(result_of(node).dtype, "mm")
    left, right = (writer.cast(value, kind) for value in args[-2:])
    inner = max(0, right.rank - 2)
    if left.lane == left.rank - 1 or (right.lane is not None and right.lane == inner):
        raise UnsupportedError("a matrix product across the samples")
    shape = tuple(result_of(node).shape)
    lane = lane_of(shape)
    # (..., n, 1, k) and (..., 1, m, k), broadcast.
    is_vector = right.rank == 1
    a, b = left.rows, right.rows[:, None] if is_vector else right.rows
    a = a[None] if left.rank == 1 else a
    a, b = np.broadcast_arrays(a[..., :, None, :], np.swapaxes(b, -1, -2)[..., None, :, :])
    items = []
    for one, other in zip(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]), strict=True):
        terms = [f"{x} * {y}" for x, y in zip(one, other, strict=True)]
        items.append(writer.assign(" + ".join(terms) or "0", kind))
    return Value(rows_of(items, rows_shape(shape)), lane, kind)


REDUCTIONS: dict[str, Callable] = {
    "sum": _sum,
    "mean": _mean,
    "var": _deviation("{0}"),
    "std": _deviation("sqrt({0})"),
    "prod": _reduction("{0} * {1}", 1),
    "any": _reduction("{0} | {1}", 0),
    "all": _reduction("{0} & {1}", 1),
    "amax": _reduction("maximum({0}, {1})"),
    "amin": _reduction("minimum({0}, {1})"),
    "max": _extremum(">"),
    "min": _extremum("<"),
    "argmax": _arg_extremum(">"),
    "argmin": _arg_extremum("<"),
    "cumsum": _cumulative("{0} + {1}"),
    "cumprod": _cumulative("{0} * {1}"),
    "sort": _sort,
    "topk": _sort,
    "median": _median,
    "linalg_vector_norm": _vector_norm,
    **dict.fromkeys(("mm", "bmm", "mv", "dot"), _product),
}
