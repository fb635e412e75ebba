# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Data files of the package, and folders that one process at a time writes."""

import contextlib
import fcntl
import importlib.util
import os
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from cem_planner_ros.errors import ConfigurationError


def share(folder: str) -> Path:
    """
    Return the package's folder "config", "examples", "launch", "models" or "worlds".

    The folder is searched where ROS installs it (AMENT_PREFIX_PATH), where pip installs it, and in
    a source tree, in this order. Raises FileNotFoundError if it is not found.
    """
    prefixes = _workspaces()
    candidates = [
        *(Path(prefix, "share", "cem_planner_ros", folder) for prefix in (*prefixes, sys.prefix)),
        Path(__file__).parents[1] / folder,
    ]
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError(f"no {folder} in " + ", ".join(str(path.parent) for path in candidates))


URI = re.compile(r"(?:package|model)://([^/]+)/(.+)")
"""A file of a ROS package, as in URDF and SDF."""


def in_ros_package(uri: str) -> Path:
    """
    Return the file that package://PACKAGE/PATH or model://PACKAGE/PATH names.

    PACKAGE is looked for in the workspaces that are sourced (AMENT_PREFIX_PATH). Raises
    ConfigurationError if it is not there, or has no such file.
    """
    match = URI.fullmatch(uri)
    if match is None:
        raise ConfigurationError(f"'{uri}' is no file, expected package://PACKAGE/PATH")
    package, inside = match.groups()
    prefixes = _workspaces()
    folders = [Path(prefix, "share", package) for prefix in prefixes]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        raise ConfigurationError(
            f"'{uri}' needs the ROS package '{package}', which is in no folder of "
            f"AMENT_PREFIX_PATH ({', '.join(prefixes) or 'not set'}): source the workspace that "
            "has it (source install/setup.bash), or install it (sudo apt install "
            f"ros-$ROS_DISTRO-{package.replace('_', '-')})"
        )
    if not (folder / inside).is_file():
        raise ConfigurationError(f"'{uri}' does not exist: there is no file {folder / inside}")
    return folder / inside


def is_in_package(file: str) -> bool:
    """Return whether a name is MODULE:PATH or package://PACKAGE/PATH, and not a path."""
    return bool(URI.fullmatch(file)) or (file.partition(":")[0].isidentifier() and ":" in file)


def find(file: str) -> Path:
    """
    Return the file that a parameter names.

    It is a path; a name in `models`, which may include a folder, such as diff_drive/robot.xml; a
    file MODULE:PATH of an installed Python package, which is not imported; or a file
    package://PACKAGE/PATH of a ROS package. Raises ConfigurationError if the file does not exist.
    """
    if URI.fullmatch(file):
        return in_ros_package(file)
    if is_in_package(file):
        module, _, inside = file.partition(":")
        found = importlib.util.find_spec(module)
        places = [
            Path(place, inside) for place in (found and found.submodule_search_locations) or ()
        ]
    else:
        places = [Path(file), share("models") / file]
    if found := first_file(places):
        return found
    is_absent = not file or not first_file(places, Path.is_dir)
    raise ConfigurationError(
        f"file '{file}' {'does not exist' if is_absent else 'is a folder'}, allowed: a path, a "
        f"name in {share('models')}, MODULE:PATH of an installed Python package, or "
        "package://PACKAGE/PATH of a ROS package"
    )


def first_file(
    places: Iterable[Path], is_right: Callable[[Path], bool] = Path.is_file
) -> Path | None:
    """Return the first of some paths that is a file, with ~ replaced; None if none of them is."""
    for place in places:
        # A name may be too long, or of the home folder of nobody.
        with contextlib.suppress(OSError, RuntimeError, ValueError):
            if is_right(path := place.expanduser()):
                return path
    return None


def lock_folder(folder: Path) -> contextlib.ExitStack:
    """
    Make a folder, and lock it until the context that is returned, or this process, ends.

    Raises BlockingIOError if another process has locked it, another OSError if it cannot be made.
    """
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    context = contextlib.ExitStack()
    context.callback(os.close, handle)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        context.close()
        raise
    except OSError:  # Some network file systems have no locks; there nothing is locked.
        pass
    return context


def _workspaces() -> list[str]:
    """Return the prefixes in which ROS packages are looked for."""
    return [path for path in os.environ.get("AMENT_PREFIX_PATH", "").split(os.pathsep) if path]
