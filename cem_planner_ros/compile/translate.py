"""
Writing a traced PyTorch function as C++ on scalars, inside a loop over samples.

`make_fx` traces a function of (rows, N) tensors into a graph of PyTorch operations. A tensor of the
graph becomes an array of C++ expressions, one for each row; an operation on shapes only moves
expressions, a pointwise one writes an assignment for each row.
"""

from __future__ import annotations

import functools
import itertools
import math
import operator
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

LANES = 509
"""Samples in the traced call: a prime that no dimension of a model has, so it marks the samples."""

MAX_OPERATIONS = 20_000


class UnsupportedError(Exception):
    """The rollout cannot be compiled to a kernel; the text says why."""


@dataclass
class Value:
    """
    A tensor of the traced graph as C++ expressions.

    `rows` holds one expression for each element of the leading dimensions. With `lanes`, the last
    dimension of the tensor, the samples, is the loop variable and not part of `rows`. `table` is
    where the elements of a constant lie in memory, one after the other, if that is known.
    """

    rows: np.ndarray
    lanes: bool
    table: str = ""

    @property
    def rank(self) -> int:
        """Dimensions of the tensor, the samples counted."""
        return self.rows.ndim + self.lanes


def rows_of(items: list[str], shape: tuple[int, ...]) -> np.ndarray:
    """Return expressions as an array of a shape."""
    rows = np.empty(len(items), dtype=object)
    rows[:] = items
    return rows.reshape(shape)


class _Unread:
    """An element of a table, which can only be looked up; written as an expression it refuses."""

    def __format__(self, spec: str) -> str:
        raise UnsupportedError(
            f"a constant of more than {MAX_OPERATIONS} elements is used otherwise than looked up"
        )


