# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Reads ROS parameter files as rcl does, so that `check` and the node get the same values.

What rcl refuses is refused, with the line. What rcl ignores is ignored. Some files are valid for
rcl but do not mean what they seem to, such as a mapping in a list; they are refused too.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from cem_planner_ros.errors import ConfigurationError, did_you_mean

NODE_NAME = "cem_planner"

PARAMETERS = "ros__parameters"

ROS_PARAMETERS = ("use_sim_time", "start_type_description_service", "qos_overrides")
"""Parameters, or their first names, that rclpy declares on every node."""

_PART = r"(\*\*?|[A-Za-z_][A-Za-z0-9_]*)"
_NODE = re.compile(rf"/?({_PART}/)*{_PART}")
_TRUE = {
    "y",
    "Y",
    *(w for word in ("yes", "true", "on") for w in (word, word.title(), word.upper())),
}
_FALSE = {
    "n",
    "N",
    *(w for word in ("no", "false", "off") for w in (word, word.title(), word.upper())),
}
_INTEGER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")
_HEXADECIMAL = re.compile(
    r"[+-]?0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)([pP][+-]?[0-9]+)?"
)
_NOT_FINITE = re.compile(r"[+-]?(inf|infinity|nan)", re.IGNORECASE)
_DOTTED = {s + w for s in ("", "+", "-") for w in (".inf", ".Inf", ".INF")} | {
    ".nan",
    ".NaN",
    ".NAN",
}
_SMALLEST = 2.2250738585072014e-308
_EMPTY = "empty list"
_LISTS = ("list of bool", "list of int", "list of float", "list of str", _EMPTY)
_ORDER = (bool, int, float, str, *_LISTS)
"""Order of types: if a parameter has values of several types, the first of these types is used."""


class MissingSectionError(ConfigurationError):
    """No parameter file has a section for the node."""


def load_yaml(
    files: str | Path | Sequence[str | Path], node_name: str = NODE_NAME, namespace: str = "/"
) -> dict[str, Any]:
    """
    Return the parameters of a node in ROS parameter files, by full name.

    Sections are used in the order in which their names first appear, over all files; a later one
    overrides an earlier one. Names may contain `*` for one name and `**` for any number of names.

    Args:
        files: one file, or several in the order of the command line.
        node_name: the name of the node, without its namespace.
        namespace: the namespace of the node.

    Raises ConfigurationError, naming the file, if one cannot be read, and MissingSectionError if
    none has a section for the node.
    """
    files = [files] if isinstance(files, (str, Path)) else files
    sections: dict[str, _Parameters] = {}
    for file in files:
        try:
            _File(Path(file).read_text(), sections)
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{file}: cannot be read: {error}") from error
        except yaml.YAMLError as error:
            raise ConfigurationError(f"{file}: not valid YAML: {problem(error)}") from error
        except ConfigurationError as error:
            raise ConfigurationError(f"{file}: {error}") from error
    full_name = f"{namespace.rstrip('/')}/{node_name}"
    matching = [section for name, section in sections.items() if _matches(name, full_name)]
    if files and not matching:
        raise MissingSectionError(_missing(files, full_name, list(sections)))
    return {name: value for section in matching for name, value in section.values()}


def split_name(name: str) -> tuple[str, str]:
    """
    Return name and namespace of a node given as NAME or NAMESPACE/NAME.

    Raises ConfigurationError if this cannot be the name of a node.
    """
    namespace, _, last = name.strip().rpartition("/")
    if "*" in name or not _NODE.fullmatch(name.strip()):
        raise ConfigurationError(
            f"'{name}' cannot be a node, expected NAME or NAMESPACE/NAME, such as "
            f"robot1/{NODE_NAME}"
        )
    return last, f"/{namespace.lstrip('/')}"


def _matches(section: str, full_name: str) -> bool:
    pattern = f"/{section.lstrip('/')}".replace("/*", r"(/[A-Za-z0-9_]+)")
    return re.fullmatch(pattern, full_name) is not None


