"""
From the values of parameters to what they make: validation, plugins, a planner.

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

from cem_planner_ros.configuration.table import DRIVING, TABLE
from cem_planner_ros.costs.base import INPUTS, Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.randomised import Randomised
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.fields import COMMAND_TYPES, MULTI_ARRAY, NUMBER, STATE_TYPES, Grammar
from cem_planner_ros.learning.policy import Driver, LinearPolicy, Proposals
from cem_planner_ros.learning.policy import load as load_policy
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.paths import find
from cem_planner_ros.planning.planner import LIVE as LIVE_SETTINGS
from cem_planner_ros.planning.planner import Planner
from cem_planner_ros.planning.rollout import ATTEMPTS, FAR, costs_nothing
from cem_planner_ros.planning.search import Search
from cem_planner_ros.plugins import loading
from cem_planner_ros.plugins.parameter import INACTIVE, LIVE, Parameter, flatten, named

NODE_NAME = "cem_planner"

TOPIC = r"(~/|/)?[A-Za-z_]\w*(/[A-Za-z_]\w*)*"
"""A topic name (ROS 2 design: Topic and Service name mapping), substitutions left out."""

_ROS_PARAMETERS = ("use_sim_time", "start_type_description_service", "qos_overrides")
_RESERVED = {parameter.name.partition(".")[0] for parameter in (*TABLE, *DRIVING)} | {"action"}


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
        policy: that of `policy.file`, None if none is named.
        file: where the values come from, for messages.
    """

    values: Mapping[str, Any]
    parameters: Mapping[str, Parameter]
    dynamics: Dynamics
    costs: Mapping[str, Cost]
    device: torch.device
    policy: LinearPolicy | None = None
    file: str = ""

    @property
    def inputs(self) -> frozenset[str]:
        """What the costs have to know of the surroundings, of "goal", "path" and "costmap"."""
        return frozenset(name for cost in self.costs.values() for name in cost.inputs)

    def action(self, group: str) -> list[float]:
        """Return the parameters action.GROUP.NAME (nu,), GROUP as in low, rate, safe."""
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
                raise ConfigurationError(loading.unknown("parameter", name, self.parameters))
            if self.parameters[name].when != LIVE and value != values[name]:
                raise ConfigurationError(
                    f"parameter '{name}' can only change while the node is not active: "
                    "deactivate and clean it up, set it, then configure and activate it"
                )
            values[name] = self.parameters[name].check(value)
        self.check_together(values)
        return replace(self, values=values)

    def check_together(self, values: Mapping[str, Any]) -> None:
        """Raise ConfigurationError if values of all parameters, right one by one, do not agree."""
        problems = _cross_check(values, self.dynamics)
        if problems:
            raise ConfigurationError("\n".join(problems))

    def tune(self, planner: Planner) -> None:
        """Bring the numbers of a planner and of its plugins to these values, in place."""
        planner.tune(**self.tuning())
        for prefix, plugin in (("dynamics", self.dynamics), *self.costs.items()):
            for name in plugin.numbers:
                plugin.set(name, self.values[f"{prefix}.{name}"])

    def with_plugins_of(self, other: Configuration) -> Configuration | None:
        """
        Return this configuration with the plugin objects of another, or None if they differ.

        They are the same where only shapes and settings of the search differ, and what may change
        live anyway. Plugins that are told something before each plan belong to one planner.
        """
        is_told = type(other.dynamics).remember is not Dynamics.remember
        is_told |= any(type(c).prepare is not Cost.prepare for c in other.costs.values())
        if is_told or self.device != other.device or set(self.values) != set(other.values):
            return None
        for name, value in self.values.items():
            is_shape = name.startswith("planner.") and name != "planner.dt"
            if not is_shape and self.parameters[name].when != LIVE and value != other.values[name]:
                return None
        return replace(self, dynamics=other.dynamics, costs=other.costs)

    def planner(self, like: Planner | None = None) -> Planner:
        """
        Make the planner; this compiles, unless there is one `like` it.

        Raises ConfigurationError if a plugin does not do what it should.
        """
        try:
            return self._planner(like)
        except ConfigurationError as error:
            raise _in_file(error, self.file) from error

    def _planner(self, like: Planner | None) -> Planner:
        value = self.values
        model, variants = self.dynamics, value["randomisation.samples"]
        if variants > 1:
            spreads = {name: value[f"randomisation.spread.{name}"] for name in model.numbers}
            model = Randomised(model, spreads, variants, value["planner.seed"])
        settings = _search_settings(value, self.dynamics)
        return Planner(
            model,
            list(self.costs.values()),
            **{name: setting for name, setting in settings.items() if name not in LIVE_SETTINGS},
            **{name: value[f"planner.{name}"] for name in ("backend", "threads", "seed")},
            **self.tuning(),
            device=self.device,
            like=like if variants == 1 else None,
            policy=self._proposals(),
        )

    def warnings(self) -> list[str]:
        """Return what is allowed, but does nothing or is hardly meant."""
        value = self.values
        variants = value["randomisation.samples"]
        spreads = {name: value[f"randomisation.spread.{name}"] for name in self.dynamics.numbers}
        spreads = {name: spread for name, spread in spreads.items() if spread}
        found = []
        if variants > 1 and not spreads:
            found.append(
                f"randomisation.samples is {variants}, but every randomisation.spread is 0: the "
                "variants are all the same"
            )
        for name, spread in spreads.items():
            given = f"randomisation.spread.{name} is {spread}"
            if variants == 1:
                found.append(f"{given}, but randomisation.samples is 1: there are no variants")
            elif value[f"dynamics.{name}"] == 0.0:
                found.append(f"{given}, but dynamics.{name} is 0, and so it is in every variant")
        if value["planner.risk"] != "mean" and variants == self.dynamics.members == 1:
            found.append(
                f"planner.risk is {value['planner.risk']}, but the model is one: it has no members "
                "(randomisation.samples, or an ensemble)"
            )
        found += [
            f"the cost '{name}' is 0 in each of {ATTEMPTS} random states up to {FAR:g} from zero: "
            "are its weights or its tolerances 0?"
            for name, cost in self.costs.items()
            if not cost.inputs and costs_nothing(cost, self.dynamics, self.device)
        ]
        for name, cost in self.costs.items():
            for number in cost.numbers:
                low, high = f"{name}.{number}", f"{name}.{number.replace('low.', 'high.', 1)}"
                if number.startswith("low.") and value[low] > value.get(high, math.inf):
                    found.append(
                        f"{low} is {value[low]}, above {high}, which is {value[high]}: every state "
                        "costs"
                    )
        return found

    def driver(self) -> Driver | None:
        """Return what the policy does in a state, None if there is no policy."""
        if self.policy is None:
            return None
        return Driver(self.policy, self.dynamics, self.action("low"), self.action("high"))

    def _proposals(self) -> Proposals | None:
        """Return what proposes candidates, None if nothing does; this compiles."""
        count = self.values["policy.candidates"]
        if not count:
            return None
        return Proposals(self.driver(), self.dynamics, count, self.device)

    def tuning(self) -> dict[str, Any]:
        """Return the arguments of `Planner.tune`."""
        return {
            "low": self.action("low"),
            "high": self.action("high"),
            "rate": [rate or math.inf for rate in self.action("rate")],
            "lag": self.action("lag"),
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
        return replace(_configure(values, leftover), file=file)
    except ConfigurationError as error:
        raise _in_file(error, file) from error


def _in_file(error: ConfigurationError, file: str) -> ConfigurationError:
    """Return the error with the file named, if there is one."""
    text = f"{error}\n  in {file}" if file else str(error)
    return ConfigurationError(text, error.parameters)


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

    def plugin(kind: str, prefix: str, declared_by, make) -> Dynamics | Cost | None:
        """Load the plugin named by PREFIX.plugin and make it of its own parameters."""
        try:
            plugin_class = loading.load(kind, checked[f"{prefix}.plugin"])
            declared = declared_by(plugin_class)
            declare(parameter.under(prefix) for parameter in declared)
            own = {p.name: checked[f"{prefix}.{p.name}"] for p in declared}
            made = make(plugin_class, own)
            if "_numbers" not in vars(made):
                raise ConfigurationError(
                    f"{type(made).__name__}.__init__ does not call super().__init__, expected that "
                    "it does, with what it was given"
                )
            made.instance = prefix
            if isinstance(made, Dynamics):
                made.check()
            return made
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
    dynamics = plugin(
        "dynamics",
        "dynamics",
        lambda cls: cls.parameters,
        lambda cls, own: cls(own, device=device),
    )
    costs: dict[str, Cost] = {}
    if dynamics is not None:
        declare(dynamics.action_parameters())
        declare(_command_filters(dynamics))
        declare(_spreads(dynamics))
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
            cost = plugin(
                "costs",
                name,
                lambda cls: cls.parameters_for(dynamics),
                lambda cls, own: cls(dynamics, own, device=device),
            )
            if cost is not None:
                costs[name] = cost
        if any(cost.inputs for cost in costs.values()):
            declare(DRIVING)
            problems += _driving_problems(dynamics, costs)
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
            loading.unknown("parameter", name, parameters) + f" (its value is {values[name]!r})"
            for name in sorted(unknown)
            if not name.startswith(broken)
        ]
        problems += _cross_check(checked, dynamics)
        problems += _policy_problems(checked, dynamics)
    if problems:
        raise ConfigurationError("\n".join(problems), parameters)
    policy = load_policy(find(checked["policy.file"])) if checked["policy.file"] else None
    return Configuration(checked, parameters, dynamics, costs, device, policy)