class Translator:
    """Writes the body of a loop over samples from a traced graph."""

    def __init__(self, numbers: list[torch.Tensor]):
        self.numbers = numbers
        self.lines: list[str] = []
        self._names = itertools.count()

    def assign(self, expression: str, kind: str = "float") -> str:
        """Write `const kind vI = expression;` and return vI."""
        if len(self.lines) >= MAX_OPERATIONS:
            raise UnsupportedError(f"a step has more than {MAX_OPERATIONS} scalar operations")
        name = f"v{next(self._names)}"
        self.lines.append(f"const {kind} {name} = {expression};")
        return name

    def translate(self, function: Callable, inputs: list[Value], examples: list[torch.Tensor]):
        """Trace `function` on `examples` and return its outputs as values."""
        with torch.no_grad():
            # make_fx counts the parameters of a method wrongly, of a lambda not at all.
            graph = make_fx(lambda *args: function(*args), decomposition_table=_decompositions())(
                *examples
            )
        environment: dict[torch.fx.Node, object] = {}
        arguments = iter(inputs)
        for node in graph.graph.nodes:
            if node.op == "placeholder":
                environment[node] = next(arguments)
            elif node.op == "get_attr":
                environment[node] = self._constant(operator.attrgetter(node.target)(graph))
            elif node.op == "output":
                return torch.fx.node.map_arg(node.args[0], environment.__getitem__)
            else:
                args = torch.fx.node.map_arg(node.args, environment.__getitem__)
                kwargs = torch.fx.node.map_arg(node.kwargs, environment.__getitem__)
                environment[node] = self._call(node, args, kwargs)
        raise AssertionError("a traced graph ends in an output")

    def _constant(self, tensor: torch.Tensor) -> Value:
        """
        A tensor that the plugin owns. Floats are read at run time, the rest is written as it is.

        A tensor that was made during the trace has no owner; keeping it here keeps it alive.
        """
        if tensor.ndim and tensor.shape[-1] == LANES:
            raise UnsupportedError("a constant has a value for each sample")
        count, table = tensor.numel(), ""
        is_large = count > MAX_OPERATIONS
        if tensor.dtype == torch.float32 and tensor.is_contiguous():
            index = next((i for i, t in enumerate(self.numbers) if t is tensor), len(self.numbers))
            if index == len(self.numbers):
                self.numbers.append(tensor)
            table = f"numbers[{index}]"
            # Read before the loops.
            numbers = (f"n{index}_{i}" for i in range(count))
            items = [_Unread()] * count if is_large else list(numbers)
        elif is_large:
            raise UnsupportedError(f"a constant of {tensor.dtype} has {count} elements")
        else:
            items = [_literal(item) for item in tensor.reshape(-1).tolist()]
        return Value(rows_of(items, tuple(tensor.shape)), lanes=False, table=table)

    def _call(self, node: torch.fx.Node, args: tuple, kwargs: dict):
        if node.target is operator.getitem:
            return args[0][args[1]]
        name = str(node.target).removeprefix("aten.")
        base = name.partition(".")[0]
        if base in _POINTWISE:
            kind = node.meta["val"].dtype
            if kind != torch.float32 and (kind != torch.bool or base in _ARITHMETIC):
                raise UnsupportedError(f"operation '{name}' on {kind}")
            return self._pointwise(base, args, kwargs)
        if base in _SHAPES:
            return _SHAPES[base](self, args, kwargs, node.meta.get("val"))
        raise UnsupportedError(f"operation '{name}' has no translation")

    def _pointwise(self, base: str, args: tuple, kwargs: dict) -> Value:
        template, arity = _POINTWISE[base]
        operands = [self._operand(arg) for arg in args[:arity]]
        if base in ("add", "sub") and kwargs.get("alpha", 1) != 1:
            raise UnsupportedError(f"operation '{base}' with alpha")
        if base == "div" and kwargs.get("rounding_mode"):
            template = {"floor": "floorf({0} / {1})", "trunc": "truncf({0} / {1})"}[
                kwargs["rounding_mode"]
            ]
        if base == "clamp":
            low, high = (*args[1:], None, None)[:2]
            template, operands = "{0}", operands[:1]
            for bound, function in ((low, "max"), (high, "min")):
                if bound is not None:
                    operands.append(self._operand(bound))
                    template = _bound(template, f"{{{len(operands) - 1}}}", function)
        lanes = any(operand.lanes for operand in operands)
        if lanes:
            operands = [self._along_lanes(operand) for operand in operands]
        arrays = np.broadcast_arrays(*(operand.rows for operand in operands))
        kind = "bool" if base in _BOOLEAN else "float"
        items = [
            self.assign(template.format(*row), kind)
            for row in zip(*(array.reshape(-1) for array in arrays), strict=True)
        ]
        return Value(rows_of(items, arrays[0].shape), lanes)

    def _operand(self, arg) -> Value:
        if isinstance(arg, Value):
            return arg
        if isinstance(arg, (bool, int, float)):
            return Value(rows_of([_literal(arg)], ()), lanes=False)
        raise UnsupportedError(f"an operand of type {type(arg).__name__}")

    @staticmethod
    def _along_lanes(value: Value) -> Value:
        """Drop the last dimension of a constant, of length 1, beside an operand with lanes."""
        if value.lanes or value.rows.ndim == 0:
            return value
        if value.rows.shape[-1] != 1:
            raise UnsupportedError("a constant with several values along the samples")
        return Value(value.rows[..., 0], lanes=False)


def _literal(item: bool | int | float) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    if math.isnan(item):
        return "NAN"
    if math.isinf(item):
        return "INFINITY" if item > 0 else "-INFINITY"
    return f"({float(item)!r}f)"


def _bound(value: str, bound: str, function: str) -> str:
    """Write torch.clamp's half: unlike fmaxf, a NaN stays a NaN."""
    comparison = "<" if function == "max" else ">"
    return f"({value} {comparison} {bound} ? {bound} : {value})"


