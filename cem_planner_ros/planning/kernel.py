"""
Compiling the search for the CPU: one C++ library with a whole iteration in it.

The step of the model and of the costs is traced once into a graph of PyTorch operations
(`make_fx`). Every operation on (rows, N) is written as C++ on scalars inside a loop over a block of
samples, which g++ vectorises; the state of the block stays in the cache over the whole horizon.
Around it stand sampling, bounds and refitting (`search.cpp`), the same for every model. H, N and P
are arguments, so changing them compiles nothing, and the numbers of plugins are read through
pointers, so tuning them compiles nothing either.

Only what keeps samples apart can be written this way. Anything else raises `UnsupportedError`,
whose text says what it was.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import hashlib
import itertools
import math
import operator
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch._decomp import core_aten_decompositions, get_decompositions
from torch.fx.experimental.proxy_tensor import make_fx

from cem_planner_ros.planning.rollout import Rollout

LANES = 509
"""Samples in the traced call: a prime that no dimension of a model has, so it marks the samples."""

BLOCK = 64
"""Samples that run through the horizon together. A multiple of every vector length in use."""

COMPILER_FLAGS = (
    "-std=c++17 -O3 -march=native -fopenmp -fPIC -shared "
    "-fno-math-errno -fno-trapping-math -ffp-contract=fast"
).split()
"""No -ffast-math: a NaN must stay a NaN, or an invalid candidate would not be seen."""

MAX_OPERATIONS = 20_000


class UnsupportedError(Exception):
    """The rollout cannot be compiled to a kernel; the text says why."""


class Arguments(ctypes.Structure):
    """The struct Arguments of search.cpp, field by field."""

    def set(self, **values: int | float | torch.Tensor) -> None:
        """
        Set fields; of a tensor its address, and the tensor is kept alive with the struct.

        Tensors are contiguous float32, but for `first` (int64) and `use` (bool).
        """
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                kind = {"first": torch.int64, "use": torch.bool}.get(name, torch.float32)
                if not (value.is_contiguous() and value.dtype == kind):
                    raise TypeError(f"{name} must be contiguous and {kind}")
                self.__dict__.setdefault("tensors", {})[name] = value
                value = value.data_ptr()
            setattr(self, name, value)

    _fields_ = (
        [
            (name, ctypes.c_long)
            for name in (
                "horizon knots order modes samples stride elites kept slots explorers"
            ).split()
        ]
        + [(name, ctypes.c_int) for name in "weighting truncate threads".split()]
        + [(name, ctypes.c_uint32) for name in "seed plan iteration".split()]
        + [(name, ctypes.c_float) for name in "temperature momentum".split()]
        + [
            (name, ctypes.c_void_p)
            for name in (
                "state before durations first basis factor noise numbers low high step_reach "
                "first_reach std_initial std_min use mean std injected best_cost candidates costs "
                "ranks"
            ).split()
        ]
    )


class Kernel:
    """
    The compiled library of a rollout: whole iterations, and the bare rollout, on the CPU.

    Raises UnsupportedError if the model or a cost cannot be translated or no compiler works.
    """

    def __init__(self, rollout: Rollout):
        nx, nu = len(rollout.dynamics.state_names), len(rollout.dynamics.action_names)
        source, self._numbers = _generate(rollout, nx, nu)
        library = _compile(source)
        self.iterate, self._rollout = library.iterate, library.rollout
        for function in (self.iterate, self._rollout):
            function.restype = None
            function.argtypes = [ctypes.POINTER(Arguments)]
        self._pointers = (ctypes.c_void_p * max(1, len(self._numbers)))(
            *(number.data_ptr() for number in self._numbers)
        )
        self._compare(rollout, nx, nu)

    def _compare(self, rollout: Rollout, nx: int, nu: int) -> None:
        """
        Raise UnsupportedError if the library does not compute what PyTorch does.

        A plugin that reads a number in Python, or the count of samples, is traced with what it read
        then; other numbers and counts show it.
        """
        numbers = [
            number
            for plugin in (rollout.dynamics, *rollout.costs)
            for number in plugin.number_tensors
        ]
        before = [number.clone() for number in numbers]
        generator = torch.Generator().manual_seed(0)
        for scale, samples in ((1.0, BLOCK + 3), (1.25, 7)):
            state = torch.randn(nx, generator=generator)
            sequence = torch.randn(3, nu, samples, generator=generator)
            durations = torch.full((3,), rollout.dt) * torch.tensor([0.7, 1.0, 1.0])
            arguments = (state, sequence, sequence[0, :, 0].contiguous(), durations)
            try:
                for number in numbers:
                    number.mul_(scale)
                with torch.no_grad():
                    expected = rollout(*arguments)
                    got = self.rollout(*arguments)
            finally:
                for number, value in zip(numbers, before, strict=True):
                    number.copy_(value)
            same = torch.isclose(got, expected, rtol=1e-2, atol=1e-3)
            same |= ~torch.isfinite(got) & ~torch.isfinite(expected)
            if not same.all():
                raise UnsupportedError(
                    "the kernel and PyTorch disagree: does a plugin read a number or a size in "
                    "Python (item, float, int, shape), or keep a state of its own?"
                )

    def rollout(
        self,
        state: torch.Tensor,
        sequence: torch.Tensor,
        previous_action: torch.Tensor,
        durations: torch.Tensor,
        threads: int = 1,
    ) -> torch.Tensor:
        """Return what `Rollout.__call__` returns; float32 on the CPU."""
        horizon, nu, samples = sequence.shape
        stride = padded(samples)
        candidates = torch.zeros(horizon, nu, stride)
        candidates[..., :samples] = sequence
        costs = torch.empty(stride)
        arguments = self.arguments(
            horizon=horizon,
            knots=horizon,
            modes=1,
            samples=samples,
            stride=stride,
            threads=threads,
            state=state,
            before=previous_action,
            durations=durations,
            first=torch.arange(horizon),
            candidates=candidates,
            costs=costs,
        )
        self._rollout(arguments)
        return costs[:samples]

    def arguments(self, **values: int | float | torch.Tensor) -> Arguments:
        """Return arguments of the library, with those of `values` set; the rest is zero."""
        result = Arguments(numbers=ctypes.addressof(self._pointers))
        result.set(**values)
        return result


def padded(samples: int) -> int:
    """Return the length of a row of candidates, a whole number of blocks."""
    return -(-samples // BLOCK) * BLOCK


@dataclass
class _Value:
    """
    A tensor of the traced graph as C++ expressions.

    `rows` holds one expression for each element of the leading dimensions. With `lanes`, the last
    dimension of the tensor, the samples, is the loop variable and not part of `rows`.
    """

    rows: np.ndarray
    lanes: bool

    @property
    def rank(self) -> int:
        return self.rows.ndim + self.lanes


def _rows(items: list[str], shape: tuple[int, ...]) -> np.ndarray:
    rows = np.empty(len(items), dtype=object)
    rows[:] = items
    return rows.reshape(shape)


class _Translator:
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

    def translate(self, function: Callable, inputs: list[_Value], examples: list[torch.Tensor]):
        """Trace `function` on `examples` and return its outputs as values."""
        decompositions = dict(core_aten_decompositions())
        # Core operations that are simple formulas all the same.
        decompositions |= get_decompositions([getattr(torch.ops.aten, name) for name in _FORMULAS])
        # It would write a stack of rows as one long row, which hides where the samples are.
        decompositions.pop(torch.ops.aten.stack.default, None)
        with torch.no_grad():
            # make_fx counts the parameters of a method wrongly, of a lambda not at all.
            graph = make_fx(lambda *args: function(*args), decomposition_table=decompositions)(
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

    def _constant(self, tensor: torch.Tensor) -> _Value:
        """
        A tensor that the plugin owns. Floats are read at run time, the rest is written as it is.

        A tensor that was made during the trace has no owner; keeping it here keeps it alive.
        """
        if tensor.ndim and tensor.shape[-1] == LANES:
            raise UnsupportedError("a constant has a value for each sample")
        if tensor.numel() > MAX_OPERATIONS:
            raise UnsupportedError(f"a constant has {tensor.numel()} elements")
        if tensor.dtype == torch.float32 and tensor.is_contiguous():
            index = next((i for i, t in enumerate(self.numbers) if t is tensor), len(self.numbers))
            if index == len(self.numbers):
                self.numbers.append(tensor)
            items = [f"numbers[{index}][{i}]" for i in range(tensor.numel())]
        else:
            items = [_literal(item) for item in tensor.reshape(-1).tolist()]
        return _Value(_rows(items, tuple(tensor.shape)), lanes=False)

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

    def _pointwise(self, base: str, args: tuple, kwargs: dict) -> _Value:
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
        return _Value(_rows(items, arrays[0].shape), lanes)

    def _operand(self, arg) -> _Value:
        if isinstance(arg, _Value):
            return arg
        if isinstance(arg, (bool, int, float)):
            return _Value(_rows([_literal(arg)], ()), lanes=False)
        raise UnsupportedError(f"an operand of type {type(arg).__name__}")

    @staticmethod
    def _along_lanes(value: _Value) -> _Value:
        """Drop the last dimension of a constant, of length 1, beside an operand with lanes."""
        if value.lanes or value.rows.ndim == 0:
            return value
        if value.rows.shape[-1] != 1:
            raise UnsupportedError("a constant with several values along the samples")
        return _Value(value.rows[..., 0], lanes=False)


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
    "sigmoid": ("1.0f / (1.0f + expf(-{0}))", 1),
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
            "tan",
            "asin",
            "acos",
            "atan",
            "sinh",
            "cosh",
            "tanh",
            "exp",
            "expm1",
            "log",
            "log1p",
            "erf",
        ]
    },
    "sin": ("sine({0}, 0.0f)", 1),
    "cos": ("sine({0}, 1.0f)", 1),
    "atan2": ("atan2f({0}, {1})", 2),
    "hypot": ("hypotf({0}, {1})", 2),
}

_ARITHMETIC = "add sub mul maximum minimum".split()

_FORMULAS = "elu gelu leaky_relu silu hardtanh softplus mish log_sigmoid_forward addmm".split()

_BOOLEAN = {
    *(["isnan", "isinf", "gt", "ge", "lt", "le", "eq", "ne"]),
    *(["logical_and", "logical_or", "logical_not", "bitwise_and", "bitwise_or", "bitwise_not"]),
}


def _leading(value: _Value, dim: int, grow: int = 0) -> int:
    """Return `dim` counted from the front; raise UnsupportedError if it is that of the samples."""
    rank = value.rank + grow
    dim %= rank
    if value.lanes and dim == rank - 1:
        raise UnsupportedError("an operation across the samples")
    return dim


def _shape(rows: np.ndarray, lanes: bool) -> _Value:
    return _Value(np.asarray(rows, dtype=object), lanes)


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
    return _shape(value.rows.reshape(shape), value.lanes)


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


def _filled(item: float | None, value_at: int = 1):
    """full, zeros, ones and their like; `item` is None where the value is an argument."""

    def translate(translator, args, kwargs, result):
        lanes = result.ndim > 0 and result.shape[-1] == LANES
        filling = args[value_at] if item is None else item
        shape = tuple(result.shape[:-1] if lanes else result.shape)
        literal = _literal(bool(filling) if result.dtype == torch.bool else filling)
        return _Value(np.full(shape, literal, dtype=object), lanes)

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
        total = _rows(items, shape)
        return _shape(np.expand_dims(total, sorted(dims)) if keep else total, value.lanes)

    return translate


def _vector_norm(translator, args, kwargs, result):
    value, order, *rest = args
    if order != 2:
        raise UnsupportedError(f"a vector norm of order {order}")
    squares = [translator.assign(f"{item} * {item}") for item in value.rows.reshape(-1)]
    value = _Value(_rows(squares, value.rows.shape), value.lanes)
    total = _reduction("{0} + {1}")(translator, (value, *rest), kwargs, result)
    roots = [translator.assign(f"sqrtf({item})") for item in total.rows.reshape(-1)]
    return _Value(_rows(roots, total.rows.shape), total.lanes)


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
    return _Value(_rows(items, shape), right.lanes)


def _to_copy(translator, args, kwargs, result):
    value = args[0]
    if result is not None and result.dtype not in (torch.float32, torch.bool):
        raise UnsupportedError(f"a conversion to {result.dtype}")
    kind = "bool" if result is not None and result.dtype == torch.bool else "float"
    items = [translator.assign(f"{kind}({item})", kind) for item in value.rows.reshape(-1)]
    return _Value(_rows(items, value.rows.shape), value.lanes)


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
    "_to_copy": _to_copy,
}


def _generate(rollout: Rollout, nx: int, nu: int) -> tuple[str, list[torch.Tensor]]:
    """Return the C++ source and the tensors it reads through `numbers`, in their order."""
    numbers: list[torch.Tensor] = []

    def lanes(name: str, rows: int) -> _Value:
        return _Value(_rows([f"{name}[{i}][lane]" for i in range(rows)], (rows,)), lanes=True)

    state, action, previous = lanes("state", nx), lanes("action", nu), lanes("previous", nu)
    example_state, example_action = torch.rand(nx, LANES), torch.rand(nu, LANES)
    time, duration = (_Value(_rows([name], ()), lanes=False) for name in ("time", "duration"))

    step = _Translator(numbers)
    next_state, cost = step.translate(
        rollout.step,
        [state, action, previous, time, duration],
        [example_state, example_action, torch.rand(nu, LANES), torch.rand(()), torch.rand(())],
    )
    terminal = _Translator(numbers)
    last = terminal.translate(rollout.terminal, [state], [example_state])
    for what, value, shape in (
        ("dynamics.step returned", next_state, (nx,)),
        ("the stage costs are", cost, ()),
        ("the terminal costs are", last, ()),
    ):
        if value.rows.shape != shape:
            raise UnsupportedError(f"{what} of the wrong shape, expected {(*shape, 'N')}")
    # A model may only move its states about, so all are read before any is written.
    moves = [f"const float next{i} = {row};" for i, row in enumerate(next_state.rows)]
    moves += [f"state[{i}][lane] = next{i};" for i in range(nx)]
    moves += [f"previous[{i}][lane] = action[{i}][lane];" for i in range(nu)]
    parts = {
        "STEP": "\n".join([*step.lines, f"cost[lane] += {cost.rows.item()};", *moves]),
        "TERMINAL": "\n".join([*terminal.lines, f"cost[lane] += {last.rows.item()};"]),
    }
    source = f"#define NX {nx}\n#define NU {nu}\n#define BLOCK {BLOCK}\n{_SOURCE.read_text()}"
    for name, code in parts.items():
        source = source.replace(f"/* {name} */", code)
    return source, numbers


_SOURCE = Path(__file__).with_name("search.cpp")


def _cache_directory() -> Path:
    """Return where libraries are kept: of the user, or of this process where that cannot be."""
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
        folder = root / "cem_planner_ros" / "kernels"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError):  # RuntimeError: a user without a home.
        pass
    return _own_directory()


@functools.cache
def _own_directory() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="cem_planner_ros_")
    atexit.register(folder.cleanup)
    return Path(folder.name)


def _processor() -> str:
    """What decides on the code that -march=native makes."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return "".join(sorted({line for line in lines if line.startswith(("flags", "Features"))}))
    except OSError:
        return platform.processor()


