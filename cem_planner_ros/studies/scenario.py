# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The scenarios of a study file: what an episode simulates or replans, and for which seeds."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import first_file
from cem_planner_ros.plugins import loading
from cem_planner_ros.plugins.parameter import Parameter
from cem_planner_ros.studies import replanning

Bounds = tuple[float, float]

SIMULATED = ("model", "mujoco", "robot")
RECORDING = "recording"
"""What a scenario may have for a plant: one that is simulated, or a run that was recorded."""

SCALARS = {
    parameter.name: parameter
    for parameter in (
        Parameter(
            "plant", "model", "What is simulated, or a recording.", choices=(*SIMULATED, RECORDING)
        ),
        Parameter("name", "", "Name of the scenario in reports."),
        Parameter(
            "duration", 10.0, "Longest duration of an episode.", unit="s", low=0.01, high=86400.0
        ),
        Parameter("world", "", "World of the plant 'robot'."),
        Parameter("model_file", "", "MJCF file of the plant 'mujoco'."),
        Parameter("keyframe", "", "First state of the plant 'mujoco'."),
        Parameter("recording", "", "Run that the plant 'recording' plans again."),
        Parameter("begin", 0.0, "Begin of the part that is planned again.", unit="s", low=0.0),
        Parameter(
            "delay", 0.0, "Time until the plant follows a command.", unit="s", low=0.0, high=1.0
        ),
        Parameter(
            "process_noise",
            0.0,
            "Std of the noise on each action, as a share of half its range.",
            low=0.0,
            high=1.0,
        ),
    )
}
"""The settings of a scenario that are one value."""

MOST_SEEDS = 10**5

FARTHEST = 1e5
"""Of a point of a path, m."""

PUSH = {
    "at": Parameter("at", 0.0, "Begin of a push.", unit="s", low=0.0),
    "duration": Parameter("duration", 0.1, "Duration of a push.", unit="s", low=1e-3),
}

OTHERS = {
    *("worlds", "seeds", "unseen", "start", "goal", "tolerance", "state_noise", "pushes"),
    *("model_errors", "path", "set"),
}
"""The settings of a scenario that are lists or mappings."""

ONLY_OF = {
    "world": ("robot",),
    "worlds": ("robot",),
    "model_file": ("mujoco",),
    "keyframe": ("mujoco",),
    "start": ("model",),
    "path": ("model",),
    "model_errors": ("model",),
    "recording": (RECORDING,),
    "begin": (RECORDING,),
    **dict.fromkeys(("goal", "tolerance"), ("model", "mujoco")),
    **dict.fromkeys(("delay", "process_noise", "state_noise", "pushes"), SIMULATED),
}
"""The plants for which a setting is."""


ROBOT = ("x", "y", "yaw", "v", "yaw_rate"), ("v", "yaw_rate")
"""States and actions of the plant "robot"."""


@dataclass(frozen=True)
class StudyScenario:
    """
    What an episode simulates.

    Attributes:
        plant: "model", a model of the planner's kind; "mujoco"; "robot", the robot with a lidar; or
            "recording", a recorded run of which each control period is planned again.
        seeds: of the episodes that are optimised for.
        unseen: seeds of the episodes that only compare the result with today's values.
        name: of the scenario, for people.
        duration: longest duration of an episode, s.
        world: name or file of a world, for the robot.
        model_file, keyframe: of the plant "mujoco".
        recording: absolute path of a file of `Planner.record()`, or of the folder of a rosbag2.
        begin: begin of the part of the recording, s; `duration` may be infinite.
        start: first states by name, drawn between two bounds; others are zero.
        path: (x, y) or (x, y, yaw) of points that the plant "model" has to drive along, m and rad.
        goal, tolerance: states that have to be reached, and how nearly, by name.
        delay: time from a command until the plant follows it, s.
        process_noise: std of the noise on each action, as a share of half its range.
        state_noise: std of the noise on measured states, by name.
        pushes: (at, duration, {action: value}), s, s and the unit of the action.
        model_errors: factors of the parameters of the plant's model, by name.
        set: parameters of the planner that differ in this scenario.
    """

    plant: str
    seeds: tuple[int, ...]
    unseen: tuple[int, ...] = ()
    name: str = ""
    duration: float = 10.0
    world: str = ""
    model_file: str = ""
    keyframe: str = ""
    recording: str = ""
    begin: float = 0.0
    start: Mapping[str, Bounds] = field(default_factory=dict)
    path: tuple[tuple[float, ...], ...] = ()
    goal: Mapping[str, float] = field(default_factory=dict)
    tolerance: Mapping[str, float] = field(default_factory=dict)
    delay: float = 0.0
    process_noise: float = 0.0
    state_noise: Mapping[str, float] = field(default_factory=dict)
    pushes: tuple[tuple[float, float, Mapping[str, float]], ...] = ()
    model_errors: Mapping[str, float] = field(default_factory=dict)
    set: Mapping[str, Any] = field(default_factory=dict)


