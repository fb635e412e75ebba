# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The declaration of a parameter: name, default, range, unit, text, and when it may change.

The same record declares parameters of the node and of plugins. Declarations, validation, `check`,
`plugins` and the ROS descriptors are all made from it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cem_planner_ros.errors import ConfigurationError, did_you_mean

if TYPE_CHECKING:
    import torch

FLOAT32_MAX = float(np.finfo(np.float32).max)

LIVE = "live"
INACTIVE = "inactive-only"
READ_ONLY = "read-only"


@dataclass(frozen=True)
class Parameter:
    """
    One declared parameter.

    The type of `default` is the type of the parameter: bool, int, float, str, or a list of str.
    `low` and `high` are inclusive. `choices` limits a string. `words` are allowed instead of a
    float; one of them may be the default. `when` is LIVE (may change while the node controls),
    INACTIVE (only while the node is not active) or READ_ONLY. `has_entries` says that the strings
    of a list are NAME: TEXT, so that a section {NAME: TEXT} may be given too (`with_entries`).
    """

    name: str
    default: bool | int | float | str | list[str]
    description: str
    unit: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    when: str = LIVE
    words: tuple[str, ...] = ()
    has_entries: bool = False

    def __post_init__(self):
        if not isinstance(self.default, (bool, int, float, str, list)):
            raise ConfigurationError(
                f"parameter '{self.name}' has the default {self.default!r}, expected a bool, an "
                "int, a float, a string or a list of strings"
            )
        if self.when not in (LIVE, INACTIVE, READ_ONLY):
            raise ConfigurationError(
                f"parameter '{self.name}' may change {self.when!r}, expected one of {LIVE}, "
                f"{INACTIVE}, {READ_ONLY}"
            )
        try:
            self.check(self.default)
        except ConfigurationError as error:
            raise ConfigurationError(f"the default of a declaration: {error}") from error

    @property
    def is_float(self) -> bool:
        """Whether its numbers are floats."""
        return isinstance(self.default, float) or bool(self.words)

    @property
    def allowed(self) -> str:
        """The allowed values, for messages."""
        return ", or ".join((self._allowed, *self.words))

    @property
    def _allowed(self) -> str:
        if isinstance(self.default, bool):
            return "true or false"
        if self.has_entries:
            return "a list of strings NAME: TEXT, or a section of them"
        if isinstance(self.default, list):
            return "a list of strings"
        if isinstance(self.default, str) and not self.words:
            return "one of " + ", ".join(self.choices) if self.choices else "a string"
        kind = "an integer" if isinstance(self.default, int) else "a finite number"
        unit = f" {self.unit}" if self.unit else ""
        low, high = (f"{x:d}" if isinstance(x, int) else f"{x}" for x in (self.low, self.high))
        if self.low is not None and self.high is not None:
            return f"{kind} from {low} to {high}{unit}"
        if self.low is not None:
            return f"{kind} of at least {low}{unit}"
        if self.high is not None:
            return f"{kind} of at most {high}{unit}"
        return kind + (f" in {self.unit}" if self.unit else "")

    def check(self, value: Any) -> Any:
        """
        Return `value`, converted to the type of the parameter.

        An integer is accepted for a float, a NumPy scalar for a Python one, and one of `words` for
        a number. Raises ConfigurationError if the type, the range or the choice is wrong.
        """
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, str) and value in self.words:
            return value
        if self.is_float and type(value) is int:
            with contextlib.suppress(OverflowError):  # Then it is refused as an integer.
                value = float(value)
        if isinstance(self.default, list):
            value = list(value) if isinstance(value, (list, tuple)) else value
            right_type = isinstance(value, list) and all(isinstance(item, str) for item in value)
        else:
            right_type = type(value) is (float if self.is_float else type(self.default))
        in_range = right_type
        if right_type and isinstance(value, (int, float)) and not isinstance(value, bool):
            # A finite value must be finite in float32 too, in which models compute.
            in_range = (
                abs(value) <= FLOAT32_MAX
                and (self.low is None or value >= self.low)
                and (self.high is None or value <= self.high)
            )
        elif right_type and self.choices:
            in_range = value in self.choices
        if not in_range:
            hint = self._hint(value) if isinstance(value, str) else ""
            raise ConfigurationError(
                f"parameter '{self.name}' is {value!r}, allowed: {self.allowed}{hint}"
            )
        return value

    def _hint(self, text: str) -> str:
        """Return what to say of a wrong text: what is like it, or that there is nothing of it."""
        kind, colon, _ = text.partition(":")
        if self.words and colon and not any(word.startswith(f"{kind}:") for word in self.words):
            return f"; the model has no {kind} with a name"
        return did_you_mean(text, self.choices or self.words)

    def under(self, prefix: str) -> Parameter:
        """Return the same parameter named `prefix.name`."""
        return replace(self, name=f"{prefix}.{self.name}")


def named(
    group: str, names: Iterable[str], default: float | str, description: str, **options: Any
) -> tuple[Parameter, ...]:
    """
    Return one float parameter `group.name` for each name, such as `weight.x`.

    `description` may contain `{name}`. In a Parameterised object the group is one (n, 1) tensor.
    """
    return tuple(
        Parameter(f"{group}.{name}", default, description.format(name=name), **options)
        for name in names
    )