def _missing(files: Sequence[str | Path], full_name: str, found: Sequence[str]) -> str:
    short = full_name.lstrip("/")
    meant = (name for name in found if did_you_mean(name, [short]))
    hint = next((f" (is '{name}' meant to be '{short}'?)" for name in meant), "")
    return (
        f"{', '.join(map(str, files))}: no section for the node '{short}', expected "
        f"'/**: {{{PARAMETERS}: ...}}' or '{full_name}: {{{PARAMETERS}: ...}}', found: "
        f"{', '.join(found) or 'nothing'}{hint}"
    )


class _Parameters:
    """The parameters of one section, stored as in rcl: by name, then by type."""

    def __init__(self):
        self._found: list[tuple[str, dict[Any, Any]]] = []

    def values(self) -> Iterator[tuple[str, Any]]:
        """Yield each name with its value; if a name comes twice, the last value is used."""
        for name, of_types in self._found:
            yield from ((name, of_types[kind]) for kind in [k for k in _ORDER if k in of_types][:1])

    def place(self, name: str) -> dict[Any, Any]:
        """Return the values by type of the first parameter of this name; make it if needed."""
        for other, of_types in self._found:
            if other == name:
                return of_types
        self._found.append((name, {}))
        return self._found[-1][1]

    def rename(self, before: str, name: str) -> dict[Any, Any]:
        """Rename the parameter `before`, and return its values."""
        of_types = self.place(before)
        index = next(i for i, (_, other) in enumerate(self._found) if other is of_types)
        self._found[index] = (name, of_types)
        return of_types


class _Namespace:
    """
    The joined names above the present one.

    At the end of a mapping, rcl cuts off the text after the last separator, even if a key was a
    joined name. What rcl reads after such a key may therefore belong to another section than it
    seems.
    """

    def __init__(self, separator: str):
        self._separator = separator
        self.name = ""
        self.depth = 0

    def join(self, name: str) -> str:
        if not self.depth:
            return name
        return self.name.removesuffix(self._separator) + self._separator + name

    def enter(self, name: str) -> None:
        self.name, self.depth = self.join(name), self.depth + 1

    def leave(self) -> None:
        self.depth = max(0, self.depth - 1)
        self.name = self.name.rpartition(self._separator)[0] if self.depth else ""


