# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Operations that compute each element from the elements at its place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from cem_planner_ros.compile.writer import (
    Value,
    Writer,
    kind_of,
    literal,
    operand_of,
    result_of,
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

_LOGICAL = set("logical_and logical_or logical_xor logical_not".split())

_BINARY = {name for name, template in _POINTWISE.items() if "{1}" in template}

_OF_INTEGERS = {
    **dict.fromkeys("floor ceil trunc round".split(), "{0}"),
    "abs": "({0} < 0 ? -{0} : {0})",
    "isinf": "false & {0}",
}

# C++ would compute with int, and another way round.
_OF_BOOLS = {"bitwise_not": "!{0}", "add": "{0} | {1}", "mul": "{0} & {1}"}

_ROUNDED_QUOTIENTS = {"floor": "floor_quotient({0}, {1})", "trunc": "cut_quotient({0}, {1})"}


def _common(node: torch.fx.Node, name: str, count: int) -> str:
    """Return the type to which PyTorch brings the first operands."""
    examples = [
        arg.meta["val"] if isinstance(arg, torch.fx.Node) else arg for arg in node.args[:count]
    ]
    dtype = torch.result_type(*examples) if count == 2 else examples[0].dtype
    return kind_of(dtype, name)


def _pointwise(name: str) -> Callable[..., Value]:
    def translate(writer: Writer, node, args, kwargs) -> Value:
        kind = kind_of(result_of(node).dtype, name)
        count = 2 if name in _BINARY else 1
        computed = kind
        if name in _LOGICAL:
            computed = "bool"
        elif name in _COMPARED:
            computed = _common(node, name, count)
        operands = [operand_of(arg, computed, writer) for arg in args[:count]]
        return writer.each(_template(name, kind, computed, kwargs), kind, *operands)

    return translate


def _template(name: str, kind: str, computed: str, options: dict) -> str:
    """Return the C++ of an operation with options, computed in a type, whose result has a kind."""
    if computed == "bool" and name in _OF_BOOLS:
        return _OF_BOOLS[name]
    if computed not in ("float", "double") and name in _OF_INTEGERS:
        return _OF_INTEGERS[name]
    if name == "div" and options.get("rounding_mode"):
        return _ROUNDED_QUOTIENTS[options["rounding_mode"]]
    if name == "round" and options.get("decimals"):
        scale = literal(10.0 ** abs(options["decimals"]), kind)
        up, down = ("*", "/") if options["decimals"] > 0 else ("/", "*")
        return f"rint({{0}} {up} {scale}) {down} {scale}"
    template = _POINTWISE[name]
    if computed == "double":
        template = _DOUBLE.get(name, template)
    if name in ("add", "sub") and options.get("alpha", 1) != 1:
        template = template.replace("{1}", f"{literal(options['alpha'], kind)} * {{1}}")
    return template


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
    kind = kind_of(result_of(node).dtype, "pow")
    base, exponent = (operand_of(arg, kind, writer) for arg in args)
    if kind not in ("float", "double"):
        return writer.each("whole_power({0}, {1})", kind, base, exponent)
    if isinstance(args[1], (int, float)) and args[1] in _POWERS:
        return writer.each(_POWERS[args[1]], kind, base)
    template = "pow({0}, {1})" if kind == "double" else "power({0}, {1})"
    return writer.each(template, kind, base, exponent)


def _clamp(writer, node, args, kwargs):
    kind = kind_of(result_of(node).dtype, "clamp")
    low, high = (*args[1:], None, None)[:2]
    low, high = kwargs.get("min", low), kwargs.get("max", high)
    value = operand_of(args[0], kind, writer)
    for bound, function in ((low, "at_least"), (high, "at_most")):
        if bound is not None:
            bound = operand_of(bound, kind, writer)
            value = writer.each(f"{function}({{0}}, {{1}})", kind, value, bound)
    return value


def _where(writer, node, args, kwargs):
    kind = kind_of(result_of(node).dtype, "where")
    condition = operand_of(args[0], "bool", writer)
    one, other = (operand_of(arg, kind, writer) for arg in args[1:])
    return writer.each("({0} ? {1} : {2})", kind, condition, one, other)


def _to_copy(writer, node, args, kwargs):
    value, kind = args[0], kind_of(result_of(node).dtype, "_to_copy")
    if value.kind == kind:
        return replace(value, rows=value.rows.copy())
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


POINTWISE: dict[str, Callable] = {
    **{name: _pointwise(name) for name in _POINTWISE},
    "pow": _pow,
    "clamp": _clamp,
    "where": _where,
    "_to_copy": _to_copy,
}
