# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The sources of the state: one topic, or several that each have a part of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from cem_planner_ros.configuration.table import TABLE
from cem_planner_ros.errors import did_you_mean
from cem_planner_ros.fields import (
    IMU,
    MULTI_ARRAY,
    POSITION,
    QUATERNION,
    STATE_TYPES,
    Grammar,
    ball_joints,
    free_bodies,
    state_defaults,
    word,
)
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

SPEEDS = (*(f"{axis}_dot" for axis in POSITION), *(f"w{axis}" for axis in POSITION))
"""The speeds of a free joint."""

_OF_ONE = {p.name.removeprefix("state."): p for p in TABLE if p.name.startswith("state.")}

SOURCE = (
    *(replace(_OF_ONE[name], name=name) for name in ("topic", "type", "body", "delay")),
    Parameter(
        "max_age",
        0.0,
        "Largest age of this part of a state that is planned from; 0 for max_state_age.",
        unit="s",
        low=0.0,
    ),
)
"""The parameters of a source, below state.SOURCE; its fields are added."""


WORDS = {
    "joint_states": ("joint_states", "sensor_msgs/msg/JointState"),
    "odometry": ("odom", "nav_msgs/msg/Odometry"),
    "imu": ("imu", "sensor_msgs/msg/Imu"),
    "pose": ("pose", "geometry_msgs/msg/PoseStamped"),
    "twist": ("twist", "geometry_msgs/msg/TwistStamped"),
}
"""Topic and type of a source that is given as one word, as in `base: odometry`."""

EXAMPLE = "state: {sources: [joints, base], joints: joint_states, base: odometry}"


@dataclass(frozen=True)
class StateSource:
    """
    A topic with the state, or with a part of it.

    Attributes:
        name: its name in `state.sources`; "" if it is the only one.
        topic, type: of its messages.
        fields: {state: field} of the states that it fills, in the order of the model.
        rows: (k), the index of each of these states in the whole state.
        delay: time from the measurement to the stamp, s.
        max_age: largest age of a state that is planned from, s.
    """

    name: str
    topic: str
    type: str
    fields: Mapping[str, str]
    rows: tuple[int, ...]
    delay: float
    max_age: float