def _search_settings(value: Mapping[str, Any], dynamics: Dynamics) -> dict[str, Any]:
    """Return the settings of `Search` that the values of all parameters make."""
    names = [field.name for field in fields(Search) if f"planner.{field.name}" in value]
    settings = {name: value[f"planner.{name}"] for name in names}
    own = (value[f"action.noise_beta.{name}"] for name in dynamics.action_names)
    settings["noise_beta"] = tuple(settings["noise_beta"] if b < 0 else b for b in own)
    return settings | {"proposals": value["policy.candidates"]}


def _policy_problems(value: Mapping[str, Any], dynamics: Dynamics) -> list[str]:
    """Return what is wrong with the policy that the values name."""
    if not value["policy.file"]:
        return []
    low, high = (
        [value[f"action.{group}.{name}"] for name in dynamics.action_names]
        for group in ("low", "high")
    )
    try:
        Driver(load_policy(find(value["policy.file"])), dynamics, low, high)
    except ConfigurationError as error:
        return [f"parameter 'policy.file': {error}"]
    return []


def _cross_check(value: Mapping[str, Any], dynamics: Dynamics) -> list[str]:
    """Return what is wrong with values that are right one by one."""
    problems = []
    for check in (
        lambda: Search(**_search_settings(value, dynamics)),
        lambda: dynamics.check_dt(value["planner.dt"]),
    ):
        try:
            check()
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
    if value["randomisation.samples"] > 1:
        for it_has, what in (
            (dynamics.members > 1, "has members already"),
            (not dynamics.numbers, "has no numbers"),
            (dynamics.rolls_out_itself, "rolls out by itself"),
            (type(dynamics).remember is not Dynamics.remember, "remembers what came before"),
        ):
            if it_has:
                problems.append(
                    f"parameter 'randomisation.samples' is {value['randomisation.samples']}, "
                    f"allowed: 1, as {value['dynamics.plugin']} {what}"
                )
                break
    if (value["policy.candidates"] or value["hold"] == "policy") and not value["policy.file"]:
        problems.append(
            "parameter 'policy.file' is missing, allowed with policy.candidates or hold policy: a "
            "YAML file that `search-policy` wrote"
        )
    try:
        cpu_set(value["realtime.cpus"])
    except ConfigurationError as error:
        problems.append(str(error))
    latest = value["budget_fraction"] - 0.1
    if value["command_phase"] > max(0.0, latest) + 1e-9:
        problems.append(
            f"parameter 'command_phase' is {value['command_phase']}, allowed: at most "
            f"budget_fraction less 0.1, which is {latest:g}"
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


def _driving_problems(dynamics: Dynamics, costs: Mapping[str, Cost]) -> list[str]:
    """Return why a model cannot be driven about, or a cost does not say what that takes."""
    problems = []
    lacks = [name for name in ("x", "y", "yaw") if name not in dynamics.state_names]
    strange = set(dynamics.action_names) - {"v", "v_x", "v_y", "yaw_rate"}
    if lacks or strange:
        problems.append(
            "costs that look at the surroundings need a model with states x, y and yaw, and with "
            "actions named v, v_x, v_y or yaw_rate, such as diff_drive_lag, omni_drive and "
            f"ackermann_drive; the model has states {', '.join(dynamics.state_names)} and actions "
            f"{', '.join(dynamics.action_names)}"
        )
    for name, cost in costs.items():
        where = f"parameter '{name}.plugin': {type(cost).__name__}"
        # Misspelt, it would keep the robot from nothing.
        if not set(cost.inputs) <= set(INPUTS):
            problems.append(
                f"{where}.inputs is {cost.inputs!r}, allowed: some of {', '.join(INPUTS)}"
            )
        if "costmap" in cost.inputs and not isinstance(getattr(cost, "shape", None), Footprint):
            problems.append(
                f"{where} has no shape, expected the Footprint of the robot, as its inputs name "
                "the costmap"
            )
    with_map = [name for name, cost in costs.items() if "costmap" in cost.inputs]
    if with_map and not _has_scipy():
        problems.append(
            f"cost '{with_map[0]}' needs SciPy, which makes the distance field of a costmap, and "
            "it cannot be imported: pip install scipy"
        )
    shapes = [getattr(costs[name], "shape", None) for name in with_map]
    outlines = {(s.corners.tobytes(), s.radius) for s in shapes if isinstance(s, Footprint)}
    if len(outlines) > 1:
        problems.append(
            f"the footprints of {', '.join(with_map)} differ, allowed: one robot, the same for all"
        )
    return problems


def _has_scipy() -> bool:
    try:
        import scipy.ndimage  # noqa: F401
    except ImportError:
        return False
    return True


def _fields(side: str, names: Iterable[str], grammar: Grammar) -> list[Parameter]:
    """Return the parameters that say which field of a message is which state or action."""
    return [
        Parameter(
            f"{side}.fields.{name}",
            {MULTI_ARRAY: f"data[{index}]", NUMBER: "data"}.get(grammar, ""),
            f"Field of the {side} message that is {name}: {grammar.words}.",
            when=INACTIVE,
        )
        for index, name in enumerate(names)
    ]


def cpu_set(text: str) -> set[int]:
    """
    Return the CPUs that "0 2" or "0,2" names.

    Raises ConfigurationError if it is not a list of numbers.
    """
    try:
        return {int(number) for number in text.replace(",", " ").split()}
    except ValueError:
        raise ConfigurationError(
            f"parameter 'realtime.cpus' is {text!r}, allowed: numbers of CPUs, such as '2 3'"
        ) from None


def _command_filters(dynamics: Dynamics) -> tuple[Parameter, ...]:
    """Return the parameters of what a command goes through, before it is sent and after."""
    limits = {"unit": "s", "low": 0.0, "high": 10.0}
    low_pass = "Time constant of a low-pass on the {name} that is sent; 0 for none."
    lag = "Time constant with which an actuator follows the {name} that is sent; 0 for at once."
    return (
        *named("action.low_pass", dynamics.action_names, 0.0, low_pass, **limits),
        *named("action.lag", dynamics.action_names, 0.0, lag, **limits),
    )


def _spreads(dynamics: Dynamics) -> tuple[Parameter, ...]:
    """Return the parameters that say how much the numbers of variants differ."""
    text = "Share of the model's {name} by which its variants differ at most."
    limits = {"low": 0.0, "high": 0.99, "when": INACTIVE}
    return named("randomisation.spread", dynamics.numbers, 0.0, text, **limits)


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
        mapping = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.value in mapping:
                what = f"'{key.value}' twice" if isinstance(key, yaml.ScalarNode) else "no name"
                raise yaml.constructor.ConstructorError(None, None, f"found {what}", key.start_mark)
            mapping[key.value] = self.construct_object(value, deep=True)
        return mapping


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
