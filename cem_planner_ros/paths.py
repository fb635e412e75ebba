"""Data files of the package."""

import importlib.util
import os
import sys
from pathlib import Path

from cem_planner_ros.errors import ConfigurationError


def share(folder: str) -> Path:
    """
    Return the package's folder "config", "launch", "models" or "worlds".

    The folder is searched where ROS installs it (AMENT_PREFIX_PATH), where pip installs it, and in
    a source tree, in this order. Raises FileNotFoundError if it is not found.
    """
    prefixes = [path for path in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if path]
    candidates = [
        *(Path(prefix, "share", "cem_planner_ros", folder) for prefix in (*prefixes, sys.prefix)),
        Path(__file__).parents[1] / folder,
    ]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no {folder} in " + ", ".join(str(path.parent) for path in candidates))


def find(file: str) -> Path:
    """
    Return the file that a parameter names: a path, a name in `models`, or MODULE:PATH.

    A name in `models` may include a folder, such as diff_drive/robot.xml. MODULE:PATH is a file of
    an installed Python package; the package is not imported. Raises ConfigurationError if the file
    does not exist.
    """
    module, colon, inside = file.partition(":")
    if colon and module.isidentifier():
        found = importlib.util.find_spec(module)
        places = [
            Path(place, inside) for place in (found and found.submodule_search_locations) or ()
        ]
    else:
        places = [Path(file).expanduser(), share("models") / file]
    for place in places:
        if place.is_file():
            return place
    raise ConfigurationError(
        f"file '{file}' does not exist, allowed: a path, a name in {share('models')}, or "
        "MODULE:PATH of an installed Python package"
    )
