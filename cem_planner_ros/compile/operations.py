# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The translation of each operation of a traced graph: `OPERATIONS`, by the name in PyTorch."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch._decomp import core_aten_decompositions, get_decompositions

from cem_planner_ros.compile.writer import (
    KINDS,
    LANES,
    UnsupportedError,
    Value,
    Writer,
    literal,
    rows_of,
)

# C++ of scalars. A name of PyTorch's that is missing in ONLY takes the type of the result.
_POINTWISE = {
    "add": "{0} + {1}",
    "sub": "{0} - {1}",
    "mul": "{0} * {1}",
    "div": "{0} / {1}",
    "neg": "-{0}",
    "reciprocal": "1 / {0}",
    "abs": "fabs({0})",
    "sign": "sign({0})",
    "sqrt": "sqrt({0})",
    "rsqrt": "1 / sqrt({0})",
    "floor": "floor({0})",
    "ceil": "ceil({0})",
    "trunc": "trunc({0})",
    "round": "rint({0})",
    "relu": "relu({0})",
    "sigmoid": "1 / (1 + exponential(-{0}))",
    "remainder": "remainder_of({0}, {1})",
    "fmod": "fraction_left({0}, {1})",
    "maximum": "maximum({0}, {1})",
    "minimum": "minimum({0}, {1})",
    "fmax": "fmax({0}, {1})",
    "fmin": "fmin({0}, {1})",
    "copysign": "with_sign({0}, {1})",
    "signbit": "has_sign({0})",
    "isnan": "{0} != {0}",
    "isinf": "fabs({0}) == INFINITY",
    "gt": "{0} > {1}",
    "ge": "{0} >= {1}",
    "lt": "{0} < {1}",
    "le": "{0} <= {1}",
    "eq": "{0} == {1}",
    "ne": "{0} != {1}",
    "logical_and": "{0} & {1}",
    "logical_or": "{0} | {1}",
    "logical_xor": "{0} != {1}",
    "logical_not": "!{0}",
    "bitwise_and": "{0} & {1}",
    "bitwise_or": "{0} | {1}",
    "bitwise_xor": "{0} ^ {1}",
    "bitwise_not": "~{0}",
    "sin": "sine({0}, 0.0f)",
    "cos": "sine({0}, 1.0f)",
    "tan": "sine({0}, 0.0f) / sine({0}, 1.0f)",
    "atan": "arctangent({0})",
    "atan2": "arctangent2({0}, {1})",
    "exp": "exponential({0})",
    "exp2": "exp2({0})",
    "tanh": "hyperbolic_tangent({0})",
    "hypot": "hypotenuse({0}, {1})",
    **{
        name: f"{name}({{0}})"
        for name in (
            "asin acos sinh cosh asinh acosh atanh expm1 log log1p log2 log10 erf erfc".split()
        )
    },
}

# What floats have in vectors, doubles have in the C library alone.
_DOUBLE = {
    "sin": "sin({0})",
    "cos": "cos({0})",
    "tan": "tan({0})",
    "atan": "atan({0})",
    "atan2": "atan2({0}, {1})",
    "exp": "exp({0})",
    "tanh": "tanh({0})",
    "sigmoid": "1 / (1 + exp(-{0}))",
}

_COMPARED = set("gt ge lt le eq ne isnan isinf signbit".split())
"""These operations compute in the type of their operands; others in the type of the result."""

_TRUTHS = set("logical_and logical_or logical_xor logical_not".split())

_BINARY = {name for name, template in _POINTWISE.items() if "{1}" in template}

_OF_INTEGERS = {
    **dict.fromkeys("floor ceil trunc round".split(), "{0}"),
    "abs": "({0} < 0 ? -{0} : {0})",
    "isinf": "false & {0}",
}

_FORMULAS = "elu gelu leaky_relu silu hardtanh softplus mish log_sigmoid_forward addmm".split()
_FORMULAS += "_softmax _log_softmax native_layer_norm logit special_entr".split()


@functools.cache  # Gathering them takes a third of a trace.
def decompositions() -> dict:
    """Return what is traced as the core operations that it is made of."""
    table = dict(core_aten_decompositions())
    # Core operations that are simple formulas all the same.
    names = [getattr(torch.ops.aten, name) for name in _FORMULAS if hasattr(torch.ops.aten, name)]
    table |= get_decompositions(names)
    # Their own is in float32, PyTorch's in float64.
    table.pop(torch.ops.aten.std.correction, None)
    # It would write a stack of rows as one long row, which hides where the samples are.
    table.pop(torch.ops.aten.stack.default, None)
    return table


def _result(node: torch.fx.Node) -> torch.Tensor:
    """Return the example of what an operation returns."""
    return node.meta["val"]


