"""
The one table of parameters, and what is made from it: validation, a planner, the node's settings.

Nothing here needs ROS, so `python -m cem_planner_ros check` says of a YAML what the node would say.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from cem_planner_ros import plugins
from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import COMMAND_TYPES, MULTI_ARRAY, STATE_TYPES, Grammar
from cem_planner_ros.parameters import INACTIVE, LIVE, READ_ONLY, Parameter, flatten
from cem_planner_ros.planning.backend import BACKENDS
from cem_planner_ros.planning.cross_entropy import WEIGHTINGS
from cem_planner_ros.planning.planner import LIVE as LIVE_SETTINGS
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.search import EXECUTE, INJECT_MEAN, SAMPLINGS, Search

NODE_NAME = "cem_planner"

TOPIC = r"(~/|/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*"
"""A topic name (ROS 2 design: Topic and Service name mapping), substitutions left out."""

TABLE = (
    Parameter("autostart", True, "Configure and activate without being told to.", when=READ_ONLY),
    Parameter(
        "control_rate", 50.0, "Commands per second.", unit="Hz", low=0.1, high=2000.0, when=INACTIVE
    ),
    Parameter(
        "budget_fraction",
        0.8,
        "Share of the control period that planning may use; iterations that would not fit are left "
        "out.",
        low=0.05,
        high=1.0,
    ),
    Parameter(
        "max_state_age",
        0.2,
        "A state older than this is not planned from; the safe action goes out instead.",
        unit="s",
        low=0.0,
    ),
    Parameter(
        "planner.samples",
        Search.samples,
        "Candidates per iteration, N, over all modes.",
        low=1,
        high=10_000_000,
        when=INACTIVE,
    ),
    Parameter(
        "planner.elites",
        Search.elites,
        "Candidates of each mode refitted to, K, at most N / modes.",
        low=1,
        when=INACTIVE,
    ),
    Parameter(
        "planner.iterations",
        Search.iterations,
        "Iterations per period, I.",
        low=1,
        high=10_000,
        when=INACTIVE,
    ),
    Parameter(
        "planner.horizon",
        Search.horizon,
        "Model steps per plan, H.",
        low=1,
        high=10_000,
        when=INACTIVE,
    ),
    Parameter(
        "planner.dt",
        Search.dt,
        "Length of a model step.",
        unit="s",
        low=1e-4,
        high=10.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.modes",
        Search.modes,
        "Distributions searched side by side, M; the one with the cheapest candidate acts.",
        low=1,
        high=64,
        when=INACTIVE,
    ),
    Parameter(
        "planner.weighting",
        Search.weighting,
        "How candidates count: elites equally (CEM), by rank (CMA-ES), or all by softmax (MPPI).",
        choices=WEIGHTINGS,
        when=INACTIVE,
    ),
    Parameter(
        "planner.temperature",
        Search.temperature,
        "Of softmax, in units of the cost: the lower, the fewer candidates count.",
        low=1e-6,
        high=1e9,
    ),
    Parameter(
        "planner.std_initial",
        Search.std_initial,
        "Std of the candidates at the start of a period, as a share of half the action's range "
        "(iCEM: 0.5).",
        low=1e-6,
        high=10.0,
    ),
    Parameter(
        "planner.std_min",
        Search.std_min,
        "The std never falls below this share of half the action's range.",
        low=1e-6,
        high=10.0,
    ),
    Parameter(
        "planner.std_carry",
        Search.std_carry,
        "Share of the last period's std, moved in time, in that at the start of a period; 0 begins "
        "with std_initial (iCEM).",
        low=0.0,
        high=1.0,
    ),
    Parameter(
        "planner.momentum",
        Search.momentum,
        "Share of the old mean and std that stays in each iteration (iCEM, PETS: 0.1).",
        low=0.0,
        high=0.99,
    ),
    Parameter(
        "planner.noise_beta",
        Search.noise_beta,
        "Exponent of the noise's power spectrum f^-beta: 0 is white, larger is smoother (iCEM: "
        "0.25 to 3.5).",
        low=0.0,
        high=8.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.keep",
        Search.keep,
        "Share of the elites that are candidates again, in the next iteration and, moved in time, "
        "in the next period (iCEM: 0.3).",
        low=0.0,
        high=1.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.decay",
        Search.decay,
        "Each iteration has this many times fewer candidates, at least 2 K (iCEM: 1.25).",
        low=1.0,
        high=10.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.explore",
        Search.explore,
        "Share of the candidates that are drawn with std_initial in every iteration.",
        low=0.0,
        high=1.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.inject_mean",
        Search.inject_mean,
        "In which iteration the mean is a candidate too (iCEM: last).",
        choices=INJECT_MEAN,
        when=INACTIVE,
    ),
    Parameter(
        "planner.inject_best",
        Search.inject_best,
        "Whether the best candidate so far is a candidate in each iteration.",
        when=INACTIVE,
    ),
    Parameter(
        "planner.execute",
        Search.execute,
        "What is sent: the mean, or the best candidate (iCEM). The best overfits learned models.",
        choices=EXECUTE,
        when=INACTIVE,
    ),
    Parameter(
        "planner.sampling",
        Search.sampling,
        "How candidates stay within bounds: clip, or truncate the normal distribution.",
        choices=SAMPLINGS,
        when=INACTIVE,
    ),
    Parameter(
        "planner.knot_spacing",
        Search.knot_spacing,
        "Model steps from knot to knot of the splines that candidates are; 1 is no spline.",
        low=1,
        when=INACTIVE,
    ),
    Parameter(
        "planner.order",
        Search.order,
        "Of the splines: 0 holds, 1 is linear, 3 is cubic.",
        low=0,
        high=3,
        when=INACTIVE,
    ),
    Parameter(
        "planner.backend",
        "auto",
        "How iterations run: auto and compile take the fastest that works, and the log says why "
        "nothing faster does.",
        choices=BACKENDS,
        when=INACTIVE,
    ),
    Parameter(
        "planner.device",
        "auto",
        "Where to plan: auto, cpu, cuda or cuda:INDEX. auto takes a GPU where there is one.",
        when=INACTIVE,
    ),
    Parameter(
        "planner.threads", 1, "CPU threads of a compiled rollout.", low=1, high=256, when=INACTIVE
    ),
    Parameter("planner.seed", 0, "Seed of the noise.", low=0, when=INACTIVE),
    Parameter(
        "dynamics.plugin",
        "cartpole",
        "The model: an installed plugin or package.module:Class.",
        when=INACTIVE,
    ),
    Parameter(
        "costs",
        ["tracking"],
        "Names of the cost terms, which add up; NAME.plugin says which plugin each one is.",
        when=INACTIVE,
    ),
    Parameter("state.topic", "joint_states", "Where the state comes from.", when=INACTIVE),
    Parameter(
        "state.type",
        "sensor_msgs/msg/JointState",
        "Type of the state message.",
        choices=tuple(STATE_TYPES),
        when=INACTIVE,
    ),
    Parameter("command.topic", "commands", "Where the command goes.", when=INACTIVE),
    Parameter(
        "command.type",
        "std_msgs/msg/Float64MultiArray",
        "Type of the command message.",
        choices=tuple(COMMAND_TYPES),
        when=INACTIVE,
    ),
    Parameter("frame_id", "odom", "Frame of the state, of the path and of stamped commands."),
    Parameter(
        "path_rate",
        5.0,
        "How often the predicted path is published for models with x and y; 0 for never.",
        unit="Hz",
        low=0.0,
        high=100.0,
    ),
    Parameter("publish_statistics", False, "Publish ~/statistics with every command."),
)
"""The parameters that the node has whatever the model; those of plugins, fields and bounds join."""

_ROS_PARAMETERS = ("use_sim_time", "start_type_description_service", "qos_overrides")
_RESERVED = {parameter.name.partition(".")[0] for parameter in TABLE} | {"action"}


@dataclass(frozen=True)
class Configuration:
    """
    Checked values of all parameters, and the plugins they name.

    Attributes:
        values: every parameter by name, defaults filled in.
        parameters: the declaration of each.
        dynamics: the model, on the planning device.
        costs: the cost terms by instance name, on the planning device.
        device: the planning device.
    """

    values: Mapping[str, Any]
    parameters: Mapping[str, Parameter]
    dynamics: Dynamics
    costs: Mapping[str, Cost]
    device: torch.device

    def action(self, group: str) -> list[float]:
        """Return the parameters action.GROUP.NAME (nu,), GROUP being low, high, rate or safe."""
        return [self.values[f"action.{group}.{name}"] for name in self.dynamics.action_names]

    def fields(self, side: str) -> dict[str, str]:
        """Return {name: field} of the messages; `side` is "state" or "command"."""
        names = self.dynamics.state_names if side == "state" else self.dynamics.action_names
        return {name: self.values[f"{side}.fields.{name}"] for name in names}

    def changed(self, changes: Mapping[str, Any]) -> Configuration:
        """
        Return this configuration with live parameters changed; the plugins stay the same objects.

        Raises ConfigurationError if the changed values do not go together.
        """
        values = dict(self.values)
        for name, value in changes.items():
            if name not in self.parameters:
                raise ConfigurationError(plugins.unknown("parameter", name, self.parameters))
            if self.parameters[name].when != LIVE and value != values[name]:
                raise ConfigurationError(
                    f"parameter '{name}' can only change while the node is not active: "
                    "deactivate and clean it up, set it, then configure and activate it"
                )
            values[name] = self.parameters[name].check(value)
        problems = _cross_check(values, self.dynamics)
        if problems:
            raise ConfigurationError("\n".join(problems))
        return replace(self, values=values)

    def tune(self, planner: Planner) -> None:
        """Bring the numbers of a planner and of its plugins to these values, in place."""
        planner.tune(**self.tuning())
        for prefix, plugin in (("dynamics", self.dynamics), *self.costs.items()):
            for name in plugin.numbers:
                plugin.set(name, self.values[f"{prefix}.{name}"])

    def planner(self) -> Planner:
        """Make the planner; this compiles."""
        value = self.values
        return Planner(
            self.dynamics,
            list(self.costs.values()),
            **{
                name: value[f"planner.{name}"]
                for name in [field.name for field in fields(Search)]
                + ["backend", "threads", "seed"]
                if name not in LIVE_SETTINGS
            },
            **self.tuning(),
            device=self.device,
        )

    def tuning(self) -> dict[str, Any]:
        """Return the arguments of `Planner.tune`."""
        return {
            "low": self.action("low"),
            "high": self.action("high"),
            "rate": [rate or math.inf for rate in self.action("rate")],
            **{name: self.values[f"planner.{name}"] for name in LIVE_SETTINGS},
        }


def configure(
    values: Mapping[str, Any], file: str = "", leftover: Collection[str] = ()
) -> Configuration:
    """
    Check the values of parameters and load the plugins they name.

    Args:
        values: by full name ("planner.samples"), at least those that differ from the default.
        file: where they come from, for messages.
        leftover: names to pass over if they are unknown, such as those of the model before.

    Raises ConfigurationError with one line for each thing that is wrong.
    """
    try:
        return _configure(values, leftover)
    except ConfigurationError as error:
        text = f"{error}\n  in {file}" if file else str(error)
        raise ConfigurationError(text, error.parameters) from error


def _configure(values: Mapping[str, Any], leftover: Collection[str]) -> Configuration:
    values = {
        name: value
        for name, value in values.items()
        if name.partition(".")[0] not in _ROS_PARAMETERS
    }
    problems: list[str] = []
    parameters: dict[str, Parameter] = {}
    checked: dict[str, Any] = {}

    def declare(declared: Iterable[Parameter]) -> None:
        for parameter in declared:
            parameters[parameter.name] = parameter
            try:
                checked[parameter.name] = parameter.check(
                    values.get(parameter.name, parameter.default)
                )
            except ConfigurationError as error:
                problems.append(str(error))
                checked[parameter.name] = parameter.default

    def plugin(kind: str, prefix: str, make) -> Dynamics | Cost | None:
        """Load the plugin named by PREFIX.plugin and make it of its own parameters."""
        try:
            plugin_class = plugins.load(kind, checked[f"{prefix}.plugin"])
            declared = make(plugin_class, {}).parameters
            declare(parameter.under(prefix) for parameter in declared)
            own = {p.name: checked[f"{prefix}.{p.name}"] for p in declared}
            return make(plugin_class, own)
        except ConfigurationError as error:
            problems.append(f"parameter '{prefix}.plugin': {error}")
        except Exception as error:  # A plugin's constructor may raise anything.
            problems.append(
                f"parameter '{prefix}.plugin': {checked[f'{prefix}.plugin']!r} cannot be made: "
                f"{type(error).__name__}: {error}"
            )
        return None

    declare(TABLE)
    device = _device(checked["planner.device"], problems)
    dynamics = plugin("dynamics", "dynamics", lambda cls, own: cls(own, device=device))
    costs: dict[str, Cost] = {}
    if dynamics is not None:
        declare(dynamics.action_parameters())
        declare(_fields("state", dynamics.state_names, STATE_TYPES[checked["state.type"]]))
        declare(_fields("command", dynamics.action_names, COMMAND_TYPES[checked["command.type"]]))
        for name in checked["costs"]:
            if name in _RESERVED or "." in name or name in costs:
                problems.append(
                    f"parameter 'costs' is {checked['costs']!r}, allowed: different names without "
                    f"a dot, none of {', '.join(sorted(_RESERVED))}"
                )
                break
            declare([_cost_plugin(name)])
            cost = plugin("costs", name, lambda cls, own: cls(dynamics, own, device=device))
            if cost is not None:
                costs[name] = cost
        unknown = set(values) - set(parameters) - set(leftover)
        for name in sorted({name.partition(".")[0] for name in unknown if ".plugin" in name}):
            unknown = {other for other in unknown if not other.startswith(f"{name}.")}
            if not isinstance(values.get("costs"), list):
                continue
            problems.append(
                f"parameter '{name}.plugin' is given, but 'costs', which is {checked['costs']!r}, "
                f"does not name '{name}'"
            )
        # Parameters of a cost whose plugin is broken are not unknown, only not known yet.
        broken = tuple(f"{name}." for name in checked["costs"] if name not in costs)
        problems += [
            plugins.unknown("parameter", name, parameters) + f" (its value is {values[name]!r})"
            for name in sorted(unknown)
            if not name.startswith(broken)
        ]
        problems += _cross_check(checked, dynamics)
    if problems:
        raise ConfigurationError("\n".join(problems), parameters)
    return Configuration(checked, parameters, dynamics, costs, device)


def _cross_check(value: Mapping[str, Any], dynamics: Dynamics) -> list[str]:
    """Return what is wrong with values that are right one by one."""
    problems = []
    try:
        Search(**{field.name: value[f"planner.{field.name}"] for field in fields(Search)})
    except ConfigurationError as error:
        problems.append(str(error))
    for name in dynamics.action_names:
        low, high, safe = (value[f"action.{group}.{name}"] for group in ("low", "high", "safe"))
        # In float32, in which the planner computes.
        if not np.float32(low) < np.float32(high):
            problems.append(
                f"parameter 'action.low.{name}' is {low}, allowed: less than action.high.{name}, "
                f"which is {high}"
            )
        elif not low <= safe <= high:
            problems.append(
                f"parameter 'action.safe.{name}' is {safe}, allowed: from action.low.{name} to "
                f"action.high.{name}, which are {low} and {high}"
            )
    if not value["costs"]:
        problems.append("parameter 'costs' is [], allowed: at least one name")
    for side, names, types in (
        ("state", dynamics.state_names, STATE_TYPES),
        ("command", dynamics.action_names, COMMAND_TYPES),
    ):
        grammar = types[value[f"{side}.type"]]
        for name in names:
            field = value[f"{side}.fields.{name}"]
            if not field:
                problems.append(
                    f"parameter '{side}.fields.{name}' is missing, allowed for "
                    f"{value[f'{side}.type']}: {grammar.words}"
                )
            elif not grammar.match(field):
                problems.append(
                    f"parameter '{side}.fields.{name}' is {field!r}, allowed for "
                    f"{value[f'{side}.type']}: {grammar.words}"
                )
        fields_ = [value[f"{side}.fields.{name}"] for name in names]
        if side == "command" and len(set(fields_)) < len(fields_):
            problems.append(f"parameters 'command.fields' are {fields_}, allowed: different ones")
        topic = value[f"{side}.topic"]
        if not re.fullmatch(TOPIC, topic):
            problems.append(
                f"parameter '{side}.topic' is {topic!r}, allowed: a ROS topic name, such as "
                "joint_states, /robot/joint_states or ~/states"
            )
    return problems


def _fields(side: str, names: Iterable[str], grammar: Grammar) -> list[Parameter]:
    """Return the parameters that say which field of a message is which state or action."""
    return [
        Parameter(
            f"{side}.fields.{name}",
            f"data[{index}]" if grammar is MULTI_ARRAY else "",
            f"Field of the {side} message that is {name}: {grammar.words}.",
            when=INACTIVE,
        )
        for index, name in enumerate(names)
    ]


def _cost_plugin(name: str) -> Parameter:
    text = "The cost: an installed plugin or package.module:Class."
    return Parameter(f"{name}.plugin", "quadratic", text, when=INACTIVE)


def _device(name: str, problems: list[str]) -> torch.device:
    """Return the device called `name`, after trying it."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        if torch.device(name).type not in ("cpu", "cuda"):
            raise ValueError("neither cpu nor cuda")
        return torch.empty(0, device=name).device
    except Exception as error:  # torch raises RuntimeError, AssertionError or ValueError here.
        text = str(error).splitlines()[0]
        problems.append(
            f"parameter 'planner.device' is {name!r}, allowed: auto, cpu, or a CUDA device that "
            f"works here ({text})"
        )
        return torch.device("cpu")