# Operation -> (C++ template, number of operands).
_POINTWISE = {
    "add": ("{0} + {1}", 2),
    "sub": ("{0} - {1}", 2),
    "mul": ("{0} * {1}", 2),
    "div": ("{0} / {1}", 2),
    "neg": ("-{0}", 1),
    "reciprocal": ("1.0f / {0}", 1),
    "abs": ("fabsf({0})", 1),
    "sign": ("float({0} > 0.0f) - float({0} < 0.0f)", 1),
    "sqrt": ("sqrtf({0})", 1),
    "rsqrt": ("1.0f / sqrtf({0})", 1),
    "floor": ("floorf({0})", 1),
    "ceil": ("ceilf({0})", 1),
    "trunc": ("truncf({0})", 1),
    "relu": ("({0} < 0.0f ? 0.0f : {0})", 1),
    "sigmoid": ("1.0f / (1.0f + exponential(-{0}))", 1),
    "pow": ("power({0}, {1})", 2),
    "remainder": ("({0} - {1} * floorf({0} / {1}))", 2),
    "maximum": ("({0} > {1} || {0} != {0} ? {0} : {1})", 2),
    "minimum": ("({0} < {1} || {0} != {0} ? {0} : {1})", 2),
    "clamp": ("", 1),
    "where": ("({0} ? {1} : {2})", 3),
    "isnan": ("{0} != {0}", 1),
    "isinf": ("fabsf({0}) == INFINITY", 1),
    "gt": ("{0} > {1}", 2),
    "ge": ("{0} >= {1}", 2),
    "lt": ("{0} < {1}", 2),
    "le": ("{0} <= {1}", 2),
    "eq": ("{0} == {1}", 2),
    "ne": ("{0} != {1}", 2),
    "logical_and": ("{0} && {1}", 2),
    "logical_or": ("{0} || {1}", 2),
    "logical_not": ("!{0}", 1),
    "bitwise_and": ("{0} && {1}", 2),
    "bitwise_or": ("{0} || {1}", 2),
    "bitwise_not": ("!{0}", 1),
    **{
        name: (f"{name}f({{0}})", 1)
        for name in [
            "asin",
            "acos",
            "sinh",
            "cosh",
            "expm1",
            "log",
            "log1p",
            "erf",
        ]
    },
    "sin": ("sine({0}, 0.0f)", 1),
    "cos": ("sine({0}, 1.0f)", 1),
    "tan": ("sine({0}, 0.0f) / sine({0}, 1.0f)", 1),
    "atan": ("arctangent({0})", 1),
    "atan2": ("arctangent2({0}, {1})", 2),
    "exp": ("exponential({0})", 1),
    "tanh": ("hyperbolic_tangent({0})", 1),
    "hypot": ("sqrtf({0} * {0} + {1} * {1})", 2),
}

_ARITHMETIC = "add sub mul maximum minimum".split()

_FORMULAS = "elu gelu leaky_relu silu hardtanh softplus mish log_sigmoid_forward addmm".split()


@functools.cache  # Gathering them takes a third of a trace.
def _decompositions() -> dict:
    """Return what is traced as the core operations that it is made of."""
    decompositions = dict(core_aten_decompositions())
    # Core operations that are simple formulas all the same.
    decompositions |= get_decompositions([getattr(torch.ops.aten, name) for name in _FORMULAS])
    # It would write a stack of rows as one long row, which hides where the samples are.
    decompositions.pop(torch.ops.aten.stack.default, None)
    return decompositions


_BOOLEAN = {
    *(["isnan", "isinf", "gt", "ge", "lt", "le", "eq", "ne"]),
    *(["logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or", "bitwise_not"]),
}


def _leading(value: Value, dim: int, grow: int = 0) -> int:
    """Return `dim` counted from the front; raise UnsupportedError if it is that of the samples."""
    rank = value.rank + grow
    dim %= rank
    if value.lanes and dim == rank - 1:
        raise UnsupportedError("an operation across the samples")
    return dim


def _shape(rows: np.ndarray, lanes: bool) -> Value:
    return Value(np.asarray(rows, dtype=object), lanes)


def _same(translator, args, kwargs, result):
    return args[0]


def _select(translator, args, kwargs, result):
    value, dim, index = args
    return _shape(np.take(value.rows, index, _leading(value, dim)), value.lanes)


def _slice(translator, args, kwargs, result):
    value, dim, start, end, step = (*args, *(0, None, None, 1)[len(args) - 1 :])
    whole = (start or 0) == 0 and (end is None or end >= LANES) and step == 1
    if value.lanes and dim % value.rank == value.rank - 1 and whole:
        return value
    index = [slice(None)] * value.rows.ndim
    index[_leading(value, dim)] = slice(start, end, step)
    return _shape(value.rows[tuple(index)], value.lanes)


def _unsqueeze(translator, args, kwargs, result):
    value, dim = args
    dim %= value.rank + 1
    if value.lanes and dim == value.rank:
        raise UnsupportedError("a dimension behind the samples")
    return _shape(np.expand_dims(value.rows, dim), value.lanes)


