# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The parameters of a ROS node: declared, validated, and updated from YAML files."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter as RosParameter
from std_srvs.srv import Trigger

from cem_planner_ros.configuration import Configuration, configure
from cem_planner_ros.configuration.state_sources import spelled_out
from cem_planner_ros.configuration.table import TABLE
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins.parameter import INACTIVE, LIVE, READ_ONLY, Parameter, with_entries
from cem_planner_ros.ros.command_line import params_files
from cem_planner_ros.ros.declaring import descriptor, read_files


class NodeParameters:
    """
    Declares all parameters of a node, and refuses changes that are not allowed.

    A wrong value at the start does not stop the node. The parameter is declared with its default.
    `values` still returns the wrong value, so that `configure` reports it, until the parameter is
    set or its file is corrected.

    The service `~/initial_parameters` answers with the values with which the node was started, as a
    JSON object {name: value}: those of the files, given with -p, or else the defaults.

    Args:
        node: the node, before its parameters are declared.
        on_change: called in the executor thread with the new configuration after live parameters of
            a configured node changed.
        on_rebuild: called after a parameter that needs a new planner changed while the node
            controls.
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
        """Why values that were set are not used yet; "" if all are used."""
        self._declared: dict[str, Parameter] = {}
        self._accept_all = False
        self._files = params_files(sys.argv)
        self._in_files: dict[str, Any] = {}
        self._are_read = False
        with contextlib.suppress(ConfigurationError):  # Reported when the node is configured.
            self._in_files = self._read_files()
            self._are_read = True
        # rcl reads the files too, but ignores a whole file if one value is wrong. For rcl an empty
        # list has no value.
        overrides = node._parameter_overrides.items()
        overrides = {name: p.value for name, p in overrides if p.value is not None}
        self._given = spelled_out(self._in_files | overrides)
        self._with_p = {n: v for n, v in overrides.items() if v != self._in_files.get(n)}
        self.configuration: Configuration | None = None
        """The configuration of the node; None while it is not configured."""
        self.active = False
        """
        Whether the node controls. Only live parameters may change then, or `planner.*` with
        allow_rebuild.
        """
        self.needs_rebuild = False
        """Whether a parameter that is not live changed since the configuration was made."""
        try:
            self.declare(configure(self._given).parameters)
        except ConfigurationError as error:
            # Wrong values are reported when the node is configured; right ones are declared now.
            self.declare({p.name: p for p in TABLE} | dict(error.parameters))
        node.add_pre_set_parameters_callback(self._as_declared)
        node.add_on_set_parameters_callback(self._check)
        node.add_post_set_parameters_callback(self._apply)
        node.create_service(Trigger, "~/initial_parameters", self._on_initial)

    def source(self, values: Mapping[str, Any]) -> str:
        """Return the sources of values, for messages: the YAML files, and values set otherwise."""
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
        Return all present values, right or wrong; reads changed files again.

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
            # Defaults are declared without the files, for a model that the files may not name.
            current = {n: v for n, v in current.items() if v != self._declared[n].default}
        return current | self._given

    def use(self, configuration: Configuration | None) -> None:
        """Take over a configuration: declare parameters of its plugins, undeclare others."""
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
        """The names of the declared parameters."""
        return frozenset(self._declared)

    def declare(self, parameters: Mapping[str, Parameter]) -> None:
        """Declare new parameters, with their given values if right; set changed ones."""
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
        """Return the present values of all parameters."""
        return {name: self._node.get_parameter(name).value for name in self._declared}

    def _on_initial(self, request, response: Trigger.Response) -> Trigger.Response:
        given, initial = self._in_files | self._with_p, {}
        for name, parameter in self._declared.items():
            initial[name] = parameter.default
            with contextlib.suppress(ConfigurationError):
                initial[name] = parameter.check(given.get(name, parameter.default))
        response.success, response.message = True, json.dumps(initial)
        return response

    def force(self, values: Mapping[str, Any]) -> None:
        """Set parameters even if they may not change now; a new planner is needed afterwards."""
        self._accept_all = True
        try:
            self._node.set_parameters([RosParameter(n, value=v) for n, v in values.items()])
        finally:
            self._accept_all = False
        self.needs_rebuild = True

    def swap(self, configuration: Configuration) -> Configuration:
        """Take over a configuration that was made in the background; return it with live values."""
        live = {n: v for n, v in self._in_use().items() if self._declared[n].when == LIVE}
        self.configuration = configuration.changed(live)
        self.needs_rebuild = False
        return self.configuration

    def _in_use(self) -> dict[str, Any]:
        """Return all set values, without those that wait for others."""
        waiting = {name: self.configuration.values[name] for name in self._waiting}
        return self.current() | waiting

    def differs_from(self, configuration: Configuration) -> bool:
        """Return whether a parameter that is not live differs from a configuration."""
        return any(
            configuration.values.get(name, value) != value
            for name, value in self.current().items()
            if self._declared[name].when != LIVE
        )

    def _as_declared(self, parameters: list[RosParameter]) -> list[RosParameter]:
        """Return parameters with integers converted to floats where floats are declared."""
        return [
            RosParameter(p.name, value=float(p.value))
            if type(p.value) is int and p.name in self._declared and self._declared[p.name].is_float
            else p
            for p in parameters
        ]

    def _check(self, parameters: Sequence[RosParameter]) -> SetParametersResult:
        if self._accept_all:
            return SetParametersResult(successful=True)
        try:
            changes = self._changes(parameters)
            # Values set one by one may be invalid in between; values set together must fit.
            if self.configuration is not None and len(changes) > 1:
                live = {n: v for n, v in changes.items() if self._declared[n].when == LIVE}
                self._together(changes if self.active else live)
        except ConfigurationError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _changes(self, parameters: Sequence[RosParameter]) -> dict[str, Any]:
        """Return the changed values. Raises ConfigurationError if one is not allowed (now)."""
        for parameter in parameters:
            # This parameter belongs to rclpy; it chooses the clock of states, schedule and plan.
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
        """Raise ConfigurationError if values fit neither the set values nor those in use."""
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
        """Use live values and those that waited for them, or let them wait for others."""
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
        Return the parameters of this node in the files.

        Raises ConfigurationError if a file cannot be read, or no file has a section for the node.
        """
        found = spelled_out(read_files(self._files, self._node))
        for parameter in self._declared.values():
            if parameter.has_entries:
                found = with_entries(found, parameter.name)
        return found
