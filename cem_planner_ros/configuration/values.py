# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Checked values of all parameters, and the planner that is made from them.

Nothing here needs ROS, so `python -m cem_planner_ros check` gives the same errors for a YAML file
as the node.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch

from cem_planner_ros.configuration.cross_checks import cross_check, search_settings
from cem_planner_ros.configuration.state_sources import StateSource, sources
from cem_planner_ros.configuration.topic_checks import absolute
from cem_planner_ros.configuration.value_warnings import warnings
from cem_planner_ros.control.control_settings import ControlSettings
from cem_planner_ros.control.limits import CommandLimits, SafeAction, TurningLimit
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.action_parameters import MEASURED, MIDDLE, REFERENCE
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.randomised import Randomised
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.goal_checker import GoalChecker
from cem_planner_ros.navigation.planar_robot import DriveSettings, PlanarRobot
from cem_planner_ros.navigation.references import ReferenceSource
from cem_planner_ros.navigation.stop_guard import StopGuard
from cem_planner_ros.planning.planner import LIVE as LIVE_SETTINGS
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.planner_arguments import OF_REFERENCE
from cem_planner_ros.plugins import loading
from cem_planner_ros.plugins.parameter import LIVE, Parameter, Parameterised
from cem_planner_ros.policies.candidates import PolicyCandidates
from cem_planner_ros.policies.gait import Gait, GaitCandidates
from cem_planner_ros.policies.linear_policy import LinearPolicy, MatchedPolicy


