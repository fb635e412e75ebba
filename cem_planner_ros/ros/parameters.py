"""The table of parameters on a ROS node: declared, validated, kept in step with the YAML files."""

from __future__ import annotations

import contextlib
import itertools
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter

from cem_planner_ros.configuration import (
    Configuration,
    MissingSectionError,
    configure,
    load_yaml,
)
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.parameters import INACTIVE, LIVE, READ_ONLY, Parameter
from cem_planner_ros.table import TABLE


class NodeParameters:
    """
    Declares every parameter of a node, and refuses changes that cannot work.

    A value given at the start that is wrong does not stop the node: the parameter is declared with
    its default, the wrong value is kept, and `values` holds it, so that `configure` names it. It is
    gone once the parameter is set, or its file is corrected.

    Args:
        node: the node, without parameters of the table yet.
        on_change: called with the new configuration after live parameters of a configured node
            changed, on the executor's thread.
    """

    def __init__(self, node: Node, on_change: Callable[[Configuration], None]):
        self._node = node
        self._on_change = on_change
        self._declared: dict[str, Parameter] = {}
        self._accept_all = False
        self._files = params_files(sys.argv)
        self._in_files: dict[str, Any] = {}
        with contextlib.suppress(ConfigurationError):  # Said when the node is configured.
            self._in_files = self._read_files()
        # rcl reads the files too, but gives up a file as a whole if it dislikes one value.
        overrides = {name: p.value for name, p in node._parameter_overrides.items()}
        self._given = self._in_files | overrides
        self.configuration: Configuration | None = None
        """What the node is configured with; None while it is not."""
        self.active = False
        """Whether the node controls; only live parameters may change then."""
        self.needs_rebuild = False
        """Whether a parameter that is not live changed since the configuration was made."""
        try:
            self.declare(configure(self._given).parameters)
        except ConfigurationError as error:
            # What is wrong is said when the node is configured; what is right is declared now.
            self.declare({p.name: p for p in TABLE} | dict(error.parameters))
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._apply)

    @property
    def source(self) -> str:
        """The YAML files, for messages."""
        return ", ".join(self._files)

    def values(self) -> dict[str, Any]:
        """
        Return all values as they are given now, right or wrong; re-reads changed files.

        Raises ConfigurationError if a file cannot be read.
        """
        in_files = self._read_files()
        for name in self._in_files.keys() | in_files.keys():
            if name not in in_files:
                self._given.pop(name, None)
                declared = self._declared.get(name)
                if declared and self._node.get_parameter(name).value == self._in_files[name]:
                    self._given[name] = declared.default
            elif in_files[name] != self._in_files.get(name):
                self._given[name] = in_files[name]
        self._in_files = in_files
        values = {name: self._node.get_parameter(name).value for name in self._declared}
        return values | self._given

    def use(self, configuration: Configuration | None) -> None:
        """Take over a configuration: declare what its plugins brought, drop what others left."""
        self.configuration = configuration
        self.needs_rebuild = False
        if configuration is None:
            return
        for name in self._declared.keys() - configuration.parameters.keys():
            self._node.undeclare_parameter(name)
            del self._declared[name]
        self._given = dict(configuration.values)
        self.declare(configuration.parameters)
        self._given = {}

    @property
    def names(self) -> frozenset[str]:
        """The names that are declared now."""
        return frozenset(self._declared)

    def declare(self, parameters: Mapping[str, Parameter]) -> None:
        """Declare what is new, with its given value if that is right; set what has changed."""
        changed = []
        for name, parameter in parameters.items():
            value = parameter.default
            try:
                value = parameter.check(self._given.get(name, parameter.default))
                right = True
            except ConfigurationError:
                right = False
            if name not in self._declared:
                self._node.declare_parameter(
                    name, value, descriptor(parameter), ignore_override=True
                )
                if right:
                    self._given.pop(name, None)
            elif right and name in self._given and value != self._node.get_parameter(name).value:
                changed.append(RosParameter(name, value=value))
            self._declared[name] = parameter
        if changed:
            self._accept_all = True
            try:
                self._node.set_parameters(changed)
            finally:
                self._accept_all = False

    def _check(self, parameters: Sequence[RosParameter]) -> SetParametersResult:
        if self._accept_all:
            return SetParametersResult(successful=True)
        try:
            self._changes(parameters)
        except ConfigurationError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _changes(self, parameters: Sequence[RosParameter]) -> Configuration | None:
        """Return the configuration after a change; raise ConfigurationError if it cannot be."""
        live = {}
        for parameter in parameters:
            declared = self._declared.get(parameter.name)
            if declared is None:
                continue
            value = declared.check(parameter.value)
            same = value == self._node.get_parameter(parameter.name).value
            if declared.when == READ_ONLY and not same:
                raise ConfigurationError(f"parameter '{parameter.name}' is read-only")
            if declared.when == INACTIVE and self.active and not same:
                raise ConfigurationError(
                    f"parameter '{parameter.name}' can only change while the node is not active: "
                    "deactivate it, set the parameter, activate it"
                )
            if declared.when == LIVE:
                live[parameter.name] = value
        if self.configuration is None or self.needs_rebuild:
            return None
        return self.configuration.changed(live)

    def _apply(self, parameters: Sequence[RosParameter]) -> None:
        if self._accept_all:
            return
        for parameter in parameters:
            self._given.pop(parameter.name, None)
            declared = self._declared.get(parameter.name)
            if declared is not None and declared.when != LIVE and self.configuration is not None:
                self.needs_rebuild |= (
                    self._node.get_parameter(parameter.name).value
                    != self.configuration.values[parameter.name]
                )
        changed = self._changes(parameters)
        if changed is not None:
            self.configuration = changed
            self._on_change(changed)

    def _read_files(self) -> dict[str, Any]:
        """
        Return the parameters that the files hold for this node.

        Raises ConfigurationError if a file cannot be read, or no file has a section for the node.
        """
        values: dict[str, Any] = {}
        errors = []
        for file in self._files:
            try:
                values |= load_yaml(file, self._node.get_name(), self._node.get_namespace())
            except MissingSectionError as error:
                errors.append(error)
        if errors and len(errors) == len(self._files):
            raise errors[0]
        return values


def params_files(arguments: Sequence[str]) -> list[str]:
    """Return the files that follow --params-file on a command line."""
    pairs = itertools.pairwise(arguments)
    return [value for option, value in pairs if option == "--params-file"]


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """Return what `ros2 param describe` shows of a parameter."""
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    result = ParameterDescriptor(
        name=parameter.name,
        description=f"{parameter.description}{unit}",
        additional_constraints=f"{parameter.allowed}; {parameter.when}",
        read_only=parameter.when == READ_ONLY,
    )
    if parameter.low is None and parameter.high is None:
        return result
    if isinstance(parameter.default, float):
        largest = sys.float_info.max
        result.floating_point_range = [
            FloatingPointRange(
                from_value=-largest if parameter.low is None else float(parameter.low),
                to_value=largest if parameter.high is None else float(parameter.high),
            )
        ]
    else:
        result.integer_range = [
            IntegerRange(
                from_value=-(2**63) if parameter.low is None else math.ceil(parameter.low),
                to_value=2**63 - 1 if parameter.high is None else math.floor(parameter.high),
                step=1,
            )
        ]
    return result