class MissingSectionError(ConfigurationError):
    """A parameter file has nothing for the node."""


class _RosLoader(yaml.SafeLoader):
    """Reads plain values as the YAML parser of rcl does, which differs from PyYAML's."""

    bool_values = yaml.SafeLoader.bool_values | {"y": True, "n": False}

    def construct_mapping(self, node, deep=False):
        """Return the mapping with every key as it is written: `y` is a name, not true."""
        return {key.value: self.construct_object(value, deep=True) for key, value in node.value}


_RosLoader.add_implicit_resolver(
    "tag:yaml.org,2002:bool", re.compile(r"([yY]|[nN])$"), list("yYnN")
)
_RosLoader.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"),
    list("-+.0123456789"),
)


def load_yaml(path: str | Path, node_name: str = NODE_NAME, namespace: str = "/") -> dict[str, Any]:
    """
    Return the parameters that a ROS parameter file holds for a node, by full name.

    Raises ConfigurationError, naming the file, if it cannot be read, and MissingSectionError if it
    holds none.
    """
    try:
        text = Path(path).read_text()
        tree = yaml.load(text, _RosLoader) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path}: cannot be read: {error}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{path}: not valid YAML: {error}") from error
    if not isinstance(tree, Mapping):
        raise ConfigurationError(f"{path}: expected '/**: {{ros__parameters: ...}}' at the top")
    values: dict[str, Any] = {}
    matched = False
    sections = ("/**", "/*", f"/**/{node_name}", node_name, f"{namespace.rstrip('/')}/{node_name}")
    for section in dict.fromkeys(sections):
        content = tree.get(section)
        if isinstance(content, Mapping) and isinstance(content.get("ros__parameters"), Mapping):
            matched = True
            values.update(flatten(content["ros__parameters"]))
    if not matched:
        raise MissingSectionError(
            f"{path}: no section for the node '{node_name}', expected "
            f"'/**: {{ros__parameters: ...}}', found: {', '.join(map(str, tree)) or 'nothing'}"
        )
    return values
