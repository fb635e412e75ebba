"""The table of parameters on a ROS node: declared, validated, kept in step with the YAML files."""

from __future__ import annotations

import contextlib
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
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
    configure,
    load_yaml,
)
from cem_planner_ros.configuration.table import ROS_PARAMETERS, TABLE
from cem_planner_ros.errors import ConfigurationError, did_you_mean
from cem_planner_ros.plugins.parameter import INACTIVE, LIVE, READ_ONLY, Parameter
from cem_planner_ros.ros.command_line import params_files

LAUNCH_FILE = "launch_params_"
"""How launch begins the names of files that it writes parameters of a launch file into."""


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
        on_rebuild: called after a parameter changed, while the node controls, that needs a new
            planner.
    """

    def __init__(
        self,
        node: Node,
        on_change: Callable[[Configuration], None],
        on_rebuild: Callable[[], None],
    ):
        self._node = node
        self._on_change = on_change
        self._on_rebuild = on_rebuild
        self._waiting: dict[str, Any] = {}
        self.waits_for = ""
        """Why values that were set are not used yet; "" if all are."""
        self._declared: dict[str, Parameter] = {}
        self._accept_all = False
        self._files = params_files(sys.argv)
        self._in_files: dict[str, Any] = {}
        self._are_read = False
        with contextlib.suppress(ConfigurationError):  # Said when the node is configured.
            self._in_files = self._read_files()
            self._are_read = True
        # rcl reads the files too, but gives up a file as a whole if it dislikes one value.
        # An empty list has no value there.
        overrides = node._parameter_overrides.items()
        overrides = {name: p.value for name, p in overrides if p.value is not None}
        self._given = self._in_files | overrides
        self.configuration: Configuration | None = None
        """What the node is configured with; None while it is not."""
        self.active = False
        """Whether the node controls; only live parameters may change then, or `planner.*`."""
        self.needs_rebuild = False
        """Whether a parameter that is not live changed since the configuration was made."""
        try:
            self.declare(configure(self._given).parameters)
        except ConfigurationError as error:
            # What is wrong is said when the node is configured; what is right is declared now.
            self.declare({p.name: p for p in TABLE} | dict(error.parameters))
        node.add_pre_set_parameters_callback(self._as_declared)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._apply)

    def source(self, values: Mapping[str, Any]) -> str:
        """Return where values come from, for messages: the YAML files, and which do not."""
        files = ", ".join(self._files)
        others = []
        for name, value in values.items():
            declared = self._declared.get(name)
            usual = self._in_files.get(name, declared.default if declared else None)
            if value != usual:
                others.append(name)
        if not files or not others:
            return files
        return f"{files} (but with -p, or set since: {', '.join(sorted(others))})"

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
        current = self.current()
        if not self._are_read:
            # Declared without the files, for a model that they may not name: so are the defaults.
            current = {n: v for n, v in current.items() if v != self._declared[n].default}
        return current | self._given

    def use(self, configuration: Configuration | None) -> None:
        """Take over a configuration: declare what its plugins brought, drop what others left."""
        self.configuration = configuration
        self.needs_rebuild = False
        self._waiting, self.waits_for = {}, ""
        if configuration is None:
            return
        for name in self._declared.keys() - configuration.parameters.keys():
            self._node.undeclare_parameter(name)
            del self._declared[name]
        self._given = dict(configuration.values)
        self.declare(configuration.parameters)
        self._given = {}
        self._are_read = True

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

    def current(self) -> dict[str, Any]:
        """Return the values of all parameters as they are set now."""
        return {name: self._node.get_parameter(name).value for name in self._declared}

    def force(self, values: Mapping[str, Any]) -> None:
        """Set parameters whatever may change now; a new planner is wanted afterwards."""
        self._accept_all = True
        try:
            self._node.set_parameters([RosParameter(n, value=v) for n, v in values.items()])
        finally:
            self._accept_all = False
        self.needs_rebuild = True

    def swap(self, configuration: Configuration) -> Configuration:
        """Take over a configuration made beside the one in use; return it with live values."""
        live = {n: v for n, v in self._in_use().items() if self._declared[n].when == LIVE}
        self.configuration = configuration.changed(live)
        self.needs_rebuild = False
        return self.configuration

    def _in_use(self) -> dict[str, Any]:
        """Return all values as set, but for those that wait for others."""
        waiting = {name: self.configuration.values[name] for name in self._waiting}
        return self.current() | waiting

    def differs_from(self, configuration: Configuration) -> bool:
        """Return whether a parameter that is not live is set to another value than in this."""
        return any(
            configuration.values.get(name, value) != value
            for name, value in self.current().items()
            if self._declared[name].when != LIVE
        )

    def _as_declared(self, parameters: list[RosParameter]) -> list[RosParameter]:
        """Return parameters with integers as numbers where those are declared, as in a file."""
        return [
            RosParameter(p.name, value=float(p.value))
            if type(p.value) is int
            and p.name in self._declared
            and isinstance(self._declared[p.name].default, float)
            else p
            for p in parameters
        ]

    def _check(self, parameters: Sequence[RosParameter]) -> SetParametersResult:
        if self._accept_all:
            return SetParametersResult(successful=True)
        try:
            changes = self._changes(parameters)
            # One by one, any order that ends valid is accepted; together they must be valid.
            if self.configuration is not None and len(changes) > 1:
                live = {n: v for n, v in changes.items() if self._declared[n].when == LIVE}
                self._together(changes if self.active else live)
        except ConfigurationError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _changes(self, parameters: Sequence[RosParameter]) -> dict[str, Any]:
        """Return the changed values; raise ConfigurationError if one cannot be, or not now."""
        for parameter in parameters:
            # It is rclpy's own; states, schedule and plan live on the clock that it chooses.
            is_clock = parameter.name == "use_sim_time" and self.active
            if is_clock and parameter.value != self._node.get_parameter("use_sim_time").value:
                raise ConfigurationError(
                    "parameter 'use_sim_time' can only change while the node is not active: "
                    "deactivate it, set the parameter, activate it"
                )
        values = {
            p.name: self._declared[p.name].check(p.value)
            for p in parameters
            if p.name in self._declared
        }
        for name, value in values.items():
            declared = self._declared[name]
            if value == self._node.get_parameter(name).value:
                continue
            if declared.when == READ_ONLY:
                raise ConfigurationError(f"parameter '{name}' is read-only")
            if declared.when == INACTIVE and self.active:
                if not name.startswith("planner."):
                    raise ConfigurationError(
                        f"parameter '{name}' can only change while the node is not active: "
                        "deactivate it, set the parameter, activate it"
                    )
                allowed = self._node.get_parameter("allow_rebuild").value
                if not values.get("allow_rebuild", allowed):
                    raise ConfigurationError(
                        f"parameter '{name}' can only change while the node is not active: "
                        "deactivate it, set the parameter, activate it; or set allow_rebuild"
                    )
        return values

    def _together(self, changes: Mapping[str, Any]) -> None:
        """Raise ConfigurationError if values agree neither with those set nor those in use."""
        try:
            self.configuration.check_together(self.configuration.values | self.current() | changes)
        except ConfigurationError:
            self.configuration.check_together(self.configuration.values | changes)

    def _apply(self, parameters: Sequence[RosParameter]) -> None:
        if self._accept_all:
            return
        for parameter in parameters:
            self._given.pop(parameter.name, None)
        if self.configuration is None:
            return
        names = [p.name for p in parameters if p.name in self._declared]
        live = {
            name: self._declared[name].check(self._node.get_parameter(name).value)
            for name in names
            if self._declared[name].when == LIVE
        }
        if live:
            self._tune(live)
        if len(live) < len(names):
            self.needs_rebuild = self.differs_from(self.configuration)
            if self.needs_rebuild and self.active:
                self._on_rebuild()

    def _tune(self, live: Mapping[str, Any]) -> None:
        """Use live values, with those that waited for them, or let them wait for others."""
        waiting = {name: v for name, v in self._waiting.items() if name not in live}
        for changes in (waiting | live, live):
            try:
                self.configuration = self.configuration.changed(changes)
            except ConfigurationError as error:
                reason = str(error)
                continue
            self._waiting = {name: v for name, v in waiting.items() if name not in changes}
            if not self._waiting:
                self.waits_for = ""
            self._on_change(self.configuration)
            return
        self._waiting = waiting | live
        self.waits_for = reason
        self._node.get_logger().warning(
            f"{', '.join(sorted(self._waiting))} set, but not used until other parameters fit: "
            f"{reason}"
        )

    def _read_files(self) -> dict[str, Any]:
        """
        Return the parameters that the files hold for this node.

        Raises ConfigurationError if a file cannot be read, or no file has a section for the node.
        """
        return read_files(self._files, self._node)


def read_files(files: Sequence[str], node: Node) -> dict[str, Any]:
    """
    Return the parameters that files hold for a node.

    Raises ConfigurationError if a file cannot be read, or none has a section for the node, those
    aside that launch wrote.
    """
    name = node.get_name(), node.get_namespace()
    load_yaml([file for file in files if not Path(file).name.startswith(LAUNCH_FILE)], *name)
    return load_yaml(files, *name)


def declare(node: Node, table: Sequence[Parameter]) -> tuple[dict[str, Any], set[str]]:
    """
    Declare the parameters of a node that has no plugins.

    Returns all values by name, and the names of those that were given. What is given and unknown is
    told in a warning. Raises ConfigurationError, with one line for each, if values are wrong.
    """
    given = read_files(params_files(sys.argv), node)
    overrides = node._parameter_overrides.items()
    given |= {name: p.value for name, p in overrides if p.value is not None}
    values, problems = {}, []
    for parameter in table:
        try:
            value = parameter.check(given.get(parameter.name, parameter.default))
        except ConfigurationError as error:
            problems.append(str(error))
            continue
        values[parameter.name] = value
        node.declare_parameter(parameter.name, value, descriptor(parameter), ignore_override=True)
    if problems:
        raise ConfigurationError("\n".join(problems))
    names = [p.name for p in table]
    for name in sorted(given):
        if name not in names and name.partition(".")[0] not in ROS_PARAMETERS:
            hint = did_you_mean(name, names)
            node.get_logger().warning(f"the parameter '{name}' is ignored: it is unknown{hint}")
    return values, given.keys() & set(names)


def descriptor(parameter: Parameter) -> ParameterDescriptor:
    """Return what `ros2 param describe` shows of a parameter."""
    unit = f" [{parameter.unit}]" if parameter.unit else ""
    result = ParameterDescriptor(
        name=parameter.name,
        description=f"{parameter.description}{unit}",
        additional_constraints=f"{parameter.allowed}; {parameter.when}",
        read_only=parameter.when == READ_ONLY,
        dynamic_typing=bool(parameter.words),
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
