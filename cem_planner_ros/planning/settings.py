# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The settings of the search: meaning and range of each, and checks between them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning.cross_entropy import WEIGHTINGS
from cem_planner_ros.planning.particles import PROPAGATIONS, RISKS, Particles
from cem_planner_ros.planning.spline import ORDERS, Spline
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

EXECUTE = ("mean", "best")
SAMPLINGS = ("clip", "truncate")
INJECT_MEAN = ("never", "last", "each")


NOISE_BETA = 2.0

ELITE_SHARE = 16
"""One of so many candidates of a mode is an elite, if the number of elites is not given."""

FEWEST_ELITES, MOST_ELITES = 10, 512
"""Limits of that number. Half of the candidates is a limit too. More take long to sort on a GPU."""


@dataclass(frozen=True)
class Search:
    """
    The settings of the search; SETTINGS has the meaning of each.

    The defaults had the least cost in `bench quality` (docs/benchmarks.md).

    Raises ConfigurationError if the settings do not go together.
    """

    samples: int = 1024
    elites: int = 0
    iterations: int = 4
    horizon: int = 30
    dt: float = 0.05
    modes: int = 1
    weighting: str = "rank"
    temperature: float = 1.0
    control_cost: float = 0.0
    std_initial: float = 0.75
    std_min: float = 0.02
    std_carry: float = 0.0
    std_ramp: float = 1.0
    momentum: float = 0.0
    noise_beta: float | tuple[float, ...] = NOISE_BETA
    keep: float = 0.2
    decay: float = 1.0
    explore: float = 0.0
    inject_mean: str = "each"
    inject_best: bool = True
    execute: str = "best"
    sampling: str = "clip"
    knot_spacing: int = 1
    order: int = 0
    proposals: int = 0
    propagation: str = Particles.propagation
    particles: int = Particles.count
    risk: str = Particles.risk
    cvar_alpha: float = Particles.cvar_alpha
    std_factor: float = Particles.std_factor

    def __post_init__(self):
        for name, parameter in SETTINGS.items():
            value = getattr(self, name)
            if name == "noise_beta" and np.ndim(value) == 1:
                value = tuple(parameter.check(one) for one in value)
            else:
                value = parameter.check(value)
            object.__setattr__(self, name, value)
        each = self.samples // self.modes
        if self.elites == 0:
            elites = min(max(each // ELITE_SHARE, FEWEST_ELITES), MOST_ELITES, each // 2)
            object.__setattr__(self, "elites", max(1, elites))
        if not 1 <= self.elites <= each:
            raise ConfigurationError(
                f"parameter 'planner.elites' is {self.elites}, allowed: 0, or from 1 to "
                f"planner.samples / planner.modes, which is {each}"
            )
        if self.injected > each:
            raise ConfigurationError(
                f"parameter 'planner.samples' is {self.samples}, allowed: at least "
                f"{self.injected} for each mode, for the kept elites, the mean, the best and what "
                "a policy proposes"
            )
        if self.order not in ORDERS:
            raise ConfigurationError(
                f"parameter 'planner.order' is {self.order}, allowed: 0, 1 or 3"
            )

    @functools.cached_property
    def spline(self) -> Spline:
        """The spline that converts knots to action sequences."""
        return Spline(self.horizon, self.order, self.knot_spacing)

    @property
    def through_members(self) -> Particles:
        """The settings of candidates in a model with members."""
        return Particles(
            propagation=self.propagation,
            count=self.particles,
            risk=self.risk,
            cvar_alpha=self.cvar_alpha,
            std_factor=self.std_factor,
        )

    @property
    def kept(self) -> int:
        """The number of elites of each mode that are candidates again in the next iteration."""
        return round(self.keep * self.elites)

    @property
    def injected(self) -> int:
        """Number of candidates of a mode that are not drawn: elites, mean, best, proposals."""
        return self.kept + 2 + self.proposals

    def population(self, iteration: int) -> int:
        """Return the number of candidates of each mode, which decays to a floor (iCEM, 3.2)."""
        first = self.samples // self.modes
        least = min(first, max(2 * self.elites, self.injected))
        return max(int(first * self.decay**-iteration), least)


_DECLARED = (
    Parameter(
        "planner.samples",
        Search.samples,
        "Number of candidates per iteration, N, over all modes.",
        low=1,
        high=10_000_000,
        when=INACTIVE,
    ),
    Parameter(
        "planner.elites",
        Search.elites,
        "Number of elites of each mode, K: the candidates that the distribution is refitted "
        "to. At most N / modes. 0 takes a sixteenth of N / modes, but at least 10 and at most "
        "512, and no more than half of N / modes.",
        low=0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.iterations",
        Search.iterations,
        "Number of iterations per control period, I. There are fewer where the budget ends first.",
        low=1,
        high=10_000,
        when=INACTIVE,
    ),
    Parameter(
        "planner.horizon",
        Search.horizon,
        "Number of model steps in a plan, H.",
        low=1,
        high=10_000,
        when=INACTIVE,
    ),
    Parameter(
        "planner.dt",
        Search.dt,
        "Duration of a model step.",
        unit="s",
        low=1e-4,
        high=10.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.modes",
        Search.modes,
        "Number of sampling distributions that are searched side by side, M. The action comes"
        " from the one with the cheapest candidate.",
        low=1,
        high=64,
        when=INACTIVE,
    ),
    Parameter(
        "planner.weighting",
        Search.weighting,
        "How candidates are weighted in the refit: elites weighs the elites equally (CEM), "
        "rank weighs them by rank (CMA-ES), softmax weighs all candidates by their cost "
        "(MPPI).",
        choices=WEIGHTINGS,
        when=INACTIVE,
    ),
    Parameter(
        "planner.temperature",
        Search.temperature,
        "Temperature of weighting softmax, in units of the cost. A lower temperature gives "
        "more weight to the cheapest candidates.",
        low=1e-6,
        high=1e9,
    ),
    Parameter(
        "planner.control_cost",
        Search.control_cost,
        "The control cost of MPPI, gamma, in units of the cost. It draws the mean u to zero: "
        "gamma u' Sigma^-1 (v - u) is added to the cost of each candidate v. The MPPI paper has "
        "gamma = temperature, Nav2 a twentieth of it; 0 leaves the term out.",
        low=0.0,
        high=1e9,
        when=INACTIVE,
    ),
    Parameter(
        "planner.std_initial",
        Search.std_initial,
        "Standard deviation of the candidates in the first iteration of a period, as a share "
        "of half the action's range (iCEM: 0.5). action.std gives it in the unit of an action.",
        low=1e-6,
        high=10.0,
    ),
    Parameter(
        "planner.std_min",
        Search.std_min,
        "Smallest standard deviation of the candidates, as a share of half the action's range. "
        "action.std_min gives it in the unit of an action.",
        low=1e-6,
        high=10.0,
    ),
    Parameter(
        "planner.std_carry",
        Search.std_carry,
        "Weight of the last period's standard deviation, shifted in time, where a period begins; "
        "std_initial has the rest. 0 begins with std_initial (iCEM).",
        low=0.0,
        high=1.0,
    ),
    Parameter(
        "planner.std_ramp",
        Search.std_ramp,
        "Factor of the first iteration's standard deviation at the end of the horizon. From the "
        "beginning of the horizon, where it is 1, the factor changes evenly from knot to knot.",
        low=1e-3,
        high=1e3,
    ),
    Parameter(
        "planner.momentum",
        Search.momentum,
        "Weight of the old mean and standard deviation in each refit (iCEM, PETS: 0.1).",
        low=0.0,
        high=0.99,
    ),
    Parameter(
        "planner.noise_beta",
        NOISE_BETA,
        "Exponent of the power spectrum f^-beta of the sampled noise. 0 is white noise; a "
        "larger exponent gives smoother candidates (iCEM: 0.25 to 3.5).",
        low=0.0,
        high=8.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.keep",
        Search.keep,
        "Share of the elites that are candidates again in the next iteration and, shifted in "
        "time, in the next period (iCEM: 0.3).",
        low=0.0,
        high=1.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.decay",
        Search.decay,
        "Factor by which the number of candidates falls from one iteration to the next, down "
        "to 2 K (iCEM: 1.25).",
        low=1.0,
        high=10.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.explore",
        Search.explore,
        "Share of the candidates that are drawn with std_initial in every iteration.",
        low=0.0,
        high=1.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.inject_mean",
        Search.inject_mean,
        "In which iterations the mean is a candidate: never, in the last one (iCEM), or in each.",
        choices=INJECT_MEAN,
        when=INACTIVE,
    ),
    Parameter(
        "planner.inject_best",
        Search.inject_best,
        "Whether the best candidate so far is a candidate in each iteration.",
        when=INACTIVE,
    ),
    Parameter(
        "planner.execute",
        Search.execute,
        "What is sent: the mean of the distribution, or the best candidate (iCEM). The best "
        "candidate exploits errors of learned models.",
        choices=EXECUTE,
        when=INACTIVE,
    ),
    Parameter(
        "planner.sampling",
        Search.sampling,
        "How candidates stay within the bounds: clip clips them, truncate draws from the "
        "truncated normal distribution.",
        choices=SAMPLINGS,
        when=INACTIVE,
    ),
    Parameter(
        "planner.knot_spacing",
        Search.knot_spacing,
        "Number of model steps between two knots of the splines that candidates are made of. "
        "1 gives each step its own action.",
        low=1,
        when=INACTIVE,
    ),
    Parameter(
        "planner.order",
        Search.order,
        "Order of the splines: 0 holds each knot, 1 is linear, 3 is cubic.",
        low=0,
        high=3,
        when=INACTIVE,
    ),
    Parameter(
        "planner.propagation",
        Search.propagation,
        "How candidates are simulated through a model with several members. all: each "
        "candidate through each member. ts_inf: particles that keep their member. ts_1: "
        "particles that change their member in each step (PETS).",
        choices=PROPAGATIONS,
        when=INACTIVE,
    ),
    Parameter(
        "planner.particles",
        Search.particles,
        "Number of particles of each candidate with propagation ts_inf or ts_1, spread evenly"
        " over the members (PETS: 20).",
        low=1,
        high=10_000,
        when=INACTIVE,
    ),
    Parameter(
        "planner.risk",
        Search.risk,
        "How the costs of a candidate over members or particles become one cost: mean, worst,"
        " cvar (the mean of the worst share cvar_alpha), or mean_std (the mean plus "
        "std_factor times the standard deviation).",
        choices=RISKS,
        when=INACTIVE,
    ),
    Parameter(
        "planner.cvar_alpha",
        Search.cvar_alpha,
        "Share of the members or particles, the most expensive ones, that risk cvar averages."
        " 1 averages all.",
        low=1e-3,
        high=1.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.std_factor",
        Search.std_factor,
        "Factor of the standard deviation with risk mean_std. A negative factor prefers "
        "uncertain candidates.",
        low=-100.0,
        high=100.0,
        when=INACTIVE,
    ),
)

SETTINGS = {parameter.name.partition(".")[2]: parameter for parameter in _DECLARED} | {
    "proposals": Parameter(
        "policy.candidates",
        Search.proposals,
        "Number of candidates that the policy or gait of policy.file proposes in each period. A "
        "policy controls the model for this.",
        low=0,
        high=1000,
        when=INACTIVE,
    )
}
"""The declaration of each setting of `Search`, by its name there; `configuration` uses the same."""
