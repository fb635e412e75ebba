"""Reading ROS parameter files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.plugins.parameter import flatten

NODE_NAME = "cem_planner"


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