def with_entries(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """
    Return values in which the list called `name` also has what is given as a section.

    The value TEXT of a parameter `name`.NAME becomes the string NAME: TEXT of the list, in the
    place of one with the same NAME. Numbers in a list become words of the TEXT.
    """
    prefix = f"{name}."
    section = {key: value for key, value in values.items() if key.startswith(prefix)}
    listed = values.get(name, [])
    if not section or not isinstance(listed, (list, tuple)):
        return dict(values)
    texts = {str(text).partition(":")[0].strip(): text for text in listed}
    for key, value in section.items():
        words = value if isinstance(value, (list, tuple)) else [value]
        entry = key.removeprefix(prefix)
        texts[entry] = f"{entry}: {' '.join(map(str, words))}"
    others = {key: value for key, value in values.items() if key not in section}
    return {**others, name: list(texts.values())}


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield ('a.b', value) for every leaf of nested mappings."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def check_declared(owner: type, parameters: Iterable[Parameter]) -> None:
    """Raise ConfigurationError if a class cannot have attributes with the parameters' names."""
    if not isinstance(parameters, (tuple, list)) or not all(
        isinstance(parameter, Parameter) for parameter in parameters
    ):
        raise ConfigurationError(
            f"{owner.__name__}.parameters is {parameters!r}, expected a tuple of Parameter"
        )
    names = [parameter.name for parameter in parameters]
    groups = {name.partition(".")[0] for name in names if "." in name}
    for name in names:
        group, *rest = name.split(".")
        if not group.isidentifier() or "" in rest:
            reason = "expected a name of Python, or such a name, a dot and more"
        elif names.count(name) > 1:
            reason = "but so is another one"
        elif name in groups:
            reason = f"but others are called {name}.SOMETHING"
        elif group == "plugin" or hasattr(owner, group):
            reason = f"but '{group}' is something else already"
        else:
            continue
        raise ConfigurationError(f"{owner.__name__} declares a parameter called '{name}', {reason}")


class Parameterised:
    """
    An object whose declared numbers are tensors that change in place.

    A parameter `mass` is the attribute `mass`, a 0-d float32 tensor. Parameters `weight.x` and
    `weight.y` are the attribute `weight`, shape (2, 1), in the order of their declaration. Strings,
    booleans and lists stay plain Python values. A number keeps its storage when it changes, so
    compiled code reads the new value without being compiled again.
    """

    api_version = 1
    """Version of the plugin interface. A plugin that states another version is refused."""

    parameters: tuple[Parameter, ...] = ()

    instance = ""
    """Name in the configuration, for messages: "dynamics", or the name of a cost."""

    def __init__(self, values: Mapping[str, Any], device: torch.device | str = "cpu"):
        import torch  # Declarations alone do without, for programs that start fast.

        values = dict(flatten(values))
        check_declared(type(self), self.parameters)
        declared = {parameter.name: parameter for parameter in self.parameters}
        unknown = sorted(set(values) - set(declared))
        if unknown:
            raise ConfigurationError(
                f"{type(self).__name__} has no parameter '{unknown[0]}', "
                f"it has: {', '.join(declared) or 'none'}"
            )
        self._numbers: dict[str, torch.Tensor] = {}
        self._values: dict[str, float] = {}
        self.readings = 0
        """Number of calls of `value`."""
        groups: dict[str, list[str]] = {}
        for name, parameter in declared.items():
            if isinstance(parameter.default, (bool, str, list)):
                setattr(self, name, parameter.check(values.get(name, parameter.default)))
            else:
                groups.setdefault(name.partition(".")[0], []).append(name)
        for group, names in groups.items():
            is_vector = "." in names[0]
            tensor = torch.zeros((len(names), 1) if is_vector else (), device=device)
            setattr(self, group, tensor)
            for row, name in enumerate(names):
                self._numbers[name] = tensor[row, 0] if is_vector else tensor
                self.set(name, values.get(name, declared[name].default))

    @property
    def number_tensors(self) -> tuple[torch.Tensor, ...]:
        """The tensors of the numbers, each 0-d."""
        return tuple(self._numbers.values())

    @property
    def numbers(self) -> tuple[str, ...]:
        """The names of the parameters that `set` can change."""
        return tuple(self._numbers)

    def set(self, name: str, value: float) -> None:
        """
        Change a number in place.

        Raises ConfigurationError if there is no such number or the value is not allowed.
        """
        if name not in self._numbers:
            raise ConfigurationError(f"{type(self).__name__} has no number '{name}' to change")
        parameter = next(p for p in self.parameters if p.name == name)
        checked = parameter.check(value)
        self._numbers[name].fill_(checked)
        self._values[name] = checked

    def reset(self) -> None:
        """
        Forget what is remembered of earlier plans; begin random numbers again with their seed.

        `Planner.reset` calls it, so that the plans after it depend on nothing before it.
        """

    def subtract(self, name: str, origin: float) -> None:
        """
        Write a number minus an origin into its tensor.

        The difference is computed in float64. `value` still returns the number itself.
        """
        self._numbers[name].fill_(self._values[name] - origin)

    def value(self, name: str) -> float:
        """
        Return a number as a Python float; reading its tensor would wait for a GPU.

        For computing that is done once a period. For computing with candidates use the tensor: code
        that calls this method cannot be compiled. Raises ConfigurationError if there is no such
        number.
        """
        if name not in self._values:
            raise ConfigurationError(f"{type(self).__name__} has no number '{name}'")
        self.readings += 1
        return self._values[name]