class _File:
    """Adds the content of one file to the parameters by section."""

    def __init__(self, text: str, sections: dict[str, _Parameters]):
        self._sections = sections
        self._events = yaml.parse(text, yaml.SafeLoader)
        self._namespace = _Namespace("/")
        for event in self._events:
            if isinstance(event, yaml.MappingStartEvent):
                self._read_sections([])
            elif isinstance(event, (yaml.ScalarEvent, yaml.SequenceStartEvent)):
                raise _at(event, f"expected '/**: {{{PARAMETERS}: ...}}' at the top")

    def _pairs(self) -> Iterator[tuple[str, yaml.Event]]:
        """Yield each key of a mapping with the event that begins its value."""
        for key in self._events:
            if isinstance(key, yaml.MappingEndEvent):
                return
            if not isinstance(key, yaml.ScalarEvent) or not key.value:
                raise _at(key, "expected a name before ':'")
            value = next(self._events)
            if isinstance(value, yaml.AliasEvent):
                raise _at(value, f"rcl knows no aliases, expected a value, not '*{value.anchor}'")
            yield key.value, value

    def _read_sections(self, above: list[str]) -> None:
        namespace = self._namespace
        closed = ""
        for key, value in self._pairs():
            if closed:
                raise _at(value, f"'{key}' follows {PARAMETERS} in '{closed}', expected before it")
            is_parameters = key.startswith(PARAMETERS)
            if not isinstance(value, yaml.MappingStartEvent):
                if is_parameters:
                    raise _at(value, f"expected parameters, NAME: VALUE, below {PARAMETERS}")
                hints = (did_you_mean(name, [PARAMETERS]) and name for name in [*above, key])
                hint = next((f" (is '{name}' meant to be it?)" for name in hints if name), "")
                raise _at(value, f"'{key}' is a value outside {PARAMETERS}{hint}")
            if not is_parameters:
                namespace.enter(key)
                self._read_sections([*above, key])
                continue
            if not namespace.depth:
                raise _at(value, f"expected the name of a node above {PARAMETERS}, such as '/**'")
            if not _NODE.fullmatch(namespace.name):
                raise _at(value, f"'{namespace.name}' cannot be the name of a node")
            section = self._sections.setdefault(namespace.name, _Parameters())
            closed = namespace.name
            namespace.leave()
            self._read_parameters(section, _Namespace("."))
        if len(above) == namespace.depth and above:
            namespace.leave()

    def _read_parameters(self, section: _Parameters, namespace: _Namespace) -> int:
        """Read a mapping of parameters, and return its number of keys."""
        count = 0
        for count, (key, value) in enumerate(self._pairs(), 1):  # noqa: B007
            name = namespace.join(key)
            of_types = (
                section.rename(namespace.name, name) if namespace.depth else section.place(key)
            )
            if isinstance(value, yaml.ScalarEvent):
                scalar = _scalar(value, name)
                of_types[type(scalar)] = scalar
            elif isinstance(value, yaml.SequenceStartEvent):
                self._read_list(of_types, name)
            else:
                namespace.enter(key)
                if not self._read_parameters(section, namespace):
                    raise _at(value, f"'{name}' is empty, expected parameters in it")
                namespace.leave()
        return count

    def _read_list(self, of_types: dict[Any, Any], name: str) -> None:
        items: list[Any] = []
        for event in self._events:
            if isinstance(event, yaml.SequenceEndEvent):
                break
            if not isinstance(event, yaml.ScalarEvent):
                raise _at(event, f"'{name}' is a list of lists or mappings, expected plain values")
            items.append(_scalar(event, name))
            if len({type(item) for item in items}) > 1:
                raise _at(
                    event,
                    f"'{name}' is a list of several types, expected one; quote words such as y, n, "
                    "yes and no, which YAML reads as true and false",
                )
        of_types[f"list of {type(items[0]).__name__}" if items else _EMPTY] = items


def problem(error: yaml.YAMLError | RecursionError) -> str:
    """Return what YAML says of a text, without a name for the text, which has none."""
    return str(error).replace('in "<unicode string>", ', "")


def _at(event: yaml.Event, text: str) -> ConfigurationError:
    return ConfigurationError(f"line {event.start_mark.line + 1}: {text}")


def _scalar(event: yaml.ScalarEvent, name: str) -> bool | int | float | str:
    """Return a plain value in the type that rcl gives it."""
    text = event.value
    if event.style in ("'", '"') or event.tag == "tag:yaml.org,2002:str":
        return text
    if not text:
        raise _at(event, f"'{name}' has no value")
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text):
        digits = text.lstrip("+-")
        base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
        number = int(text, base)
        if -(2**63) <= number < 2**63:
            return number
    if text in _DOTTED:
        return float(text.replace(".", ""))
    if _NOT_FINITE.fullmatch(text):
        return float(text)
    try:
        if _DECIMAL.fullmatch(text):
            number = float(text)
        elif _HEXADECIMAL.fullmatch(text):
            number = float.fromhex(text)
        else:
            return text
    except OverflowError:
        return text
    # C's strtod reports numbers too large or too small for a double; rcl keeps them as strings.
    is_zero = not any(digit in "123456789abcdefABCDEF" for digit in re.split("[eEpP]", text)[0])
    in_range = math.isfinite(number) and (is_zero or abs(number) >= _SMALLEST)
    return number if in_range else text


def parse_value(text: str) -> Any:
    """
    Return a text as the value of a parameter, as rcl would read it in a file.

    A text that is no YAML, or a list of different types, is returned as the text.
    """
    parameters = _Parameters()
    sections = {"x": parameters}
    try:
        _File(f"x: {{{PARAMETERS}: {{x: {text}}}}}", sections)
    except (yaml.YAMLError, ConfigurationError):
        return text
    values = dict(parameters.values())
    return values["x"] if list(values) == ["x"] else text
