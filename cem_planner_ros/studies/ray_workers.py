# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Runs tasks on a Ray cluster: one that is there, or one that is started on this machine."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from cem_planner_ros.errors import ConfigurationError, first_line
from cem_planner_ros.studies.workers import Outcome, Queue, WorkerDiedError, WorkerTask

AUTO, LOCAL = "auto", "local"

RETRIES = 3
"""How often Ray runs a task again whose worker or node died."""


class RayWorkers:
    """
    Runs tasks as Ray tasks, as many at a time as the cluster has CPUs and GPUs for.

    The package has to be installed on each node, with the same version of Python and of Ray.

    Args:
        address: AUTO for the cluster that this machine belongs to, HOST:PORT of its head if it
            belongs to several, ray://HOST:PORT for another one, LOCAL to start one here.
        cpus, gpus: what a task needs.
        jobs: CPUs of a cluster that is started; None for all of this machine.

    Raises ConfigurationError if Ray is not installed, and from `with` if there is no such cluster.
    """

    def __init__(self, address: str, cpus: float = 1.0, gpus: float = 0.0, jobs: int | None = None):
        self._ray = _load()
        self._address = address
        self._needs = {"num_cpus": cpus, "num_gpus": gpus, "max_retries": RETRIES}
        self._jobs = jobs
        self._is_ours = False

    def __enter__(self) -> RayWorkers:
        if not self._ray.is_initialized():
            self._connect()
        try:
            self._check_needs()
        except ConfigurationError:
            self.__exit__()
            raise
        return self

    def _connect(self) -> None:
        options: dict = {"log_to_driver": False, "logging_level": "error"}
        if self._address == LOCAL:
            # Ray asks for consent to statistics of its use, which nobody has given here.
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
            options |= {"address": LOCAL, "num_cpus": self._jobs, "include_dashboard": False}
        else:
            options["address"] = self._address
        try:
            self._ray.init(**options)
        except Exception as error:  # Ray raises any, also a bare Exception.
            hint = "start one with `ray start --head`, or use --ray local"
            if self._address == LOCAL:
                hint = "try again when the machine is less busy, or use --jobs without --ray"
            elif self._address != AUTO:
                hint += f"; set RAY_AUTH_MODE=token if the cluster has a token, or use --ray {AUTO}"
            raise ConfigurationError(
                f"--ray {self._address}: no Ray cluster answers ({first_line(error)}): {hint}"
            ) from error
        self._is_ours = True

    def _check_needs(self) -> None:
        """Raise ConfigurationError if no machine has what a task needs: Ray would wait for one."""
        needs = {"CPU": self._needs["num_cpus"], "GPU": self._needs["num_gpus"]}
        machines = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        if any(all(has.get(k, 0.0) >= n for k, n in needs.items()) for has in machines):
            return
        has = "; ".join(f"{m.get('CPU', 0):g} CPUs, {m.get('GPU', 0):g} GPUs" for m in machines)
        raise ConfigurationError(
            f"an episode needs {needs['CPU']:g} CPUs and {needs['GPU']:g} GPUs, which no machine "
            f"of the cluster has ({has}): change 'cpus' and 'gpus' of the study, or the cluster"
        )

    def __exit__(self, *reason) -> None:
        if self._is_ours:
            self._ray.shutdown()

    def run(self, queue: Queue) -> Iterator[Outcome]:
        """
        Run the tasks of a queue; see `workers.Workers.run`.

        Raises ConfigurationError if the cluster is lost, such as the machine where this runs.
        """
        ray, errors = self._ray, self._ray.exceptions
        call = ray.remote(**self._needs)(_call)
        running: dict = {}
        while queue or running:
            while queue:
                task = queue.popleft()
                running[call.remote(task.function, *task.arguments)] = task
            (done, *_), _ = ray.wait(list(running), num_returns=1)
            task: WorkerTask = running.pop(done)
            try:
                value = ray.get(done)
            except errors.RayTaskError as error:
                yield Outcome(task, error=error.cause or error)
            except (errors.WorkerCrashedError, errors.OutOfMemoryError) as error:
                text = f"its worker died {RETRIES + 1} times: {first_line(error)}"
                yield Outcome(task, error=WorkerDiedError(text))
            except errors.RayError as error:  # Nothing that the task has done.
                raise ConfigurationError(
                    f"the Ray cluster was lost: {first_line(error)}; continue a study with "
                    "--resume when there is a cluster again"
                ) from error
            else:
                yield Outcome(task, value)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """Return what a function returns; as a Ray task, a class may be the function too."""
    return function(*arguments)


def _load() -> ModuleType:
    try:
        import ray
        import ray.exceptions
    except ImportError as error:
        raise ConfigurationError(
            f"--ray needs Ray (pip install ray, or the extra ray): {error}"
        ) from error
    return ray