def read(given: Any, configuration: Configuration, folder: Path = Path()) -> list[StudyScenario]:
    """
    Return the scenarios of one entry of a study file; one for each of its worlds.

    Args:
        given: what stands in the file.
        configuration: configuration that is tuned.
        folder: folder of the study file, in which recordings are searched first.

    Raises ConfigurationError for what cannot work.
    """
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"a scenario is {given!r}, expected NAME: VALUE")
    for name in given:
        if name not in {*SCALARS, *OTHERS}:
            known = ", ".join(sorted({*SCALARS, *OTHERS}))
            raise ConfigurationError(
                loading.unknown("setting of a scenario", str(name), {*SCALARS, *OTHERS})
                + f" (known: {known})"
            )
    values = {name: p.check(number(given.get(name, p.default))) for name, p in SCALARS.items()}
    plant = values["plant"]
    if plant == RECORDING and "duration" not in given:
        values["duration"] = math.inf
    for name, only in ONLY_OF.items():
        if name in given and plant not in only:
            raise ConfigurationError(
                f"'{name}' is given, but the plant '{plant}' has no such setting: it is for "
                + ", ".join(f"'{other}'" for other in only)
            )
    if "world" in given and "worlds" in given:
        raise ConfigurationError("'world' and 'worlds' are given, expected one of them")
    worlds = given.get("worlds", [values["world"]])
    if not isinstance(worlds, Sequence) or isinstance(worlds, str) or not worlds:
        raise ConfigurationError(f"'worlds' is {worlds!r}, expected a list of worlds")
    states = configuration.dynamics.state_names
    actions = configuration.dynamics.action_names
    common = values | {
        "seeds": _seeds("seeds", given.get("seeds", [0])),
        "unseen": _seeds("unseen", given.get("unseen", [])),
        "start": _by_name("start", given, states, _bounds),
        "path": _path(given.get("path", [])),
        "goal": _by_name("goal", given, states),
        "tolerance": _by_name("tolerance", given, states, _positive),
        "state_noise": _by_name("state_noise", given, states, _std),
        "model_errors": _by_name("model_errors", given, configuration.dynamics.numbers),
        "pushes": tuple(
            _push(push, actions, values["duration"]) for push in _list("pushes", given)
        ),
        "set": {name: number(value) for name, value in _mapping("set", given).items()},
    }
    if not common["seeds"] and not common["unseen"]:
        raise ConfigurationError("'seeds' is empty, expected one or more seeds, such as 0-4")
    both = set(common["seeds"]) & set(common["unseen"])
    if both:
        raise ConfigurationError(f"seed {min(both)} is in 'seeds' and in 'unseen'")
    if common["goal"] and common["path"]:
        raise ConfigurationError("'goal' is given beside 'path', whose last point is the goal")
    if set(common["goal"]) != set(common["tolerance"]):
        raise ConfigurationError("'goal' and 'tolerance' have to name the same states")
    if plant == RECORDING:
        common["recording"] = _recording(common, configuration, folder)
    _check_plant(common, worlds, configuration)
    names, name = [str(world) for world in worlds] if plant == "robot" else [plant], values["name"]
    if name:
        names = [name] if len(names) == 1 else [f"{name} {world}" for world in names]
    return [
        StudyScenario(**common | {"world": str(world), "name": name})
        for world, name in zip(worlds, names, strict=True)
    ]


def _recording(values: Mapping[str, Any], configuration: Configuration, folder: Path) -> str:
    """Return the absolute path of a recording, after reading it."""
    name = values["recording"]
    if not name:
        raise ConfigurationError(
            "the plant 'recording' needs a 'recording': a file of Planner.record(), or the folder "
            "of a rosbag2"
        )
    place = first_file((folder / name, Path(name)), Path.exists)
    if place is None:
        raise ConfigurationError(
            f"the recording '{name}' is no file and no folder, neither beside the study nor here"
        )
    place = place.absolute()
    part = replanning.load(str(place), configuration, values["begin"], values["duration"])
    if missing := replanning.lacking(part, configuration):
        raise ConfigurationError(
            f"the recording '{name}' has no {', no '.join(missing)}, which costs or model need: "
            "record it too, or use a plant that is simulated"
        )
    return str(place)


def _check_plant(values: Mapping[str, Any], worlds: Sequence, configuration: Configuration) -> None:
    """Raise ConfigurationError if a plant cannot be one of this configuration."""
    names = (configuration.dynamics.state_names, configuration.dynamics.action_names)
    plant, inputs = values["plant"], configuration.inputs
    if plant == "robot":
        if not all(worlds):
            raise ConfigurationError("the plant 'robot' needs a 'world', such as rooms")
        if not inputs:
            raise ConfigurationError("the plant 'robot' needs costs that use a path and a costmap")
        if tuple(map(tuple, names)) != ROBOT:
            has, other = ([", ".join(side) for side in both] for both in (ROBOT, names))
            raise ConfigurationError(
                f"the plant 'robot' has the states {has[0]} and the actions {has[1]}, the model "
                f"has {other[0]} and {other[1]}"
            )
    if plant == "mujoco" and not values["model_file"]:
        raise ConfigurationError("the plant 'mujoco' needs a 'model_file'")
    if plant != RECORDING and bool(inputs) != (plant == "robot" or bool(values["path"])):
        needs = "need a path: use the plant 'robot', or give the plant 'model' a 'path'"
        raise ConfigurationError(
            f"the costs {needs}" if inputs else "'path' is given, but no cost uses a path"
        )


