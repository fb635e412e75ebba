# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The structs that headers declare, as Python fills them in."""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import ClassVar

import torch

_HEADER = Path(__file__).with_name("kernel.h").read_text()

_NUMBERS = {
    "long": ctypes.c_long,
    "int": ctypes.c_int,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "uint32_t": ctypes.c_uint32,
    "unsigned": ctypes.c_uint,
}
_TENSORS = {
    "int": torch.int32,
    "long": torch.int64,
    "bool": torch.bool,
    "float": torch.float32,
    "double": torch.float64,
}


def declared(
    header: str, struct: str
) -> tuple[list[tuple[str, type]], dict[str, torch.dtype | None]]:
    """
    Return the fields that a struct of a header has, and the types of the tensors they point to.

    A type is None where PyTorch has none of its kind.
    """
    text = re.sub(r"//.*", "", header)
    body = re.search(rf"struct {struct} \{{(.*?)\n\}};", text, re.DOTALL).group(1)
    fields, kinds = [], {}
    for declaration in filter(None, (part.strip() for part in body.split(";"))):
        function = re.match(r"void \(\*(\w+)\)", declaration)
        if function:
            fields.append((function.group(1), ctypes.c_void_p))
            continue
        kind, names = re.fullmatch(
            r"(?:const )?(unsigned long long|\w+)(.*)", declaration, re.DOTALL
        ).groups()
        pointers = names.count("*") > 0
        for name in names.split(","):
            name = re.sub(r"\bconst\b", "", name)
            fields.append((name.strip(" *\n"), ctypes.c_void_p if pointers else _NUMBERS[kind]))
            if pointers and name.count("*") == 1:
                kinds[fields[-1][0]] = _TENSORS.get(kind)
    return fields, kinds


class Struct(ctypes.Structure):
    """A struct of a header, whose fields `_fields_` and KINDS are those that `declared` returns."""

    KINDS: ClassVar[dict[str, torch.dtype | None]] = {}

    def set(self, **values: int | float | torch.Tensor) -> None:
        """
        Set fields. For a tensor the field gets its address; the struct keeps the tensor alive.

        Raises TypeError if there is no such field, or if a tensor is not contiguous or not of the
        type that the struct says.
        """
        for name, value in values.items():
            if not hasattr(type(self), name):
                raise TypeError(f"struct {type(self).__name__} has no field '{name}'")
            if isinstance(value, torch.Tensor):
                kind = self.KINDS.get(name)
                if not (value.is_contiguous() and kind in (value.dtype, None)):
                    raise TypeError(f"{name} must be contiguous and {kind}")
                self.__dict__.setdefault("tensors", {})[name] = value
                value = value.data_ptr()
            setattr(self, name, value)


class Arguments(Struct):
    """The struct Arguments of kernel.h, made of what stands there."""

    _fields_, KINDS = declared(_HEADER, "Arguments")


def _layout() -> list[int]:
    """Return the size of the struct, and where each of its fields lies."""
    places = [getattr(Arguments, name).offset for name, _ in Arguments._fields_]
    return [ctypes.sizeof(Arguments), *places]


_PLACES = ", ".join(f"offsetof(Arguments, {name})" for name, _ in Arguments._fields_)

HEADER = f"""{_HEADER}
extern "C" const long arguments_layout[] = {{sizeof(Arguments), {_PLACES}}};
"""
"""kernel.h, and what `check_layout` looks at."""


def check_layout(library: ctypes.CDLL) -> None:
    """Raise ValueError if a library has the struct in another layout than Python."""
    expected = _layout()
    found = list((ctypes.c_long * len(expected)).in_dll(library, "arguments_layout"))
    if found != expected:
        raise ValueError(f"struct Arguments is laid out as {found}, expected {expected}")
