# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""C++ expressions for the elements of a tensor, and writing them as code."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

LANES = 509
"""Samples in the traced call: a prime that no dimension of a model has, so it marks the samples."""

MAX_OPERATIONS = 20_000

KINDS = {
    torch.bool: "bool",
    torch.int32: "int",
    torch.int64: "long long",
    torch.float32: "float",
    torch.float64: "double",
}
"""The types in which code computes, as C++ calls them."""

READ = KINDS | {torch.uint8: "unsigned char", torch.int8: "signed char", torch.int16: "short"}
"""The types of elements of tensors that code reads."""


class UnsupportedError(Exception):
    """The rollout cannot be compiled to a kernel; the text says why."""


@dataclass
class Value:
    """
    A tensor of the traced graph as C++ expressions of a type, `kind`.

    `rows` has the dimensions of the tensor. Along `lane`, that of the samples, its length is 1: the
    sample is the loop variable. It is None for what is the same for all samples. `table` is the
    expression of where the elements of a constant lie in memory, one after the other, if they do,
    and `fixed` the value of a constant that was made during the trace.
    """

    rows: np.ndarray
    lane: int | None
    kind: str = "float"
    table: str = ""
    fixed: torch.Tensor | None = None

    @property
    def rank(self) -> int:
        """Number of dimensions of the tensor, including the samples."""
        return self.rows.ndim

    def dim(self, dim: int, grow: int = 0) -> int:
        """Return `dim` from the front; raise UnsupportedError if it is that of the samples."""
        dim %= max(1, self.rank + grow)
        if self.lane is not None and dim == self.lane and not grow:
            raise UnsupportedError("an operation across the samples")
        return dim

    def like(self, rows: np.ndarray, lane: int | None) -> Value:
        """Return other elements of the same type."""
        return Value(np.asarray(rows, dtype=object), lane, self.kind)


def rows_of(items: list[str], shape: tuple[int, ...]) -> np.ndarray:
    """Return expressions as an array of a shape."""
    rows = np.empty(len(items), dtype=object)
    rows[:] = items
    return rows.reshape(shape)


def literal(item: bool | int | float, kind: str) -> str:
    """Write a number of Python as a constant of a type."""
    if kind == "bool":
        return "true" if item else "false"
    if kind in ("int", "long long"):
        if item == -(2**63):
            return "(-9223372036854775807LL - 1)"
        return f"({int(item)}{'LL' if kind == 'long long' else ''})"
    if math.isnan(item):
        return "NAN"
    if math.isinf(item):
        return "INFINITY" if item > 0 else "-INFINITY"
    return f"({float(item)!r}{'f' if kind == 'float' else ''})"


class Unread:
    """An element of a table, which can only be looked up; written as an expression it refuses."""

    def __format__(self, spec: str) -> str:
        raise UnsupportedError(
            f"a constant of more than {MAX_OPERATIONS} elements is used otherwise than looked up"
        )


class Writer:
    """Writes the body of a loop over samples, one assignment for each stored expression."""

    def __init__(self, numbers: list[torch.Tensor]):
        self.numbers = numbers
        """Tensors that are read at run time."""
        self.lines: list[str] = []
        self.truncated: dict[str, str] = {}
        """Names of int64 that were made of floats, and the floats."""
        self._names = itertools.count()

    def assign(self, expression: str, kind: str = "float") -> str:
        """Write `const kind vI = expression;` and return vI."""
        if len(self.lines) >= MAX_OPERATIONS:
            raise UnsupportedError(f"a step has more than {MAX_OPERATIONS} scalar operations")
        name = f"v{next(self._names)}"
        self.lines.append(f"const {kind} {name} = {expression};")
        return name

    def each(self, template: str, kind: str, *operands: Value) -> Value:
        """Assign `template`, of one operand or more, for each of their elements, broadcast."""
        lanes = {value.rank - value.lane for value in operands if value.lane is not None}
        if len(lanes) > 1:
            raise UnsupportedError("an operation across the samples")
        arrays = np.broadcast_arrays(*(value.rows for value in operands))
        items = [
            self.assign(template.format(*row), kind)
            for row in zip(*(array.reshape(-1) for array in arrays), strict=True)
        ]
        shape = arrays[0].shape
        return Value(rows_of(items, shape), len(shape) - lanes.pop() if lanes else None, kind)

    def cast(self, value: Value, kind: str) -> Value:
        """Return a value in another type; numbers become true where they are not zero."""
        if value.kind == kind:
            return value
        template = f"(({kind})({{0}}))"
        if kind == "bool":
            template = "({0} != 0)"
        items = [template.format(item) for item in value.rows.reshape(-1)]
        return Value(rows_of(items, value.rows.shape), value.lane, kind)

    def write(self, target: Value, source: Value) -> Value:
        """Write into a tensor of the graph, and so into its views, which are views of its rows."""
        if target.table or target.fixed is not None or not target.rows.flags.writeable:
            raise UnsupportedError("a plugin changes a tensor of its own during the trace")
        source = self.cast(source, target.kind)
        if source.lane is not None and (
            target.lane is None or target.rank - target.lane != source.rank - source.lane
        ):
            raise UnsupportedError("an operation across the samples")
        target.rows[...] = source.rows
        return target


def result_of(node: torch.fx.Node) -> torch.Tensor:
    """Return the example of what an operation returns."""
    return node.meta["val"]


def kind_of(dtype: torch.dtype, name: str) -> str:
    """Return what C++ calls a type; `name` is that of the operation."""
    if dtype not in KINDS:
        raise UnsupportedError(f"operation '{name}' on {dtype}")
    return KINDS[dtype]


def operand_of(arg: object, kind: str, writer: Writer) -> Value:
    """Return an operand, or a number of Python, in a type."""
    if isinstance(arg, Value):
        return writer.cast(arg, kind)
    if isinstance(arg, (bool, int, float)):
        return Value(rows_of([literal(arg, kind)], ()), None, kind)
    raise UnsupportedError(f"an operand of type {type(arg).__name__}")


def lane_of(shape: Iterable[int]) -> int | None:
    """Return which dimension is that of the samples."""
    places = [i for i, length in enumerate(shape) if length == LANES]
    if len(places) > 1:
        raise UnsupportedError("an operation across the samples")
    return places[0] if places else None


def rows_shape(shape: Iterable[int]) -> tuple[int, ...]:
    """Return the shape of the expressions of a tensor: 1 along the samples."""
    return tuple(1 if length == LANES else length for length in shape)