def _compile(source: str) -> ctypes.CDLL:
    """Return the loaded library of `source`, from the cache if it was compiled here before."""
    compiler = os.environ.get("CXX") or "g++"
    if shutil.which(compiler) is None:
        raise UnsupportedError(f"no C++ compiler '{compiler}' on the path")
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True).stdout
    recipe = "\n".join((source, *COMPILER_FLAGS, version, _processor()))
    library = _cache_directory() / f"{hashlib.sha256(recipe.encode()).hexdigest()[:32]}.so"
    try:
        if library.exists():
            try:
                return ctypes.CDLL(str(library))
            except OSError:
                library.unlink()  # Cut short by a full disk, say.
        _build(compiler, source, library)
        return ctypes.CDLL(str(library))
    except OSError as error:
        raise UnsupportedError(f"the kernel cannot be written or loaded: {error}") from error


def _build(compiler: str, source: str, library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        code, result = Path(folder) / "search.cpp", Path(folder) / "search.so"
        code.write_text(source)
        run = subprocess.run(
            [compiler, *COMPILER_FLAGS, "-o", str(result), str(code)],
            capture_output=True,
            text=True,
            # Ctrl-C is for this process; it waits the second that the compiler needs.
            start_new_session=True,
        )
        if run.returncode != 0:
            raise UnsupportedError(f"{compiler} failed: {run.stderr.strip()[-500:]}")
        # A rename is atomic: another process sees no library or a whole one, and after a power
        # failure, thanks to the fsync, too.
        with result.open("rb") as file:
            os.fsync(file.fileno())
        result.replace(library)
