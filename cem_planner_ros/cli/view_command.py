"""Serve a page in a browser that shows a planner node and its parameters."""

from __future__ import annotations

import argparse
import importlib.util
import sys

from cem_planner_ros.configuration import NODE_NAME
from cem_planner_ros.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the node, where the page is, and what it may do."""
    parser.add_argument(
        "--node",
        default=NODE_NAME,
        metavar="[NAMESPACE/]NAME",
        help="the planner (default: %(default)s)",
    )
    parser.add_argument("--port", type=int, default=8080, help="default: %(default)s")
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address of this machine; another than the default demands a token, which is printed",
    )
    parser.add_argument(
        "--robot", metavar="FILE", default="", help="MJCF or URDF file of the robot to draw"
    )
    parser.add_argument(
        "--read-only", action="store_true", help="the page only shows, and sends nothing"
    )
    parser.add_argument(
        "--save-to",
        metavar="DIR",
        default="",
        help="folder in which the page saves parameter files",
    )


def run(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C. Raises ConfigurationError without rclpy or viser."""
    for package, how in (
        ("rclpy", "source a ROS 2 setup.bash, or `make install`"),
        ("viser", "pip install viser mjviser"),
    ):
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(f"the page needs the package {package}: {how}")
    if not 0 <= options.port <= 65535:
        raise ConfigurationError(f"--port is {options.port}, allowed: 0 to 65535")
    from cem_planner_ros.ros import process

    sys.argv = ["view_node", "--ros-args"]
    for name in ("node", "host", "port", "robot", "save_to"):
        value = getattr(options, name)
        if value != "":
            # A quoted text stays a text, whatever YAML would make of it.
            text = value if isinstance(value, int) else "'" + value.replace("'", "''") + "'"
            sys.argv += ["-p", f"{name}:={text}"]
    sys.argv += ["-p", f"read_only:={str(options.read_only).lower()}"]
    return process.viewer()
