"""Where the package's data files are."""

import os
import sys
from pathlib import Path


def share(folder: str) -> Path:
    """
    Return the package's folder "config", "launch" or "models".

    It is looked for where ROS installs it (AMENT_PREFIX_PATH), where pip installs it, and in a
    source tree, in this order. Raises FileNotFoundError if it is in none of them.
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