def spelled_out(values: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return values in which sources that are one of WORDS have topic and type.

    A topic that is given beside the word stays.
    """
    found = dict(values)
    names = values.get("state.sources", [])
    for name in names if isinstance(names, (list, tuple)) else ():
        word_ = values.get(f"state.{name}")
        if isinstance(word_, str) and word_ in WORDS and name not in _OF_ONE:
            del found[f"state.{name}"]
            usual = zip((f"state.{name}.topic", f"state.{name}.type"), WORDS[word_], strict=True)
            found = {**dict(usual), **found}
    return found


def prefixes(values: Mapping[str, Any]) -> dict[str, str]:
    """Return {name: prefix of its parameters} of the sources; the only one has the name ""."""
    return {name: f"state.{name}" for name in values["state.sources"]} or {"": "state"}


def field_parameters(
    checked: Mapping[str, Any], given: Mapping[str, Any], names: Sequence[str]
) -> list[Parameter]:
    """
    Return the parameters that name the message field of each state, for each source.

    A field has a default where the name of the state says what it is (`state_defaults`), unless
    another source is given a field for this state, or several sources could fill it by default.

    Args:
        checked: checked values of the parameters of the sources, without the fields.
        given: values that the user gave.
        names: names of the states.
    """
    sources = prefixes(checked)
    taken = {n for n in names for prefix in sources.values() if given.get(f"{prefix}.fields.{n}")}
    defaults: dict[str, dict[str, str]] = {}
    for source, prefix in sources.items():
        kind = checked[f"{prefix}.type"]
        defaults[source] = {}
        if len(sources) == 1 or STATE_TYPES[kind] is not MULTI_ARRAY:
            found = state_defaults(kind, names, taken, checked[f"{prefix}.body"])
            defaults[source] = found
    parameters = []
    for source, prefix in sources.items():
        grammar = STATE_TYPES[checked[f"{prefix}.type"]]
        others = [fields for other, fields in defaults.items() if other != source]
        for name in names:
            default = defaults[source].get(name, "")
            if len(sources) > 1 and (name in taken or any(name in fields for fields in others)):
                default = ""
            parameters.append(_field(prefix, name, default, grammar, len(sources) > 1))
    return parameters


def _field(
    prefix: str, name: str, default: str, grammar: Grammar, is_one_of_many: bool
) -> Parameter:
    text = f"Field of the state message that is {name}: {grammar.words}."
    if is_one_of_many:
        text += " Empty if another source has it."
    return Parameter(f"{prefix}.fields.{name}", default, text, when=INACTIVE)


def sources(values: Mapping[str, Any], names: Sequence[str]) -> tuple[StateSource, ...]:
    """Return the sources of checked values; `names` are those of the states."""
    found = []
    for source, prefix in prefixes(values).items():
        fields = {name: values[f"{prefix}.fields.{name}"] for name in names}
        fields = {name: field for name, field in fields.items() if field}
        found.append(
            StateSource(
                source,
                values[f"{prefix}.topic"],
                values[f"{prefix}.type"],
                fields,
                tuple(names.index(name) for name in fields),
                values[f"{prefix}.delay"],
                max_age(values, source),
            )
        )
    return tuple(found)


def max_age(values: Mapping[str, Any], source: str) -> float:
    """Return the largest age of a state of a source, s, from which is planned."""
    own = values[f"state.{source}.max_age"] if source else 0.0
    return own or values["max_state_age"]


def source_name(wanted: str, taken: Collection[str]) -> str:
    """Return a name that a source may have, like a wanted one, and that is not taken."""
    name = word(wanted)
    while name_problems([name]) or name in taken:
        name = f"the_{name}"
    return name


def name_problems(names: Sequence[str]) -> list[str]:
    """Return what is wrong with the names of the sources."""
    taken = sorted({"sources", "fields", *_OF_ONE})
    if all(re.fullmatch(r"[A-Za-z]\w*", name) and name not in taken for name in names) and len(
        set(names)
    ) == len(names):
        return []
    return [
        f"parameter 'state.sources' is {list(names)!r}, allowed: different names of letters and "
        f"digits, none of {', '.join(taken)}"
    ]


def warnings(values: Mapping[str, Any]) -> list[str]:
    """Return warnings about parameters that are not used."""
    return [
        f"state.{name} is {values[f'state.{name}']!r}, but state.sources is given: it is not used, "
        f"only state.NAME.{name} of a source"
        for name, parameter in _OF_ONE.items()
        if values["state.sources"]
        and name != "sources"
        and values[f"state.{name}"] != parameter.default
    ]


def of_no_source(unknown: Collection[str], named: Sequence[str]) -> dict[str, str]:
    """Return {prefix: problem} of unknown parameters of sources that `state.sources` lacks."""
    own, found = {"fields", *(parameter.name for parameter in SOURCE)}, {}
    for name in sorted(unknown):
        side, _, rest = name.partition(".")
        if side == "state" and rest in named:
            found[name] = (
                f"parameter '{name}' is given, allowed: {', '.join(WORDS)}, or a section with "
                "topic and type"
            )
            continue
        source, _, parameter = rest.partition(".")
        if side == "state" and source != "fields" and parameter.partition(".")[0] in own:
            found.setdefault(
                f"state.{source}.",
                f"parameter '{name}' is given, but 'state.sources', which is {list(named)!r}, does "
                f"not name '{source}'{did_you_mean(source, named)}",
            )
    return found


def _delay_problems(values: Mapping[str, Any]) -> list[str]:
    """Return which sources have a delay with which no state is ever young enough."""
    found = []
    for source, prefix in prefixes(values).items():
        delay, most = values[f"{prefix}.delay"], max_age(values, source)
        if delay and delay >= most:
            own = f"{prefix}.max_age" if source and values[f"{prefix}.max_age"] else "max_state_age"
            found.append(
                f"parameter '{prefix}.delay' is {delay} s, allowed: less than {own}, which is "
                f"{most} s: every state would be too old to plan from"
            )
    return found


def problems(
    values: Mapping[str, Any], names: Sequence[str], wrong: Collection[str] = ()
) -> list[str]:
    """Return what is wrong with the fields of the sources, beside wrong values by themselves."""
    all_sources = list(prefixes(values).values())
    if "state.sources" in wrong or any(f"{prefix}.type" in wrong for prefix in all_sources):
        return []
    found = _delay_problems(values)
    for prefix in all_sources:
        found += _field_problems(values, names, prefix)
    if len(all_sources) == 1:
        return found + _only_source_problems(values, names, *all_sources)
    return found + _several_sources_problems(values, names, all_sources)


def _field_problems(values: Mapping[str, Any], names: Sequence[str], prefix: str) -> list[str]:
    """Return the mistakes of the body and of the fields that a source names."""
    kind, found = values[f"{prefix}.type"], []
    grammar = STATE_TYPES[kind]
    body, bodies, joint = values[f"{prefix}.body"], list(free_bodies(names)), "free joint"
    if grammar is IMU:
        bodies, joint = ball_joints(names), "ball joint, which an Imu measures"
    if body and body not in bodies:
        known = ", ".join(filter(None, bodies)) or f"none, as the model has no {joint}"
        found.append(f"parameter '{prefix}.body' is {body!r}, allowed: {known}")
    for name in names:
        field = values[f"{prefix}.fields.{name}"]
        if field and not grammar.match(field):
            found.append(
                f"parameter '{prefix}.fields.{name}' is {field!r}, allowed for {kind}: "
                f"{grammar.words}{grammar.hint(field)}"
            )
    return found


def _only_source_problems(
    values: Mapping[str, Any], names: Sequence[str], prefix: str
) -> list[str]:
    """Return which states the only source does not fill."""
    kind = values[f"{prefix}.type"]
    empty = [name for name in names if not values[f"{prefix}.fields.{name}"]]
    of_free_joints = {
        f"{start}{part}"
        for body, start in free_bodies(names).items()
        for part in (*POSITION, *QUATERNION, *SPEEDS)
        if body
    }
    found = []
    lacking = [name for name in empty if name in of_free_joints]
    if lacking:
        found.append(
            f"no topic fills {', '.join(lacking)}, expected a source for the free joint beside "
            f"that of the joints, such as {EXAMPLE}"
        )
    found += [
        f"parameter '{prefix}.fields.{name}' is missing, allowed for {kind}: "
        f"{STATE_TYPES[kind].words}"
        for name in empty
        if name not in lacking
    ]
    return found


def _several_sources_problems(
    values: Mapping[str, Any], names: Sequence[str], all_sources: Sequence[str]
) -> list[str]:
    """Return which of several sources fills no state, and which states not just one fills."""
    filled = {
        name: [prefix for prefix in all_sources if values[f"{prefix}.fields.{name}"]]
        for name in names
    }
    found = []
    for prefix in all_sources:
        kind = values[f"{prefix}.type"]
        if not any(prefix in by for by in filled.values()):
            found.append(
                f"parameter '{prefix}.fields' names no field, so the source fills no state, "
                f"expected at least one, for {kind}: {STATE_TYPES[kind].words}"
            )
    for name, by in filled.items():
        if len(by) > 1:
            places = " and ".join(f"{prefix}.fields.{name}" for prefix in by)
            found.append(
                f"the state '{name}' is filled twice, by {places}, expected one of them: set the "
                "other one to ''"
            )
    empty = [name for name, by in filled.items() if not by]
    if empty:
        places = " or ".join(f"{prefix}.fields.STATE" for prefix in all_sources)
        found.append(
            f"no source fills {'the state' if len(empty) == 1 else 'the states'} "
            f"{', '.join(empty)}, expected {places}"
        )
    return found