def _squeeze(translator, args, kwargs, result):
    value, dims = args[0], args[1] if len(args) > 1 else range(args[0].rows.ndim)
    dims = [dims] if isinstance(dims, int) else dims
    dims = [d % value.rank for d in dims]
    dims = tuple(d for d in dims if d < value.rows.ndim and value.rows.shape[d] == 1)
    return _shape(np.squeeze(value.rows, dims), value.lanes)


def _view(translator, args, kwargs, result):
    value, shape = args[0], list(args[1])
    if value.lanes:
        if shape[-1] not in (LANES, -1):
            raise UnsupportedError("a view that mixes samples with another dimension")
        shape = shape[:-1]
    return Value(value.rows.reshape(shape), value.lanes, value.table)


def _expand(translator, args, kwargs, result):
    value, shape = args[0], list(args[1])
    lanes = value.lanes or shape[-1] == LANES
    rows = value.rows if value.lanes or not lanes or not value.rows.ndim else value.rows[..., 0]
    shape = shape[:-1] if lanes else shape
    aligned = (1,) * (len(shape) - rows.ndim) + rows.shape
    shape = [have if want == -1 else want for want, have in zip(shape, aligned, strict=True)]
    return _shape(np.broadcast_to(rows, shape), lanes)


def _permute(translator, args, kwargs, result):
    value, order = args[0], [d % args[0].rank for d in args[1]]
    if value.lanes:
        if order[-1] != value.rank - 1:
            raise UnsupportedError("a permutation that moves the samples")
        order = order[:-1]
    return _shape(np.transpose(value.rows, order), value.lanes)


def _flip(translator, args, kwargs, result):
    value, dims = args
    return _shape(np.flip(value.rows, [_leading(value, dim) for dim in dims]), value.lanes)


def _joined(join: Callable, grow: int):
    def translate(translator, args, kwargs, result):
        values, dim = args[0], args[1] if len(args) > 1 else 0
        lanes = any(value.lanes for value in values)
        if lanes and not all(value.lanes for value in values):
            raise UnsupportedError("joining tensors with and without samples")
        return _shape(join([v.rows for v in values], _leading(values[0], dim, grow)), lanes)

    return translate


def _unbind(translator, args, kwargs, result):
    value, dim = args[0], args[1] if len(args) > 1 else 0
    parts = np.moveaxis(value.rows, _leading(value, dim), 0)
    return [_shape(part, value.lanes) for part in parts]


def _index(translator, args, kwargs, result):
    value, indices = args
    if len(indices) == 1 and indices[0].lanes:
        return _looked_up(translator, value, indices[0])
    index = []
    for entry in indices:
        if entry is None:
            index.append(slice(None))
            continue
        literals = [item.strip("(f)") for item in entry.rows.reshape(-1)]
        try:
            numbers = [int(float(item)) for item in literals]
        except ValueError:
            raise UnsupportedError("an index that is computed or a mask") from None
        index.append(np.array(numbers).reshape(entry.rows.shape))
    if len(index) > value.rows.ndim:
        raise UnsupportedError("an index across the samples")
    return _shape(value.rows[tuple(index)], value.lanes)


def _looked_up(translator: Translator, value: Value, index: Value) -> Value:
    """Look each sample's place up in a table; what lies outside becomes its first or last."""
    if not value.table or value.rows.ndim != 1:
        raise UnsupportedError("an index by sample into what is no constant row of float32")
    count = len(value.rows)
    items = [
        translator.assign(f"{value.table}[within({item}, {count})]")
        for item in index.rows.reshape(-1)
    ]
    return Value(rows_of(items, index.rows.shape), lanes=True)


def _filled(item: float | None, value_at: int = 1):
    """full, zeros, ones and their like; `item` is None where the value is an argument."""

    def translate(translator, args, kwargs, result):
        lanes = result.ndim > 0 and result.shape[-1] == LANES
        filling = args[value_at] if item is None else item
        shape = tuple(result.shape[:-1] if lanes else result.shape)
        literal = _literal(bool(filling) if result.dtype == torch.bool else filling)
        return Value(np.full(shape, literal, dtype=object), lanes)

    return translate


