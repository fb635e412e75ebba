# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The options --jobs and --ray of commands that run episodes."""

from __future__ import annotations

import argparse
from typing import Any

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.studies import workers
from cem_planner_ros.studies.ray_workers import RayWorkers

OPTIONS: dict[str, dict[str, Any]] = {
    "--jobs": {
        "type": int,
        "metavar": "N",
        "help": "processes that run episodes, each with one thread; what is found does not depend "
        "on it, apart from times (default: 1)",
    },
    "--ray": {
        "metavar": "auto|local|ADDRESS",
        "help": "run episodes on the Ray cluster of this machine, on one that is started here with "
        "--jobs CPUs, or on that of an address",
    },
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Declare on what episodes run."""
    for name, settings in OPTIONS.items():
        parser.add_argument(name, **settings)


def hire(options: argparse.Namespace, cpus: float = 1.0, gpus: float = 0.0) -> workers.Workers:
    """
    Return what runs episodes, of which each needs so many CPUs and GPUs.

    Raises ConfigurationError if it cannot be.
    """
    jobs = options.jobs
    if jobs is not None and not 1 <= jobs <= 1024:
        raise ConfigurationError(f"--jobs is {jobs}, allowed: from 1 to 1024")
    if options.ray is None:
        return workers.local(jobs or 1)
    return RayWorkers(options.ray, cpus, gpus, jobs)