@dataclass(frozen=True)
class Configuration:
    """
    Checked values of all parameters, and the plugins that they name.

    Attributes:
        values: all parameters by name, with defaults filled in.
        parameters: the declaration of each.
        dynamics: the model, on the planning device.
        costs: the cost terms by instance name, on the planning device.
        device: the planning device.
        policy: the policy or the gait of `policy.file`; None without one.
        file: source of the values, for messages.
    """

    values: Mapping[str, Any]
    parameters: Mapping[str, Parameter]
    dynamics: Dynamics
    costs: Mapping[str, Cost]
    device: torch.device
    policy: LinearPolicy | Gait | None = None
    file: str = ""

    @property
    def inputs(self) -> frozenset[str]:
        """The inputs of the costs: some of "goal", "path", "costmap" and "moving_obstacles"."""
        return frozenset(name for cost in self.costs.values() for name in cost.inputs)

    @property
    def reference_sources(self) -> dict[str, ReferenceSource]:
        """Where costs get their references from, by name of the cost; those of the model too."""
        sources = {name: cost.reference_source for name, cost in self.costs.items()}
        of_costs = {name: source for name, source in sources.items() if source is not None}
        return {**self.dynamics.reference_sources, **of_costs}

    @property
    def footprint(self) -> Footprint | None:
        """The outline of a robot with a costmap; None without a costmap."""
        footprints = (cost.robot_footprint for cost in self.costs.values())
        return next((footprint for footprint in footprints if footprint is not None), None)

    def goal_checker(self) -> GoalChecker | None:
        """Return the goal checker of a mobile robot; None for other plants."""
        if not self.inputs:
            return None
        targets = self.inputs & {"goal", "path"}
        return GoalChecker(self.planar_robot(), targets, self.drive_settings())

    def stop_guard(self) -> StopGuard | None:
        """Return the stop guard; None if no cost uses a costmap."""
        if "costmap" not in self.inputs:
            return None
        return StopGuard(
            self.planar_robot(),
            self.footprint,
            self.drive_settings(),
            needs_moving="moving_obstacles" in self.inputs,
        )

    @functools.cached_property
    def control_settings(self) -> ControlSettings:
        """The settings of the control loop."""
        low, high = self.action("low"), self.action("high")
        scalars = (
            *("control_rate", "budget_fraction", "command_phase", "actuation_delay", "fallback"),
            *("max_plan_age", "hold_time", "recover_periods"),
        )
        return ControlSettings(
            **{name: self.values[name] for name in scalars},
            command_rate=self.values["command.rate"],
            max_state_age=self._max_state_age(),
            limits=CommandLimits(
                low=np.array(low),
                high=np.array(high),
                rate=np.array([rate or math.inf for rate in self.action("rate")]),
                low_pass=np.array(self.action("low_pass")),
                turning=self._turning_limit(),
                slowing=self._slowing(),
            ),
            safe=SafeAction(
                tuple(self.action("safe")), tuple(self.measuring_rows()), tuple(low), tuple(high)
            ),
            lag=np.array(self.action("lag")),
            policy=self.matched_policy(),
            drive=self.drive_settings() if self.inputs else None,
        )

    def drive_settings(self) -> DriveSettings:
        """Return the settings of goal checker and stop guard of a mobile robot."""
        elsewhere = {
            "actuation_delay": self.values["actuation_delay"],
            "hold_time": self.values["hold_time"],
            "period": 1.0 / self.values["control_rate"],
            "turning_radius": self._number(self.dynamics.radius_parameter),
            "wheel_base": self._number(self.dynamics.wheel_base_parameter),
        }
        names = {field.name for field in fields(DriveSettings)} - set(elsewhere)
        return DriveSettings(**elsewhere, **{name: self.values[f"drive.{name}"] for name in names})

    def _number(self, parameter: str) -> float:
        """Return the value of a parameter of the model, 0 if it has no such parameter ("")."""
        return self.values[f"dynamics.{parameter}"] if parameter else 0.0

    def _slowing(self) -> np.ndarray:
        """Return how fast each action (nu,) comes back within its bounds, in its unit per s."""
        model, most = self.dynamics, {}
        if self.inputs:
            names = (*model.forward_names, *model.sideways_names)
            most = dict.fromkeys(names, self.values["drive.deceleration"])
            most |= dict.fromkeys(model.turning_names, self.values["drive.yaw_deceleration"])
        return np.array([most.get(name, math.inf) for name in model.action_names])

    def _turning_limit(self) -> TurningLimit | None:
        """Return what keeps commands to the turning radius of the model, None if it has none."""
        model, radius = self.dynamics, self._number(self.dynamics.radius_parameter)
        names = model.action_names
        rows = [
            next((names.index(name) for name in kind if name in names), None)
            for kind in (model.forward_names, model.turning_names)
        ]
        return None if not radius or None in rows else TurningLimit(radius, *rows)

    def planar_robot(self) -> PlanarRobot:
        """Return where pose and speeds stand in states and actions of a robot that drives."""
        model = self.dynamics
        return PlanarRobot(
            model.state_names,
            model.action_names,
            model.forward_names,
            model.sideways_names,
            model.turning_names,
            model.steering_names if model.wheel_base_parameter else (),
        )

    def action(self, group: str) -> list[Any]:
        """Return the parameters action.GROUP.NAME (nu,); GROUP is low, rate, safe and so on."""
        return [self.values[f"action.{group}.{name}"] for name in self.dynamics.action_names]

    def measuring_rows(self) -> list[int | None]:
        """Return the index of the state that measures each action (nu,); None if none does."""
        names = self.dynamics.state_names
        states = self.action("measured_by")
        return [names.index(state) if state else None for state in states]

    @functools.cached_property
    def sources(self) -> tuple[StateSource, ...]:
        """The topics of the state."""
        return sources(self.values, self.dynamics.state_names)

    def integrated_rows(self) -> tuple[int | None, ...]:
        """Return the index of the state that each action (nu) is integrated to; None for none."""
        names = self.dynamics.state_names
        states = (self.values[f"command.integrate.{name}"] for name in self.dynamics.action_names)
        return tuple(names.index(state) if state else None for state in states)

    def fields(self, side: str) -> dict[str, str]:
        """
        Return {name: field} of the messages; `side` is "state" or "command".

        The fields of the state may be those of several sources.
        """
        if side == "state":
            found = {name: field for s in self.sources for name, field in s.fields.items()}
            return {name: found[name] for name in self.dynamics.state_names}
        names = self.dynamics.action_names
        return {name: self.values[f"command.fields.{name}"] for name in names}

    def _max_state_age(self) -> float | np.ndarray:
        """Return the largest age of the state, s; (nx,) if its sources have different ones."""
        ages = {source.max_age for source in self.sources}
        if len(ages) == 1:
            return ages.pop()
        found = np.zeros(len(self.dynamics.state_names))
        for source in self.sources:
            found[list(source.rows)] = source.max_age
        return found

    def changed(self, changes: Mapping[str, Any]) -> Configuration:
        """
        Return this configuration with changed live parameters; the plugin objects stay the same.

        Raises ConfigurationError if the changed values do not fit together.
        """
        values = dict(self.values)
        for name, value in changes.items():
            if name not in self.parameters:
                raise ConfigurationError(loading.unknown("parameter", name, self.parameters))
            if self.parameters[name].when != LIVE and value != values[name]:
                raise ConfigurationError(
                    f"parameter '{name}' can only change while the node is not active: "
                    "deactivate and clean it up, set it, then configure and activate it"
                )
            values[name] = self.parameters[name].check(value)
        self.check_together(values)
        return replace(self, values=values)

    def merged(
        self, wanted: Configuration, is_accepted: Callable[[Configuration], bool]
    ) -> Configuration:
        """
        Return this configuration with the accepted live values of another one.

        Each value is tried alone. Values that are not accepted alone are tried together.
        """
        merged, misfits = self, {}
        for name, value in wanted.values.items():
            if name not in self.values or value == self.values[name]:
                continue
            try:
                part = merged.changed({name: value})
            except ConfigurationError:
                misfits[name] = value
                continue
            if is_accepted(part):
                merged = part
        try:
            part = merged.changed(misfits)
        except ConfigurationError:
            return merged
        return part if is_accepted(part) else merged

    def check_together(self, values: Mapping[str, Any]) -> None:
        """Raise ConfigurationError if values that are right one by one do not fit together."""
        problems = cross_check(values, self.dynamics, self.costs)
        if problems:
            raise ConfigurationError("\n".join(problems))

    def tune(self, planner: Planner) -> None:
        """Set these values in a planner and its plugins, in place."""
        planner.tune(**self.tuning())
        for prefix, plugin in (("dynamics", self.dynamics), *self.costs.items()):
            for name in plugin.numbers:
                plugin.set(name, self.values[f"{prefix}.{name}"])

    def slowed(self, share: float) -> Configuration:
        """
        Return this configuration with smaller bounds of all commanded speeds, and what they bound.

        Args:
            share: factor of the bounds, above 0 and at most 1.
        """
        names = {*self.dynamics.forward_names, *self.dynamics.sideways_names}
        names = (names | {*self.dynamics.turning_names}) & {*self.dynamics.action_names}
        groups = ("low", "high", "nominal", "safe")
        values = {
            name: self.values[name] for g in groups for a in names if (name := f"action.{g}.{a}")
        }
        numbers = {name: value for name, value in values.items() if not isinstance(value, str)}
        return self.changed({name: share * value for name, value in numbers.items()})

    def with_plugins_of(self, other: Configuration) -> Configuration | None:
        """
        Return this configuration with the plugin objects of another one; None if they differ.

        They can be used again if only live values and settings of the search differ. Plugins that
        receive something before each plan belong to one planner.
        """
        is_told = type(other.dynamics).begin_plan is not Dynamics.begin_plan
        is_told |= bool(other.dynamics.position_names)  # They know where a plan begins.
        is_told |= bool(other.dynamics.reference_sources)
        is_told |= any(type(c).prepare is not Cost.prepare for c in other.costs.values())
        remembers = (other.dynamics, *other.costs.values())
        is_told |= any(type(plugin).reset is not Parameterised.reset for plugin in remembers)
        if is_told or self.device != other.device or set(self.values) != set(other.values):
            return None
        for name, value in self.values.items():
            is_shape = name.startswith("planner.") and name != "planner.dt"
            if not is_shape and self.parameters[name].when != LIVE and value != other.values[name]:
                return None
        return replace(self, dynamics=other.dynamics, costs=other.costs)

    def planner(self, like: Planner | None = None) -> Planner:
        """
        Make the planner; this compiles unless `like` has the same plugins.

        Raises ConfigurationError if a plugin fails a check.
        """
        try:
            return self._planner(like)
        except ConfigurationError as error:
            raise in_file(error, self.file) from error

    def _planner(self, like: Planner | None) -> Planner:
        value = self.values
        model, variants = self.dynamics, value["randomisation.samples"]
        if variants > 1:
            spreads = {name: value[f"randomisation.spread.{name}"] for name in model.numbers}
            model = Randomised(model, spreads, variants, value["planner.seed"])
        settings = search_settings(value, self.dynamics)
        return Planner(
            model,
            list(self.costs.values()),
            **{name: setting for name, setting in settings.items() if name not in LIVE_SETTINGS},
            **{name: value[f"planner.{name}"] for name in ("backend", "threads", "seed")},
            **self.tuning(),
            period=1.0 / value["control_rate"],
            device=self.device,
            like=like if variants == 1 else None,
            policy=self._policy_candidates(),
        )

    def warnings(self, resolve: Callable[[str], str] = absolute) -> list[str]:
        """Return what `value_warnings.warnings` does; `resolve` makes topics absolute."""
        return warnings(self.values, self.dynamics, self.costs, self.device, resolve)

    def matched_policy(self) -> MatchedPolicy | None:
        """Return the policy, matched to the model; None without one."""
        if not isinstance(self.policy, LinearPolicy):
            return None
        return MatchedPolicy(self.policy, self.dynamics, self.action("low"), self.action("high"))

    def _policy_candidates(self) -> PolicyCandidates | GaitCandidates | None:
        """Return the policy's candidates; None without them. This compiles."""
        count, seed = self.values["policy.candidates"], self.values["planner.seed"]
        gait = self.policy
        if not count:
            return None
        if isinstance(gait, Gait):
            bounds = np.array(self.action("low")), np.array(self.action("high"))
            follows = self.costs[gait.velocity]
            return GaitCandidates(
                gait, self.dynamics, lambda: follows.wanted[:3, 0], *bounds, count, seed
            )
        return PolicyCandidates(self.matched_policy(), self.dynamics, count, self.device, seed)

    def tuning(self) -> dict[str, Any]:
        """Return the arguments of `Planner.tune`."""
        return {
            "low": self.action("low"),
            "high": self.action("high"),
            "rate": [rate or math.inf for rate in self.action("rate")],
            "lag": self.action("lag"),
            "nominal": [self._nominal(row) for row in range(len(self.dynamics.action_names))],
            "action_std": self.action("std"),
            "action_std_min": self.action("std_min"),
            **{name: self.values[f"planner.{name}"] for name in LIVE_SETTINGS},
        }

    def _nominal(self, row: int) -> float | str | None:
        """Return the nominal value of an action as `Planner` takes it."""
        value = self.action("nominal")[row]
        if value == MIDDLE:
            return None
        if value == MEASURED:
            return self.action("measured_by")[row]
        if value == REFERENCE:
            return OF_REFERENCE + self.action("measured_by")[row]
        return self.dynamics.named_actions[value][row] if isinstance(value, str) else value


def in_file(error: ConfigurationError, file: str) -> ConfigurationError:
    """Return the error with the name of the file added, if there is one."""
    text = f"{error}\n  in {file}" if file else str(error)
    return ConfigurationError(text, error.parameters)
