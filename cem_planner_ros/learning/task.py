# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The task of learning a model, from a parameter file of the node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from cem_planner_ros.configuration import configure, load_yaml, state_sources
from cem_planner_ros.configuration.state_sources import StateSource
from cem_planner_ros.configuration.table import TABLE
from cem_planner_ros.control.limits import SafeAction
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import COMMAND_TYPES, STATE_TYPES

LEARNED = "ensemble"


@dataclass(frozen=True)
class Task:
    """
    Names, messages and steps of the model to learn.

    Messages come in channels: "command", and "state", or "state.NAME" for each NAME of
    `state.sources`.

    Attributes:
        topics, types: by channel.
        fields: by channel, the message field of each name that it has.
        state_names: names of the states, in the order of the model.
        angle_names: states that are angles, rad.
        action_low, action_high, action_units: (nu), bounds and units of the actions.
        dt: length of a model step, s.
        horizon: H, model steps that a plan looks ahead.
        delay: time from a command to its effect, s.
        lag: (nu), time constants with which actuators follow commands, s.
        safe: the safe action.
        rate: commands per second, Hz.
        delays: by channel of the state, the time from a measurement to its stamp, s.
    """

    topics: Mapping[str, str]
    types: Mapping[str, str]
    fields: Mapping[str, Mapping[str, str]]
    state_names: tuple[str, ...]
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
    delays: Mapping[str, float]

    @property
    def state_channels(self) -> list[str]:
        """The channels of the state."""
        return [channel for channel in self.topics if channel != "command"]

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
    is_to_learn = given.get("dynamics.plugin") == LEARNED
    found = _to_learn(given, file) if is_to_learn else _of_model(given, file)
    values, names, actions = found.values, found.states, found.actions
    strangers = set(angles) - set(names)
    if strangers:
        raise ConfigurationError(
            f"--angle {min(strangers)} is no state, allowed: {', '.join(names)}"
        )
    states = {f"state.{s.name}" if s.name else "state": s for s in found.sources}
    return Task(
        topics={c: s.topic for c, s in states.items()} | {"command": values["command.topic"]},
        types={c: s.type for c, s in states.items()} | {"command": values["command.type"]},
        fields={c: s.fields for c, s in states.items()} | {"command": actions},
        state_names=names,
        angle_names=tuple(dict.fromkeys((*found.angles, *angles))),
        action_low=found.low,
        action_high=found.high,
        action_units=found.units,
        dt=float(values["planner.dt"]),
        horizon=int(values["planner.horizon"]),
        delay=float(values["actuation_delay"]),
        lag=tuple(float(values.get(f"action.lag.{a}", 0.0)) for a in actions),
        safe=SafeAction(
            tuple(values.get(f"action.safe.{a}", 0.0) for a in actions),
            tuple(_row(values, a, list(names)) for a in actions),
            found.low,
            found.high,
        ),
        rate=float(values["control_rate"]),
        delays={channel: source.delay for channel, source in states.items()},
    )


class _Found(NamedTuple):
    """What a file says of a model: values of all parameters, and names, bounds and units."""

    values: Mapping[str, Any]
    sources: Sequence[StateSource]
    states: tuple[str, ...]
    angles: tuple[str, ...]
    actions: Mapping[str, str]  # the message field of each
    low: tuple[float, ...]
    high: tuple[float, ...]
    units: tuple[str, ...]


def _of_model(given: Mapping[str, Any], file: Path) -> _Found:
    """Return what the model of a file has."""
    configuration = configure({**given, "planner.device": "cpu"}, str(file))
    if any(row is not None for row in configuration.integrated_rows()):
        raise ConfigurationError(
            f"{file}: parameter 'command.integrate' sends positions in place of actions, "
            "allowed for bags: empty, as a model learns from its actions"
        )
    model = configuration.dynamics
    return _Found(
        configuration.values,
        configuration.sources,
        tuple(model.state_names),
        tuple(model.angle_names),
        configuration.fields("command"),
        tuple(map(float, configuration.action("low"))),
        tuple(map(float, configuration.action("high"))),
        tuple(model.action_units),
    )


def _to_learn(given: Mapping[str, Any], file: Path) -> _Found:
    """Return what a file says of a model that is not there yet."""
    values = {parameter.name: parameter.default for parameter in TABLE} | dict(given)
    actions = _group(given, "command.fields", file)
    if values["state.sources"]:
        raise ConfigurationError(
            f"{file}: parameter 'state.sources' is {values['state.sources']}, allowed for a "
            "model to learn: none, as its states are those of state.fields, in their order"
        )
    states = _group(given, "state.fields", file)
    values |= {f"state.fields.{name}": field for name, field in states.items()}
    for side, types, listed in (
        ("state", STATE_TYPES, states),
        ("command", COMMAND_TYPES, actions),
    ):
        kind = values[f"{side}.type"]
        for name, field in listed.items():
            if kind not in types or not types[kind].match(str(field)):
                allowed = types[kind].words if kind in types else ", ".join(types)
                raise ConfigurationError(
                    f"{file}: parameter '{side}.fields.{name}' is {field!r} of {kind}, "
                    f"allowed: {allowed}"
                )
    bounds = (_group(given, f"action.{side}", file) for side in ("low", "high"))
    low, high = ([bound.get(name) for name in actions] for bound in bounds)
    if not all(isinstance(bound, (int, float)) for bound in (*low, *high)):
        raise ConfigurationError(
            f"{file}: parameters 'action.low' and 'action.high' have to bound each of "
            f"{', '.join(actions)} with a number"
        )
    return _Found(
        values,
        state_sources.sources(values, tuple(states)),
        tuple(states),
        (),
        actions,
        tuple(map(float, low)),
        tuple(map(float, high)),
        ("",) * len(actions),
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
