# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The optimisers of judo as controllers, with its own settings of its tasks."""

from __future__ import annotations

import importlib

import numpy as np

from cem_planner_ros.benchmarks.robot_tasks import ControlProblem
from cem_planner_ros.errors import ConfigurationError

SPLINES = {"cylinder_push": "zero", "leap_cube": "cubic", "fr3_pick": "linear", "go1": "linear"}
"""The kind of spline that judo has for each task, as scipy names it; for the Go1 its default."""

MEANS = ("leap_cube",)
"""Tasks in which judo's reward is a mean over the time steps of the file, and not a sum."""

OPTIMISERS = {
    "judo_cem": ("CrossEntropyMethod", "CrossEntropyMethodConfig"),
    "judo_mppi": ("MPPI", "MPPIConfig"),
    "judo_ps": ("PredictiveSampling", "PredictiveSamplingConfig"),
}
"""{method: classes of judo.optimizers}."""


def is_installed() -> bool:
    """Return whether judo's optimisers can be imported, which need scipy and viser."""
    try:
        importlib.import_module("judo.optimizers")
    except ImportError:
        return False
    return True


class Controller:
    """
    An optimiser of judo with its settings of a task, one iteration in a control step.

    The search begins at the nominal action.

    Args:
        method: of OPTIMISERS.
        name: of the task; judo's defaults if it has no settings for it.
        problem: what is planned with.
        rollouts: in a control step.
        seed: of the noise, which judo draws from NumPy's global generator.

    Raises ConfigurationError if judo is not installed.
    """

    def __init__(self, method: str, name: str, problem: ControlProblem, rollouts: int, seed: int):
        try:
            judo = importlib.import_module("judo.optimizers")
            self._interpolate = importlib.import_module("scipy.interpolate").interp1d
        except ImportError as error:
            raise ConfigurationError(
                f"the method '{method}' needs judo and scipy (pip install judo-rai): {error}"
            ) from error
        optimiser, settings = (getattr(judo, name) for name in OPTIMISERS[method])
        values = settings()
        values.set_override(name)
        values.num_rollouts = rollouts
        self._bounds = problem.low, problem.high
        self._optimiser = optimiser(values, len(problem.nominal))
        self._horizon, self._dt = problem.horizon, problem.dt
        self._score = problem.score(self._horizon, self._dt)
        # Judo's temperatures are those of its own sums or means.
        steps = self._dt / problem.model.model.opt.timestep
        self._scale = 1.0 / self._horizon if name in MEANS else steps
        self._kind = SPLINES[name]
        self._knots = np.tile(problem.nominal, (values.num_nodes, 1))
        self._times = self._knot_times(0.0)
        np.random.seed(seed)

    def act(self, state: np.ndarray, time: float) -> np.ndarray:
        """Return the action (nu,) for a state (nx,) at `time`, s."""
        times = self._knot_times(time)
        mean = self._at(self._times, self._knots, times)
        self._optimiser.pre_optimization(self._times, times)
        knots = np.clip(self._optimiser.sample_control_knots(mean), *self._bounds)
        actions = self._at(times, knots, time + self._dt * np.arange(self._horizon))
        costs = self._scale * self._score(state, np.clip(actions, *self._bounds))
        self._knots = self._optimiser.update_nominal_knots(knots, -costs)
        self._times = times
        return np.clip(self._at(times, self._knots, np.array([time]))[0], *self._bounds)

    def _knot_times(self, time: float) -> np.ndarray:
        return time + np.linspace(0.0, self._horizon * self._dt, len(self._knots))

    def _at(self, times: np.ndarray, knots: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        ends = knots[..., 0, :], knots[..., -1, :]
        curve = self._interpolate(
            times, knots, kind=self._kind, axis=-2, fill_value=ends, bounds_error=False
        )
        return curve(wanted)
