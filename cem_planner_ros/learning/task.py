"""The task of learning a model, from a parameter file of the node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.configuration.table import TABLE
from cem_planner_ros.control.limits import SafeAction
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import COMMAND_TYPES, STATE_TYPES

LEARNED = "ensemble"


@dataclass(frozen=True)
class Task:
    """
    Names, messages and steps of the model to learn.

    Attributes:
        topics, types: by side, "state" and "command".
        fields: by side, the message field of each name.
        angle_names: states that are angles, rad.
        action_low, action_high, action_units: (nu), bounds and units of the actions.
        dt: length of a model step, s.
        horizon: H, model steps that a plan looks ahead.
        delay: time from a command to its effect, s.
        lag: (nu), time constants with which actuators follow commands, s.
        safe: the safe action.
        rate: commands per second, Hz.
    """

    topics: Mapping[str, str]
    types: Mapping[str, str]
    fields: Mapping[str, Mapping[str, str]]
    angle_names: tuple[str, ...]
    action_low: tuple[float, ...]
    action_high: tuple[float, ...]
    action_units: tuple[str, ...]
    dt: float
    horizon: int
    delay: float
    lag: tuple[float, ...]
    safe: SafeAction
    rate: float

    @property
    def state_names(self) -> tuple[str, ...]:
        """Names of the states, in the order of the model."""
        return tuple(self.fields["state"])

    @property
    def action_names(self) -> tuple[str, ...]:
        """Names of the actions, in the order of the model."""
        return tuple(self.fields["command"])


def load(file: Path, angles: Sequence[str] = ()) -> Task:
    """
    Return the task of the node's YAML.

    The names are those of the model in the file. If the file names the model that is to be learned,
    the names come from `state.fields` and `command.fields`, the bounds from `action.low` and
    `action.high`, and `angles` names the states that are angles.

    Raises ConfigurationError if parameters are missing.
    """
    given = load_yaml(file)
    if given.get("dynamics.plugin") != LEARNED:
        configuration = configure(given | {"planner.device": "cpu"}, str(file))
        values, model = configuration.values, configuration.dynamics
        fields = {side: configuration.fields(side) for side in ("state", "command")}
        low, high = configuration.action("low"), configuration.action("high")
        units, angles = model.action_units, (*model.angle_names, *angles)
    else:
        values = {parameter.name: parameter.default for parameter in TABLE} | given
        fields = {side: _group(given, f"{side}.fields", file) for side in ("state", "command")}
        bounds = (_group(given, f"action.{side}", file) for side in ("low", "high"))
        low, high = ([bound.get(name) for name in fields["command"]] for bound in bounds)
        units = [""] * len(low)
        for side, types in (("state", STATE_TYPES), ("command", COMMAND_TYPES)):
            kind = values[f"{side}.type"]
            for name, field in fields[side].items():
                if kind not in types or not types[kind].match(str(field)):
                    allowed = types[kind].words if kind in types else ", ".join(types)
                    raise ConfigurationError(
                        f"{file}: parameter '{side}.fields.{name}' is {field!r} of {kind}, "
                        f"allowed: {allowed}"
                    )
        if not all(isinstance(bound, (int, float)) for bound in (*low, *high)):
            raise ConfigurationError(
                f"{file}: parameters 'action.low' and 'action.high' have to bound each of "
                f"{', '.join(fields['command'])} with a number"
            )
    strangers = set(angles) - set(fields["state"])
    if strangers:
        raise ConfigurationError(
            f"--angle {min(strangers)} is no state, allowed: {', '.join(fields['state'])}"
        )
    return Task(
        topics={side: values[f"{side}.topic"] for side in fields},
        types={side: values[f"{side}.type"] for side in fields},
        fields=fields,
        angle_names=tuple(dict.fromkeys(angles)),
        action_low=tuple(map(float, low)),
        action_high=tuple(map(float, high)),
        action_units=tuple(units),
        dt=float(values["planner.dt"]),
        horizon=int(values["planner.horizon"]),
        delay=float(values["actuation_delay"]),
        lag=tuple(float(values.get(f"action.lag.{a}", 0.0)) for a in fields["command"]),
        safe=SafeAction(
            tuple(values.get(f"action.safe.{a}", 0.0) for a in fields["command"]),
            tuple(_row(values, a, list(fields["state"])) for a in fields["command"]),
            tuple(map(float, low)),
            tuple(map(float, high)),
        ),
        rate=float(values["control_rate"]),
    )


def _row(values: Mapping[str, Any], action: str, states: list[str]) -> int | None:
    """Return the index of the state that measures an action; None if there is none."""
    state = values.get(f"action.measured_by.{action}")
    return states.index(state) if state in states else None


def _group(given: Mapping[str, Any], prefix: str, file: Path) -> dict[str, Any]:
    """Return {name: value} of the parameters PREFIX.name."""
    start = f"{prefix}."
    group = {name[len(start) :]: v for name, v in given.items() if name.startswith(start)}
    if not group:
        raise ConfigurationError(f"{file}: parameter '{prefix}' is missing: a model has to have it")
    return group