def number(value: Any) -> Any:
    """Return a value of a YAML file; PyYAML takes numbers such as 1e-3 for text."""
    if isinstance(value, str) and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)[eE][+-]?\d+", value):
        return float(value)
    return value


def _float(name: str, value: Any) -> float:
    return Parameter(name, 0.0, "").check(number(value))


def _std(name: str, value: Any) -> float:
    return Parameter(name, 0.0, "", low=0.0).check(number(value))


def _positive(name: str, value: Any) -> float:
    return Parameter(name, 1.0, "", low=1e-9).check(number(value))


def _bounds(name: str, value: Any) -> Bounds:
    """Return both bounds of what is drawn between them; a number is both."""
    if isinstance(value, (list, tuple)) and len(value) == 2:
        low, high = (_float(name, bound) for bound in value)
        if low > high:
            raise ConfigurationError(f"'{name}' is {value}, expected the smaller bound first")
        return low, high
    return (_float(name, value),) * 2


def _list(name: str, given: Mapping[str, Any]) -> Sequence:
    found = given.get(name, [])
    if not isinstance(found, list):
        raise ConfigurationError(f"'{name}' is {found!r}, expected a list")
    return found


def _mapping(name: str, given: Mapping[str, Any]) -> Mapping[str, Any]:
    found = given.get(name, {})
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        raise ConfigurationError(f"'{name}' is {found!r}, expected NAME: VALUE")
    return found


def _by_name(name: str, given: Mapping[str, Any], known: Sequence[str], read=_float) -> dict:
    """Return {name: value} of a mapping whose names have to be known."""
    found = {}
    for key, value in _mapping(name, given).items():
        if key not in known:
            raise ConfigurationError(
                loading.unknown(f"name in '{name}':", str(key), known)
                + f" (known: {', '.join(known) or 'none'})"
            )
        found[key] = read(f"{name}.{key}", value)
    return found


def _push(
    given: Any, actions: Sequence[str], longest: float
) -> tuple[float, float, Mapping[str, float]]:
    if not isinstance(given, Mapping) or set(given) - {*PUSH, "action"} or not given.get("action"):
        raise ConfigurationError(
            f"a push is {given!r}, expected {{at: 3.0, duration: 0.1, action: {{NAME: VALUE}}}}"
        )
    at, duration = (p.check(number(given.get(name, p.default))) for name, p in PUSH.items())
    if at >= longest:
        raise ConfigurationError(
            f"a push begins at {at:g} s, expected before the end of the episode ({longest:g} s)"
        )
    return at, duration, _by_name("action", given, actions)


def _seeds(name: str, given: Any) -> tuple[int, ...]:
    """Return seeds: a list, one number, or the text FIRST-LAST."""
    seeds = [given] if isinstance(given, int) else given
    if isinstance(given, str) and re.fullmatch(r"\d{1,10}-\d{1,10}", given):
        first, last = map(int, given.split("-"))
        seeds = range(first, min(last, first + MOST_SEEDS) + 1) or None
    if (
        not isinstance(seeds, (list, range))
        or not all(type(seed) is int and 0 <= seed < 2**31 for seed in seeds)
        or len(set(seeds)) < len(seeds)
        or len(seeds) > MOST_SEEDS
    ):
        raise ConfigurationError(
            f"'{name}' is {given!r}, expected at most {MOST_SEEDS} different integers from 0 to "
            f"{2**31 - 1}, such as [0, 1] or 0-9"
        )
    return tuple(seeds)


def _path(given: Any) -> tuple[tuple[float, ...], ...]:
    """Return the points of a path, of which neighbours differ."""
    if not isinstance(given, list) or not all(
        isinstance(point, list) and len(point) in (2, 3) and len(point) == len(given[0])
        for point in given
    ):
        raise ConfigurationError(
            f"'path' is {given!r}, expected a list of points [x, y] or [x, y, yaw]"
        )
    number_in = Parameter("path", 0.0, "", unit="m or rad", low=-FARTHEST, high=FARTHEST)
    points = tuple(tuple(number_in.check(number(part)) for part in point) for point in given)
    if len(points) == 1 or any(a[:2] == b[:2] for a, b in itertools.pairwise(points)):
        raise ConfigurationError(
            f"'path' is {given!r}, expected two or more points, each in another place than the one "
            "before"
        )
    return points
