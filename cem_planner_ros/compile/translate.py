# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Writing a traced PyTorch function as C++ on scalars, inside a loop over samples.

`make_fx` traces a function of tensors, samples last, into a graph of PyTorch operations. A tensor
of the graph becomes an array of C++ expressions, one for each of its elements; along the samples
one stands for all. An operation on shapes only moves expressions; a pointwise one writes an
assignment for each. What each operation becomes stands in `operations.py`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

import numpy as np
import torch
from torch.fx.experimental.proxy_tensor import make_fx

from cem_planner_ros.compile.operations import OPERATIONS, decompositions
from cem_planner_ros.compile.writer import (
    KINDS,
    LANES,
    MAX_OPERATIONS,
    READ,
    Unread,
    UnsupportedError,
    Value,
    Writer,
    literal,
    rows_of,
)


class Translator(Writer):
    """Writes the body of a loop over samples from a traced graph."""

    def translate(self, function: Callable, inputs: list[Value], examples: list[torch.Tensor]):
        """Trace `function` on `examples` and return its outputs as values."""
        with torch.no_grad():
            # make_fx counts the parameters of a method wrongly, of a lambda not at all.
            graph = make_fx(lambda *args: function(*args), decomposition_table=decompositions())(
                *examples
            )
        environment: dict[torch.fx.Node, object] = {}
        is_written = any(map(_is_in_place, graph.graph.nodes))
        arguments = iter(inputs)
        for node in graph.graph.nodes:
            args, kwargs = (
                torch.fx.node.map_arg(given, environment.__getitem__)
                for given in (node.args, node.kwargs)
            )
            if node.op == "output":
                return args[0]
            if node.op == "placeholder":
                environment[node] = next(arguments)
            elif node.op == "get_attr":
                environment[node] = self._attribute(graph, node)
            elif node.target is operator.getitem:
                environment[node] = args[0][args[1]]
            else:
                known = _known(node, args, kwargs, is_written)
                environment[node] = known or self._call(node, args, kwargs)
        raise AssertionError("a traced graph ends in an output")

    def _attribute(self, graph: torch.fx.GraphModule, node: torch.fx.Node) -> Value:
        """Return a tensor of the graph: one of a plugin, or one that the step itself makes."""
        tensor = operator.attrgetter(node.target)(graph)
        users = {str(user.target) for user in node.users}
        is_made_by_step = users == {"aten.lift_fresh_copy.default"}
        if is_made_by_step and tensor.numel() <= MAX_OPERATIONS:
            return _fixed(tensor)
        return self._constant(tensor)

    def _call(self, node: torch.fx.Node, args: tuple, kwargs: dict):
        name = _name(node)
        base = name.partition(".")[0]
        is_in_place = _is_in_place(node)
        operation = OPERATIONS.get(base.rstrip("_") if is_in_place else base)
        if operation is None or "out" in kwargs:
            raise UnsupportedError(f"operation '{name}' has no translation")
        result = operation(self, node, args, kwargs)
        return self.write(args[0], result) if is_in_place else result

    def _constant(self, tensor: torch.Tensor) -> Value:
        """
        A tensor that the plugin owns, which is read at run time, whatever its strides.

        A tensor that was made during the trace has no owner; keeping it here keeps it alive.
        """
        if tensor.ndim and LANES in tensor.shape:
            raise UnsupportedError("a constant has a value for each sample")
        if tensor.dtype not in READ or tensor.layout != torch.strided:
            raise UnsupportedError(f"a constant of {tensor.dtype}, {tensor.layout}")
        index = next((i for i, t in enumerate(self.numbers) if t is tensor), len(self.numbers))
        if index == len(self.numbers):
            self.numbers.append(tensor)
        count, shape = tensor.numel(), tuple(tensor.shape)
        element = READ[tensor.dtype]
        table = f"numbers[{index}]" if tensor.is_contiguous() else ""
        if table and element != "float":
            table = f"((const {element}*){table})"
        kind = KINDS.get(tensor.dtype, "int")
        if count > MAX_OPERATIONS:
            if not table:
                raise UnsupportedError(f"a constant of {count} elements that is not contiguous")
            return Value(rows_of([Unread()] * count, shape), None, kind, table)
        # Read before the loops, at their places in memory.
        places = np.zeros(shape, dtype=int)
        for axis, stride in enumerate(tensor.stride()):
            along = [1] * tensor.ndim
            along[axis] = -1
            places = places + stride * np.arange(shape[axis]).reshape(along)
        # A bool that is the same for all samples would keep g++ from vectorising a loop.
        form = "(n{}_{}[lane] != 0)" if kind == "bool" else "n{}_{}"
        items = [form.format(index, place) for place in places.reshape(-1)]
        return Value(rows_of(items, shape), None, kind, table)


def _name(node: torch.fx.Node) -> str:
    return str(node.target).removeprefix("aten.")


def _is_in_place(node: torch.fx.Node) -> bool:
    return node.op == "call_function" and _name(node).partition(".")[0].endswith("_")


def _known(node: torch.fx.Node, args: tuple, kwargs: dict, is_written: bool) -> Value | None:
    """
    Return what an operation gives of what the trace knows, or None.

    Such are the places of which indices are made. What is filled with a number may be written to
    afterwards, where the graph writes to tensors at all.
    """
    given = []

    def note(argument):
        given.append(argument)
        return argument.fixed if isinstance(argument, Value) else argument

    result = node.meta.get("val")
    if not isinstance(result, torch.Tensor) or result.numel() > MAX_OPERATIONS:
        return None
    if LANES in result.shape or result.dtype not in KINDS or _is_in_place(node):
        return None
    inputs = torch.utils._pytree.tree_map(note, (args, kwargs))
    values = [argument for argument in given if isinstance(argument, Value)]
    if any(value.fixed is None for value in values):
        return None
    if not values and is_written and _name(node).partition(".")[0] not in ("arange", "eye"):
        return None
    with torch.no_grad():
        return _fixed(node.target(*inputs[0], **inputs[1]))


def _fixed(tensor: torch.Tensor) -> Value:
    """Return a tensor that was made during the trace, of what Python knew then, as it is."""
    kind = KINDS.get(tensor.dtype)
    if kind is None:
        raise UnsupportedError(f"a constant of {tensor.dtype}")
    items = [literal(item, kind) for item in tensor.reshape(-1).tolist()]
    return Value(rows_of(items, tuple(tensor.shape)), None, kind, fixed=tensor)


def reads(numbers: list[torch.Tensor], names: list[tuple[str, str]]) -> str:
    """Return the lines that read elements (tensor, place) of numbers into variables."""
    lines = []
    for index, place in names:
        tensor = numbers[int(index)]
        element, kind = READ[tensor.dtype], KINDS.get(tensor.dtype, "int")
        pointer = f"numbers[{index}]"
        if element != "float":
            pointer = f"((const {element}*){pointer})"
        if kind == "bool":
            lines.append(f"int n{index}_{place}[EACH];")
            fill = f"n{index}_{place}[lane] = {pointer}[{place}];"
            lines.append(f"for (int lane = 0; lane < EACH; ++lane) {fill}")
        else:
            lines.append(f"const {kind} n{index}_{place} = {pointer}[{place}];")
    return "\n".join(lines)
