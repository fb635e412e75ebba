# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Serve a page in a browser: a planner node and its parameters, or a recorded run."""

from __future__ import annotations

import argparse
import importlib.util
import signal
import sys
import threading
from pathlib import Path

from cem_planner_ros.configuration import NODE_NAME, load_yaml
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
    recorded = parser.add_mutually_exclusive_group()
    recorded.add_argument(
        "--bag", type=Path, metavar="DIR", help="show a recorded run instead: a rosbag2"
    )
    recorded.add_argument(
        "--run", type=Path, metavar="FILE", help="the same: a file of Planner.record()"
    )
    parser.add_argument(
        "--params-file",
        type=Path,
        metavar="FILE",
        help="parameters of the recorded run, for --bag and --run",
    )


def check_packages(*, with_ros: bool = True) -> None:
    """Raise ConfigurationError, with what to install, without a package that the page needs."""
    needed = {"viser": "pip install viser mjviser", "mjviser": "pip install viser mjviser"}
    if with_ros:
        needed["rclpy"] = "source a ROS 2 setup.bash, or `make install`"
    for package, how in needed.items():
        if importlib.util.find_spec(package) is None:
            raise ConfigurationError(f"the page needs the package {package}: {how}")


def run(options: argparse.Namespace) -> int:
    """Serve the page until Ctrl-C. Raises ConfigurationError without rclpy or viser."""
    is_recorded = options.bag is not None or options.run is not None
    if is_recorded != (options.params_file is not None):
        raise ConfigurationError("--params-file goes with --bag or --run: give both or none")
    check_packages(with_ros=not is_recorded)
    if not 0 <= options.port <= 65535:
        raise ConfigurationError(f"--port is {options.port}, allowed: 0 to 65535")
    if is_recorded:
        return _replay(options)
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


def _replay(options: argparse.Namespace) -> int:
    """Serve the page of a recorded run until Ctrl-C or SIGTERM."""
    from cem_planner_ros.configuration import configure
    from cem_planner_ros.learning import recorded_run
    from cem_planner_ros.view.replay import Replay
    from cem_planner_ros.view.replay_page import ReplayPage

    file = options.params_file
    configuration = configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))
    if options.bag is not None:
        run = recorded_run.from_bag(options.bag, file, configuration)
    else:
        run = recorded_run.from_planner(options.run, configuration)
    page = ReplayPage(
        Replay(run, configuration),
        title=str(options.bag or options.run),
        robot_file=options.robot,
        host=options.host,
        port=options.port,
        save_to=Path(options.save_to).expanduser() if options.save_to else None,
    )
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        where = page.serving.address
        print(f"{len(run.times)} periods of {run.times[-1]:.1f} s are at {where}", flush=True)
        threading.Event().wait()
    finally:
        page.close()
    return 0
