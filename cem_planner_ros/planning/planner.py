"""Receding-horizon planning by the Cross-Entropy Method."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, fields

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning import backend as backends
from cem_planner_ros.planning.backend import Problem
from cem_planner_ros.planning.plan import Plan, TimeGrid
from cem_planner_ros.planning.record import Recording
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.search import Belief, Limits, Numbers, Search

SAME_MODE = 0.2
"""Modes whose means lie closer, in root mean square over std_initial, are one."""

LIVE = ("temperature", "momentum", "std_initial", "std_min", "std_carry")
"""Settings of `Search` that `Planner.tune` can change."""


class Planner:
    """
    Searches for the action sequence of least cost, from the last one shifted to the present.

    Each iteration draws N candidates, bounds them, rolls them out, and refits the distribution to
    those that count most (`search.py`). Between calls distribution and kept elites are moved by the
    time that passed, exactly, on a grid fixed in absolute time.

    Args:
        dynamics: the model.
        costs: the terms of the objective.
        low, high: (nu,), bounds of the action; those of the model if None.
        rate: (nu,), how fast an action may change, per s; inf for no limit, as is None.
        backend: one of `backend.BACKENDS`; `execution` says what became of it.
        device: where the tensors of model and costs live, and the search runs.
        threads: CPU threads of a compiled kernel.
        seed: of the noise.
        **settings: of `Search`.

    Raises ConfigurationError if the arguments do not go together.
    """

    def __init__(
        self,
        dynamics: Dynamics,
        costs: Sequence[Cost],
        *,
        low: Sequence[float] | None = None,
        high: Sequence[float] | None = None,
        rate: Sequence[float] | None = None,
        backend: str = "auto",
        device: torch.device | str = "cpu",
        threads: int = 1,
        seed: int = 0,
        **settings,
    ):
        unknown = set(settings) - {field.name for field in fields(Search)}
        if unknown:
            raise TypeError(f"Planner has no setting '{min(unknown)}'")
        if not costs:
            raise ConfigurationError("costs is empty, allowed: at least one cost")
        self.search = Search(**settings)
        self.dynamics = dynamics
        self.costs = tuple(costs)
        self.rollout = Rollout(dynamics, costs, self.search.dt)
        self.rollout.try_out(torch.device(device))
        self.device = torch.device(device)
        self._seed = seed
        self._recording: Recording | None = None
        self._spline = self.search.spline
        self._knots = torch.arange(self._spline.knots, device=self.device)
        self._uses_of: dict[bool, torch.Tensor] = {}
        self._nu = len(dynamics.action_names)
        self.tune(
            low=dynamics.action_low if low is None else low,
            high=dynamics.action_high if high is None else high,
            rate=[np.inf] * self._nu if rate is None else rate,
            **{name: getattr(self.search, name) for name in LIVE},
        )
        self.reset()
        nx = len(dynamics.state_names)
        example = self._problem(np.zeros(nx), None, np.arange(self.search.horizon + 1.0), 0)
        self.execution = backends.choose(
            backend, self.rollout, self.search, self.device, seed, threads, example, self._belief
        )
        self.reset()

    def tune(
        self,
        *,
        low: Sequence[float],
        high: Sequence[float],
        rate: Sequence[float],
        temperature: float,
        momentum: float,
        std_initial: float,
        std_min: float,
        std_carry: float,
    ) -> None:
        """Change what may change between two plans; arguments as in the constructor."""
        low_, high_, rate_ = (np.asarray(values, np.float32) for values in (low, high, rate))
        if low_.shape != (self._nu,) or high_.shape != (self._nu,) or not (low_ < high_).all():
            raise ConfigurationError(
                f"action bounds are low {list(low)}, high {list(high)}, allowed: low < high for "
                f"each of {', '.join(self.dynamics.action_names)}"
            )
        # A spline of order 0 jumps between model steps, the others climb from knot to knot.
        step = self.search.dt * (self._spline.spacing if self._spline.order else 1)
        half_range = 0.5 * (high_ - low_)
        self._limits = Limits(
            *(
                self._tensor(values)
                for values in (
                    low_,
                    high_,
                    rate_ * step,
                    rate_ * self.search.dt,
                    std_initial * half_range,
                    std_min * half_range,
                )
            )
        )
        self._numbers = Numbers(self._tensor(temperature), self._tensor(momentum))
        self._middle = self._tensor(0.5 * (low_ + high_))
        self._std_carry = std_carry

    def reset(self) -> None:
        """Forget the last plan; the noise begins anew."""
        shape = (self._spline.knots, self._nu, self.search.modes)
        self._grid: TimeGrid | None = None
        self._cell = 0
        self._plans = 0
        self._has_elites = False
        # Copies, for executions may refit in place.
        mean = self._middle[:, None].repeat(shape[0], 1, shape[2])
        self._belief = Belief(
            mean=mean,
            std=self._limits.std_initial[:, None].repeat(shape[0], 1, shape[2]),
            injected=mean.unsqueeze(-1).repeat(1, 1, 1, self.search.injected),
            best_cost=torch.full((self.search.modes,), torch.inf, device=self.device),
        )
        for mode in range(1, self.search.modes):
            self._reseed(mode)

    @torch.no_grad()
    def plan(
        self,
        state: np.ndarray,
        time: float,
        previous_action: np.ndarray | None = None,
        *,
        until: float = math.inf,
        iterations: int | None = None,
    ) -> Plan:
        """
        Improve the plan for `state` at `time` and return it.

        A time earlier than that of the last plan forgets the last plan.

        Args:
            state: (nx,), in the units of the model.
            time: s, on any clock that does not jump.
            previous_action: (nu,), in force until now; the middle of the bounds if None.
                Raises ValueError if this or the state has another shape.
            until: s on `time.monotonic`; no iteration but the first begins after it.
            iterations: how many at most; those of the settings if None.
        """
        nx = len(self.dynamics.state_names)
        if np.shape(state) != (nx,):
            raise ValueError(f"state has shape {np.shape(state)}, expected ({nx},)")
        if previous_action is not None and np.shape(previous_action) != (self._nu,):
            raise ValueError(
                f"previous_action has shape {np.shape(previous_action)}, expected ({self._nu},)"
            )
        search = self.search
        edges, cell = self._shift(time)
        problem = self._problem(state, previous_action, edges, cell)
        at_most = min(search.iterations, iterations or search.iterations)
        belief, cost, done = self.execution.run(
            problem, self._belief, self._uses(), self._plans, range(at_most), until
        )
        self._belief = belief
        plan = self._read(problem, edges, cost, done)
        self._plans += 1
        self._has_elites = True
        self._reseed_dead()
        if self._recording is not None:
            self._recording.add(
                state=state,
                time=time,
                previous_action=problem.previous_action.cpu().numpy(),
                iterations=done,
                actions=plan.actions,
            )
        return plan

    def record(self) -> Recording:
        """Forget the last plan, and note every plan from now on in the returned recording."""
        self.reset()
        self._recording = Recording(self.describe())
        return self._recording

    def describe(self) -> dict[str, object]:
        """Return what has to be the same for the same plans, as `record.replay` compares it."""
        return {
            "search": asdict(self.search),
            "seed": self._seed,
            "execution": self.execution.name,
            "states": list(self.dynamics.state_names),
            "actions": list(self.dynamics.action_names),
        }

    @torch.no_grad()
    def predict(self, plan: Plan, state: np.ndarray) -> np.ndarray:
        """Return the states (H + 1, nx) that a plan leads through from `state` (nx,)."""
        durations = self._tensor(np.diff(plan.edges))
        actions = self._tensor(plan.actions)
        states = self.rollout.trajectory(self._tensor(state), actions, durations)
        return states.cpu().numpy().astype(np.float64)

    def _shift(self, time: float) -> tuple[np.ndarray, int]:
        """Move the belief to `time`; return the edges (H + 1,) of the steps and the first cell."""
        if self._grid is None or self._grid.cell(time) < self._cell:
            plans = self._plans
            self.reset()
            self._plans = plans
            self._grid = TimeGrid(time, self.search.dt)
        cell = self._grid.cell(time)
        spacing, knots = self._spline.spacing, self._spline.knots
        mean, std, injected, best_cost = self._belief
        shift = min(cell // spacing - self._cell // spacing, knots)
        if shift:
            # What comes in at the end of the horizon repeats the last knot.
            index = self._knots.add(shift).clamp_(max=knots - 1)
            mean, std, injected = mean[index], std[index], injected[index]
        initial = self._limits.std_initial[:, None].expand_as(std)
        if self._std_carry:
            std[knots - shift :] = initial[knots - shift :]
            std = torch.lerp(initial, std, self._std_carry)
        else:
            std = initial.clone(memory_format=torch.contiguous_format)
        # The cheapest of the last period was the cheapest for another state.
        best_cost.fill_(torch.inf)
        self._belief = Belief(mean, std, injected, best_cost)
        self._cell = cell
        return self._grid.edges(time, self.search.horizon), cell

    def _reseed(self, mode: int) -> None:
        """Let a mode begin anew, around an action held over the horizon that is drawn at random."""
        random = np.random.default_rng([self._seed, self._plans, mode])
        low, high = self._limits.low, self._limits.high
        action = low + (high - low) * self._tensor(random.random(self._nu))
        self._belief.mean[..., mode] = action
        self._belief.std[..., mode] = self._limits.std_initial
        self._belief.injected[:, :, mode] = action[:, None]

    def _reseed_dead(self) -> None:
        """Reseed each mode that found nothing valid, or the same as a better one."""
        mean, _, _, best_cost = self._belief
        scale = self._limits.std_initial[:, None]
        order = torch.argsort(best_cost).tolist() if self.search.modes > 1 else []
        for rank, mode in enumerate(order[1:], 1):
            apart = [
                torch.sqrt(torch.mean(((mean[..., mode] - mean[..., other]) / scale[:, 0]) ** 2))
                for other in order[:rank]
            ]
            if not torch.isfinite(best_cost[mode]) or min(apart) < SAME_MODE:
                self._reseed(mode)

    def _problem(
        self,
        state: np.ndarray,
        previous_action: np.ndarray | None,
        edges: np.ndarray,
        cell: int,
    ) -> Problem:
        first, basis = self._spline.basis(cell)
        return Problem(
            state=self._tensor(state),
            previous_action=(
                self._middle if previous_action is None else self._tensor(previous_action)
            ),
            durations=self._tensor(np.diff(edges)),
            first=torch.from_numpy(first).to(self.device),
            basis=self._tensor(basis),
            limits=self._limits,
            numbers=self._numbers,
        )

    def _uses(self) -> torch.Tensor:
        """Return which injected slots are candidates in which iteration (I, J)."""
        search = self.search
        if self._has_elites not in self._uses_of:
            rows = []
            for iteration in range(search.iterations):
                again = iteration > 0 or self._has_elites
                is_last = iteration == search.iterations - 1
                mean = search.inject_mean == "each" or (search.inject_mean == "last" and is_last)
                rows.append([again] * search.kept + [mean and again, search.inject_best and again])
            self._uses_of[self._has_elites] = torch.tensor(rows, device=self.device)
        return self._uses_of[self._has_elites]

    def _read(self, problem: Problem, edges: np.ndarray, cost: torch.Tensor, done: int) -> Plan:
        """Return what the belief says: the mean, or the best candidate, of the best mode."""
        mean, _, injected, best_cost = self._belief
        mode = int(torch.argmin(best_cost)) if self.search.modes > 1 else 0
        knots = mean[..., mode] if self.search.execute == "mean" else injected[..., mode, -1]
        if self._spline.spacing > 1 or self._spline.order > 0:
            weights = problem.basis
            knots = sum(
                weights[:, k, None] * knots[problem.first + k] for k in range(weights.shape[1])
            )
        valid = int(torch.isfinite(cost).sum())
        return Plan(
            edges=edges,
            actions=knots.cpu().numpy().astype(np.float64),
            cost=float(best_cost[mode]),
            iterations=done,
            invalid_share=1.0 - valid / cost.numel(),
        )

    def _tensor(self, values) -> torch.Tensor:
        return torch.as_tensor(np.asarray(values, np.float32)).to(self.device)