def _kind(dtype: torch.dtype, name: str) -> str:
    if dtype not in KINDS:
        raise UnsupportedError(f"operation '{name}' on {dtype}")
    return KINDS[dtype]


def _operand(arg, kind: str, writer: Writer) -> Value:
    """Return an operand, or a number of Python, in a type."""
    if isinstance(arg, Value):
        return writer.cast(arg, kind)
    if isinstance(arg, (bool, int, float)):
        return Value(rows_of([literal(arg, kind)], ()), None, kind)
    raise UnsupportedError(f"an operand of type {type(arg).__name__}")


def _common(node: torch.fx.Node, name: str, count: int) -> str:
    """Return the type to which PyTorch brings the first operands."""
    examples = [
        arg.meta["val"] if isinstance(arg, torch.fx.Node) else arg for arg in node.args[:count]
    ]
    dtype = torch.result_type(*examples) if count == 2 else examples[0].dtype
    return _kind(dtype, name)


def _pointwise(name: str):
    def translate(writer: Writer, node, args, kwargs) -> Value:
        kind = _kind(_result(node).dtype, name)
        count = 2 if name in _BINARY else 1
        computed = kind
        if name in _TRUTHS:
            computed = "bool"
        elif name in _COMPARED:
            computed = _common(node, name, count)
        operands = [_operand(arg, computed, writer) for arg in args[:count]]
        template = _POINTWISE[name]
        if computed == "double":
            template = _DOUBLE.get(name, template)
        if name in ("add", "sub") and kwargs.get("alpha", 1) != 1:
            alpha = literal(kwargs["alpha"], kind)
            template = template.replace("{1}", f"{alpha} * {{1}}")
        if name == "div" and (kwargs.get("rounding_mode") or kind not in ("float", "double")):
            template = {"floor": "floor_quotient({0}, {1})", "trunc": "cut_quotient({0}, {1})"}[
                kwargs["rounding_mode"]
            ]
        is_whole = computed not in ("float", "double")
        if name == "round" and kwargs.get("decimals"):
            scale = literal(10.0 ** abs(kwargs["decimals"]), kind)
            up, down = ("*", "/") if kwargs["decimals"] > 0 else ("/", "*")
            template = f"rint({{0}} {up} {scale}) {down} {scale}"
        if is_whole:
            template = _OF_INTEGERS.get(name, template)
        if computed == "bool":
            # C++ would compute with int, and another way round.
            template = {"bitwise_not": "!{0}", "add": "{0} | {1}", "mul": "{0} & {1}"}.get(
                name, template
            )
        return writer.each(template, kind, *operands)

    return translate


_POWERS = {
    2: "{0} * {0}",
    3: "{0} * {0} * {0}",
    0.5: "sqrt({0})",
    -0.5: "1 / sqrt({0})",
    -1: "1 / {0}",
    -2: "1 / ({0} * {0})",
}
"""Exponents for which PyTorch too has formulas."""


def _pow(writer, node, args, kwargs):
    kind = _kind(_result(node).dtype, "pow")
    base, exponent = (_operand(arg, kind, writer) for arg in args)
    if kind not in ("float", "double"):
        return writer.each("whole_power({0}, {1})", kind, base, exponent)
    if isinstance(args[1], (int, float)) and args[1] in _POWERS:
        return writer.each(_POWERS[args[1]], kind, base)
    template = "pow({0}, {1})" if kind == "double" else "power({0}, {1})"
    return writer.each(template, kind, base, exponent)


def _clamp(writer, node, args, kwargs):
    kind = _kind(_result(node).dtype, "clamp")
    low, high = (*args[1:], None, None)[:2]
    low, high = kwargs.get("min", low), kwargs.get("max", high)
    value = _operand(args[0], kind, writer)
    for bound, function in ((low, "at_least"), (high, "at_most")):
        if bound is not None:
            bound = _operand(bound, kind, writer)
            value = writer.each(f"{function}({{0}}, {{1}})", kind, value, bound)
    return value


def _where(writer, node, args, kwargs):
    kind = _kind(_result(node).dtype, "where")
    condition = _operand(args[0], "bool", writer)
    one, other = (_operand(arg, kind, writer) for arg in args[1:])
    return writer.each("({0} ? {1} : {2})", kind, condition, one, other)


def _lane_of(shape: Iterable[int]) -> int | None:
    """Return which dimension is that of the samples."""
    places = [i for i, length in enumerate(shape) if length == LANES]
    if len(places) > 1:
        raise UnsupportedError("an operation across the samples")
    return places[0] if places else None


def _rows_shape(shape: Iterable[int]) -> tuple[int, ...]:
    return tuple(1 if length == LANES else length for length in shape)


