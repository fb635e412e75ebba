# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Surroundings as arrays of a file, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.references import Reference, ReferenceSource
from cem_planner_ros.navigation.surroundings import Surroundings

PARTS = {
    "path": ReferencePath,
    "costmap": Costmap,
    "moving_obstacles": MovingObstacles,
    "footprint": Footprint,
}
"""The parts of surroundings that are objects of their own, each of which is written once."""

REFERENCE = "reference."


def columns_of(seen: Sequence[Surroundings]) -> dict[str, np.ndarray]:
    """
    Return arrays by name that say what n surroundings are; what several have is written once.

    `goal` is (n, 3), NaN for none. A column such as `path` is (n,): the number of the path, -1 for
    none; the arrays of path 0 are `path.0.points` and so on. What says when a goal counts as
    reached is left out, as no plan depends on it.
    """
    columns: dict[str, np.ndarray] = {}
    nowhere = (np.nan,) * 3
    columns["goal"] = np.array([nowhere if s.goal is None else s.goal for s in seen], float)
    parts = {kind: [getattr(s, kind) for s in seen] for kind in PARTS}
    followed = sorted({name for s in seen for name in s.references})
    parts |= {REFERENCE + name: [s.references.get(name) for s in seen] for name in followed}
    for kind, objects in parts.items():
        numbers = {id(None): -1}
        for each in objects:
            if id(each) not in numbers:
                numbers[id(each)] = number = len(numbers) - 1
                columns |= _arrays(f"{kind}.{number}", each)
        columns[kind] = np.array([numbers[id(each)] for each in objects])
    return columns


def surroundings_of(columns: Mapping[str, np.ndarray]) -> list[Surroundings]:
    """Return the surroundings that `columns_of` has described; none if there are no columns."""
    if "goal" not in columns:
        return []
    parts: dict[str, list] = {kind: _objects(columns, kind, made) for kind, made in PARTS.items()}
    names = [name for name in columns if name.startswith(REFERENCE) and name.count(".") == 1]
    references = {n.removeprefix(REFERENCE): _objects(columns, n, Reference) for n in names}
    found = []
    for index, goal in enumerate(columns["goal"]):
        own = {kind: objects[index] for kind, objects in parts.items()}
        followed = {name: objects[index] for name, objects in references.items()}
        found.append(
            Surroundings(
                goal=None if np.isnan(goal).any() else Pose(*goal.tolist()),
                references={n: each for n, each in followed.items() if each is not None},
                **own,
            )
        )
    return found


def _arrays(prefix: str, made: Any) -> dict[str, np.ndarray]:
    """Return the attributes of a dataclass, those that are not None, as arrays."""
    values = {field.name: getattr(made, field.name) for field in fields(made)}
    values = {
        name: json.dumps(asdict(value)) if isinstance(value, ReferenceSource) else value
        for name, value in values.items()
        if value is not None
    }
    return {f"{prefix}.{name}": np.asarray(value) for name, value in values.items()}


def _objects(columns: Mapping[str, np.ndarray], kind: str, made: type) -> list:
    """Return the objects (n,) of a column, None where there is none; each is made once."""
    numbers = columns[kind].tolist()
    objects = {-1: None} | {
        number: made(**_attributes(columns, f"{kind}.{number}", made))
        for number in set(numbers) - {-1}
    }
    return [objects[number] for number in numbers]


def _attributes(columns: Mapping[str, np.ndarray], prefix: str, made: type) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for field in fields(made):
        name = f"{prefix}.{field.name}"
        if name not in columns:
            continue
        value = columns[name]
        found[field.name] = value if value.ndim else value.item()
        if field.name == "origin":
            found[field.name] = Pose(*value.tolist())
        if field.name == "source":
            found[field.name] = ReferenceSource(**json.loads(str(value)))
    return found