def _reduction(combine: str, mean: bool = False):
    def translate(translator, args, kwargs, result):
        value = args[0]
        dims = args[1] if len(args) > 1 else None
        dims = range(value.rank) if dims is None or dims == [] else dims
        dims = tuple(_leading(value, d) for d in ([dims] if isinstance(dims, int) else dims))
        keep = args[2] if len(args) > 2 else kwargs.get("keepdim", False)
        rows = np.moveaxis(value.rows, dims, range(len(dims)))
        shape = rows.shape[len(dims) :]
        first, *others = rows.reshape(-1, math.prod(shape))
        items = list(first)
        for other in others:
            pairs = zip(items, other, strict=True)
            items = [translator.assign(combine.format(*pair)) for pair in pairs]
        if mean:
            items = [translator.assign(f"{item} / {len(others) + 1}.0f") for item in items]
        total = rows_of(items, shape)
        return _shape(np.expand_dims(total, sorted(dims)) if keep else total, value.lanes)

    return translate


def _vector_norm(translator, args, kwargs, result):
    value, order, *rest = args
    if order != 2:
        raise UnsupportedError(f"a vector norm of order {order}")
    squares = [translator.assign(f"{item} * {item}") for item in value.rows.reshape(-1)]
    value = Value(rows_of(squares, value.rows.shape), value.lanes)
    total = _reduction("{0} + {1}")(translator, (value, *rest), kwargs, result)
    roots = [translator.assign(f"sqrtf({item})") for item in total.rows.reshape(-1)]
    return Value(rows_of(roots, total.rows.shape), total.lanes)


def _mm(translator, args, kwargs, result):
    left, right = args[-2:]
    if left.lanes or left.rows.ndim != 2:
        raise UnsupportedError("a matrix product across the samples")
    items = []
    columns = right.rows[:, None] if right.lanes else right.rows
    for row in left.rows:
        for column in columns.T:
            terms = [f"{a} * {b}" for a, b in zip(row, column, strict=True)]
            items.append(translator.assign(" + ".join(terms)))
    shape = (len(left.rows),) if right.lanes else (len(left.rows), columns.shape[1])
    return Value(rows_of(items, shape), right.lanes)


def _bmm(translator, args, kwargs, result):
    left, right = args
    if left.lanes or not right.lanes:
        raise UnsupportedError("a product of stacks of matrices with samples in the left one")
    pairs = zip(left.rows, right.rows, strict=True)
    products = [
        _mm(translator, (_shape(a, False), _shape(b, True)), kwargs, result) for a, b in pairs
    ]
    return _shape(np.stack([product.rows for product in products]), True)


def _to_copy(translator, args, kwargs, result):
    value = args[0]
    kinds = {torch.float32: "float", torch.bool: "bool", torch.int64: "int", torch.int32: "int"}
    kind = "float" if result is None else kinds.get(result.dtype)
    if kind is None:
        raise UnsupportedError(f"a conversion to {result.dtype}")
    items = [translator.assign(f"{kind}({item})", kind) for item in value.rows.reshape(-1)]
    return Value(rows_of(items, value.rows.shape), value.lanes)


_SHAPES = {
    **dict.fromkeys(("clone", "detach", "alias", "lift_fresh_copy", "contiguous"), _same),
    **dict.fromkeys(("view", "_unsafe_view", "reshape"), _view),
    **dict.fromkeys(("full", "full_like"), _filled(None)),
    **dict.fromkeys(("zeros", "zeros_like"), _filled(0.0)),
    **dict.fromkeys(("ones", "ones_like"), _filled(1.0)),
    "scalar_tensor": _filled(None, value_at=0),
    "select": _select,
    "slice": _slice,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "expand": _expand,
    "permute": _permute,
    "flip": _flip,
    "stack": _joined(np.stack, 1),
    "cat": _joined(np.concatenate, 0),
    "unbind": _unbind,
    "index": _index,
    "sum": _reduction("{0} + {1}"),
    "mean": _reduction("{0} + {1}", mean=True),
    "prod": _reduction("{0} * {1}"),
    "amax": _reduction("({0} > {1} || {0} != {0} ? {0} : {1})"),
    "amin": _reduction("({0} < {1} || {0} != {0} ? {0} : {1})"),
    "linalg_vector_norm": _vector_norm,
    "mm": _mm,
    "bmm": _bmm,
    "_to_copy": _to_copy,
}