def _same(writer, node, args, kwargs):
    return args[0]


def _copy(writer, node, args, kwargs):
    value = args[0]
    return Value(value.rows.copy(), value.lane, value.kind, value.table, value.fixed)


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
    value, shape = args[0], tuple(_result(node).shape)
    lane = _lane_of(shape)
    if value.lane is None:
        if lane is not None:
            raise UnsupportedError("a view that makes a dimension of samples")
        rows = value.rows.reshape(shape)
        return Value(rows, None, value.kind, value.table, value.fixed)
    before = math.prod(value.rows.shape[: value.lane])
    if lane is None or math.prod(shape[:lane]) != before:
        raise UnsupportedError("a view that mixes samples with another dimension")
    return value.like(value.rows.reshape(_rows_shape(shape)), lane)


def _expand(writer, node, args, kwargs):
    value, shape = args[0], tuple(_result(node).shape)
    return value.like(np.broadcast_to(value.rows, _rows_shape(shape)), _lane_of(shape))


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
    lane = _lane_of(_result(node).shape)
    if (lane is None) != (value.lane is None):
        raise UnsupportedError("an operation across the samples")
    return value.like(np.tile(value.rows, counts), lane)


def _joined(join: Callable, grow: int):
    def translate(writer, node, args, kwargs):
        values, dim = args[0], args[1] if len(args) > 1 else 0
        kind = _kind(_result(node).dtype, "cat")
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


def _parts(bounds: Callable):
    """Views of a tensor, one after the other along a dimension."""

    def translate(writer, node, args, kwargs):
        value, dim = args[0], value_dim(args, kwargs)
        dim = value.dim(dim)
        edges = np.cumsum([0, *(part.shape[dim] for part in _result(node))])
        ways = [(slice(None),) * dim + (slice(a, b),) for a, b in itertools.pairwise(edges)]
        return [value.like(value.rows[way], value.lane) for way in ways]

    def value_dim(args, kwargs):
        return args[bounds] if len(args) > bounds else kwargs.get("dim", 0)

    return translate


def _unbind(writer, node, args, kwargs):
    value, dim = args[0], args[1] if len(args) > 1 else 0
    count = value.rows.shape[value.dim(dim)]
    return [_select(writer, node, (value, dim, index), {}) for index in range(count)]


def _choose(writer: Writer, options: list[str], place: str, kind: str) -> str:
    """Return the option at a place that is known at run time; from the end if it is negative."""
    if len(options) == 1:
        return options[0]
    place = writer.assign(f"({place} < 0 ? {place} + {len(options)} : {place})", "long long")
    chosen = options[-1]
    for number in reversed(range(len(options) - 1)):
        chosen = f"({place} == {number} ? {options[number]} : {chosen})"
    return writer.assign(chosen, kind)


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
    lane = _lane_of(whole.shape)
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


def _filled(item: float | None, value_at: int = 1):
    """full, zeros, ones and their like; `item` is None where the value is an argument."""

    def translate(writer, node, args, kwargs):
        result = _result(node)
        filling = args[value_at] if item is None else item
        if isinstance(filling, Value):
            raise UnsupportedError("a tensor filled with a tensor")
        text = literal(filling, _kind(result.dtype, "full"))
        rows = np.full(_rows_shape(result.shape), text, dtype=object)
        return Value(rows, _lane_of(result.shape), KINDS[result.dtype])

    return translate


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
        kind = _kind(_result(node).dtype, str(node.target))
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
        kind = _kind(_result(node).dtype, "var")
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
    kind = _kind(_result(node).dtype, "vector_norm")
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
        kind = _kind(_result(node).dtype, str(node.target))
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
    """Sort by exchanging neighbours. NaN is the largest, as in PyTorch; equals keep their order."""
    is_topk = "topk" in str(node.target)
    value, defaults = args[0], (-1, True) if is_topk else (-1, False)
    rest = args[2:] if is_topk else args[1:]
    dim, downwards = (*rest, *defaults[len(rest) :])[:2]
    dim, downwards = kwargs.get("dim", dim), kwargs.get("descending", downwards)
    dim = value.dim(dim)
    count = value.rows.shape[dim]
    if count > 16:
        raise UnsupportedError("sorting more than 16 elements")
    wanted = args[1] if is_topk else count
    columns = np.moveaxis(value.rows, dim, -1).reshape(-1, count)
    sign = "<" if downwards else ">"
    worse = f"{{0}} {sign} {{1}}"
    nan = "(({1} != {1}) & ({0} == {0}))" if downwards else "(({0} != {0}) & ({1} == {1}))"
    sorted_, places = [], []
    for column in columns:
        items = [(item, literal(i, "long long")) for i, item in enumerate(column)]
        for last in range(count - 1, 0, -1):
            for i in range(last):
                (a, pa), (b, pb) = items[i : i + 2]
                swap = writer.assign(f"({worse}) | {nan}".format(a, b), "bool")
                for this, (x, y), (px, py) in ((i, (b, a), (pb, pa)), (i + 1, (a, b), (pa, pb))):
                    item = writer.assign(f"({swap} ? {x} : {y})", value.kind)
                    place = writer.assign(f"({swap} ? {px} : {py})", "long long")
                    items[this] = (item, place)
        sorted_ += [item for item, _ in items[:wanted]]
        places += [place for _, place in items[:wanted]]
    shape = (*np.moveaxis(value.rows, dim, -1).shape[:-1], wanted)
    both = [np.moveaxis(rows_of(found, shape), -1, dim) for found in (sorted_, places)]
    return tuple(
        Value(rows, value.lane, kind)
        for rows, kind in zip(both, (value.kind, "long long"), strict=True)
    )


def _median(writer, node, args, kwargs):
    """The lower one of the two in the middle; a NaN wins."""
    value = args[0]
    if len(args) == 1:
        value, dim, keep = value.like(value.rows.reshape(-1), None), 0, False
        if args[0].lane is not None:
            raise UnsupportedError("an operation across the samples")
    else:
        dim, keep = value.dim(args[1]), args[2] if len(args) > 2 else False
    ways = _sort(writer, node, (value, dim, False), {})
    middle = (value.rows.shape[dim] - 1) // 2
    last = [_slice(writer, node, (way, dim, -1, None), {}) for way in ways]
    half = [_slice(writer, node, (way, dim, middle, middle + 1), {}) for way in ways]
    is_nan = writer.each("{0} != {0}", "bool", last[0])
    found = [
        writer.each("({0} ? {1} : {2})", a.kind, is_nan, a, b)
        for a, b in zip(last, half, strict=True)
    ]
    if not keep:
        found = [_squeeze(writer, node, (way, dim), {}) for way in found]
    return found[0] if len(args) == 1 else tuple(found)


def _product(writer, node, args, kwargs):
    """mm, bmm, mv and dot: sums of products over the last dimension of the left one."""
    kind = _kind(_result(node).dtype, "mm")
    left, right = (writer.cast(value, kind) for value in args[-2:])
    inner = max(0, right.rank - 2)
    if left.lane == left.rank - 1 or (right.lane is not None and right.lane == inner):
        raise UnsupportedError("a matrix product across the samples")
    shape = tuple(_result(node).shape)
    lane = _lane_of(shape)
    # (..., n, 1, k) and (..., 1, m, k), broadcast.
    is_vector = right.rank == 1
    a, b = left.rows, right.rows[:, None] if is_vector else right.rows
    a = a[None] if left.rank == 1 else a
    a, b = np.broadcast_arrays(a[..., :, None, :], np.swapaxes(b, -1, -2)[..., None, :, :])
    items = []
    for one, other in zip(a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1]), strict=True):
        terms = [f"{x} * {y}" for x, y in zip(one, other, strict=True)]
        items.append(writer.assign(" + ".join(terms) or "0", kind))
    return Value(rows_of(items, _rows_shape(shape)), lane, kind)


def _to_copy(writer, node, args, kwargs):
    value, kind = args[0], _kind(_result(node).dtype, "_to_copy")
    if value.kind == kind:
        return _copy(writer, node, args, kwargs)
    result = writer.each(
        writer.cast(Value(np.array("{0}", object), None, value.kind), kind).rows.item(),
        kind,
        value,
    )
    if kind == "long long" and value.kind == "float":
        # In vectors there is int everywhere, and int64 not; for a place in a table it does.
        pairs = zip(result.rows.reshape(-1), value.rows.reshape(-1), strict=True)
        writer.truncated |= {name: f"((int)({item}))" for name, item in pairs}
    return result


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
    filling = _operand(filling, value.kind, writer)
    return Value(np.broadcast_to(filling.rows, ()), None, value.kind)


OPERATIONS: dict[str, Callable] = {
    **{name: _pointwise(name) for name in _POINTWISE},
    "pow": _pow,
    "clamp": _clamp,
    "where": _where,
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
    "split": _parts(2),
    "split_with_sizes": _parts(2),
    "unbind": _unbind,
    "index": _index,
    "index_select": _index_select,
    "gather": _gather,
    "select_scatter": _scattered,
    "slice_scatter": _scattered,
    "copy": _copied,
    "fill": _fill,
    "zero": lambda writer, node, args, kwargs: _fill(writer, node, (args[0], 0), {}),
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
    "_to_copy": _to_copy,
}
