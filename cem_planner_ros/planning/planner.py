# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Receding-horizon planning by the Cross-Entropy Method."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings
from cem_planner_ros.planning.actuators import mean_applied
from cem_planner_ros.planning.execution import EagerExecution, Execution, Setup
from cem_planner_ros.planning.plan import Candidates, Plan, by_cost
from cem_planner_ros.planning.planner_arguments import (
    ARGUMENTS,
    PERIOD,
    action_limits,
    check_plugins,
    check_times,
    nominal_action,
    search_settings,
    usable_device,
    vector,
)
from cem_planner_ros.planning.record import Recording
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.warm_start import WarmStart
from cem_planner_ros.plugins.checking import try_out, try_samples

_logger = logging.getLogger(__name__)

LIVE = ("temperature", "momentum", "std_initial", "std_min", "std_carry", "std_ramp")
"""Settings of `Search` that `Planner.tune` can change."""


class Planner:
    """
    Searches for the action sequence with the least cost, starting from the last plan.

    Each iteration draws N candidates, bounds them, rolls them out, and refits the distribution to
    the best of them (`search.py`). Between two calls, the distribution and the kept elites are
    shifted by exactly the time that has passed, on a grid fixed in absolute time (warm start).

    Args:
        dynamics: the model.
        costs: the terms of the objective.
        low, high: (nu,), bounds of the action; None for the bounds of the model.
        rate: (nu,), how fast an action may change, per s; inf or None for no limit.
        period: time from one command to the next, s; dt if None. The first action of a plan may
            differ from the action in force by rate * period.
        lag: (nu,), time constants with which actuators follow the actions, s; 0 or None for
            actuators that follow at once.
        nominal: (nu,), the action with which a search begins without a last plan: a number, a state
            whose value it has then, reference:STATE for what a cost wants of it, or None (middle).
        action_std, action_std_min: (nu,), as `std` and `std_min` of `Limits.fill`.
        backend: one of `compile.choose.BACKENDS`; `execution` says what became of it.
        device: the device of the tensors of model and costs; the search runs there.
        threads: CPU threads of a compiled kernel.
        seed: of the noise.
        like: a planner with the same model, costs, dt and device; its compiled code is used again.
        policy: called before each search with the state (nx,) and the edges (H + 1,), s, of the
            plan's steps. Returns E = `proposals` action sequences (E, H, nu), which become
            candidates of the first iteration. If it has a method `reset`, `reset` calls it.
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
        period: float | None = None,
        lag: Sequence[float] | None = None,
        nominal: Sequence[float | str | None] | None = None,
        action_std: Sequence[float] | None = None,
        action_std_min: Sequence[float] | None = None,
        backend: str = "auto",
        device: torch.device | str = "cpu",
        threads: int = 1,
        seed: int = 0,
        like: Planner | None = None,
        policy: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
        **settings,
    ):
        check_plugins(dynamics, costs)
        self.search = search_settings(settings, dynamics)
        for parameter, value in zip(ARGUMENTS, (str(device), threads, seed), strict=True):
            parameter.check(value)
        device = usable_device(device)
        self.dynamics = dynamics
        self.costs = tuple(costs)
        self.rollout = Rollout(dynamics, costs, self.search.dt, self.search.through_members)
        for cost in costs:  # What a cost keeps for each step has its size from now on.
            cost.set_edges(self.search.dt * np.arange(self.search.horizon + 1))
        if like is None:
            self.rollout.reads_numbers = try_out(dynamics, costs, self.search.dt, device)
        else:
            self.rollout.reads_numbers = like.rollout.reads_numbers
        try_samples(dynamics, self.search.samples, self.search.dt, device)
        self.device = device
        self._policy, self._reset_policy = policy, getattr(policy, "reset", lambda: None)
        self._period = self.search.dt if period is None else PERIOD.check(period)
        self._recording: Recording | None = None
        self._origin = np.zeros(len(dynamics.state_names))
        self._last: tuple[Plan, np.ndarray, np.ndarray, torch.Tensor] | None = None
        self._phase = 0
        self._setup = setup = Setup.allocate(
            self.rollout, self.search, device=device, seed=seed, threads=threads
        )
        self._problem, limits = setup.problem, setup.problem.limits
        self._warm_start = WarmStart(self.search, limits, setup.belief, seed, policy is not None)
        self.tune(
            low=low,
            high=high,
            rate=rate,
            lag=lag,
            nominal=nominal,
            action_std=action_std,
            action_std_min=action_std_min,
        )
        self.reset()
        compiled = None if like is None else like.execution
        self.execution: Execution = self._execution(backend, compiled)
        self.reset()

    def tune(
        self,
        *,
        low: Sequence[float] | None,
        high: Sequence[float] | None,
        rate: Sequence[float] | None,
        lag: Sequence[float] | None,
        nominal: Sequence[float | str | None] | None = None,
        action_std: Sequence[float] | None = None,
        action_std_min: Sequence[float] | None = None,
        **live: Any,
    ) -> None:
        """
        Change settings between two plans; the arguments are those of the constructor.

        Of the settings of `Search`, those in LIVE may change; others keep their values. Raises
        ConfigurationError if a value is not allowed, and then changes nothing.
        """
        if not live.keys() <= set(LIVE):
            raise TypeError(f"tune() cannot change '{min(live.keys() - set(LIVE))}'")
        low_, high_, rate_, lag_, *stds = action_limits(
            self.dynamics, low, high, rate, lag, action_std, action_std_min
        )
        nominal_ = nominal_action(self.dynamics, self.costs, nominal, low_, high_)
        self.search, self._nominal, self._lag = replace(self.search, **live), nominal_, lag_
        self._problem.limits.fill(self.search, low_, high_, rate_, self._period, *stds)
        self._warm_start.tune(self.search, self._nominal.action)
        for cost in self.costs:
            cost.set_bounds(low_, high_)
        self._problem.actuators.lag.copy_(torch.from_numpy(lag_))
        for name, number in self._problem.numbers._asdict().items():
            number.fill_(getattr(self.search, name))

    def reset(self) -> None:
        """Forget all earlier plans, also in plugins and policy; restart the random numbers."""
        self._warm_start.reset()
        self.rollout.reset()
        self._reset_policy()

    @torch.no_grad()
    def adopt(self, plan: Plan) -> None:
        """Start again around a plan, such as the plan of a planner with another grid."""
        self._warm_start.adopt(plan)

    def spread(self) -> tuple[float, float]:
        """
        Return the width of the search: the mean std, and the std of the kept elites.

        Both are in the unit of `std_initial`. If they are near `std_min`, the search has collapsed.
        """
        return self._warm_start.spread()

    @torch.no_grad()
    def plan(
        self,
        state: np.ndarray,
        time: float,
        previous_action: np.ndarray | None = None,
        *,
        applied: np.ndarray | None = None,
        surroundings: Surroundings = NOTHING,
        stamp: float | None = None,
        until: float = math.inf,
        iterations: int | None = None,
    ) -> Plan:
        """
        Improve the plan for `state` at `time` and return it.

        If `time` is earlier than in the last call, the last plan is forgotten. If no candidate is
        valid, the cost of the plan is infinite and its actions are meaningless.

        Args:
            state: (nx,), in the units of the model.
            time: s, on any clock that does not jump.
            previous_action: (nu,), in force until now; the nominal action if None.
            applied: (nu,), what actuators with a lag apply now; previous_action if None.
            surroundings: goal, path, costmap and moving obstacles, for costs that use them.
            stamp: the same moment as `time`, s, on the clock of the stamps of states and paths, for
                `Cost.prepare`; `time` if None.
            until: s on `time.monotonic`; after it, no iteration begins except the first. A model
                that rolls out itself simulates no more candidates of an iteration then.
            iterations: largest number of iterations; None for that of the settings.

        Raises ValueError, and keeps the last plan, if a vector has a wrong shape or a number that
        is not finite in float32, or if a time is not a number.
        """
        names, actions = self.dynamics.state_names, self.dynamics.action_names
        state = vector("state", state, names)
        if previous_action is None:
            previous_action = self._nominal.at(state)
        previous_action = vector("previous_action", previous_action, actions)
        applied = previous_action if applied is None else vector("applied", applied, actions)
        check_times(time, until)
        stamp = time if stamp is None else stamp
        edges = self._warm_start.edges(time)
        self._origin = self.rollout.prepare(state, applied, time, stamp, surroundings, edges - time)
        self._fall_back_if_outdated()
        self._begin(state, previous_action, applied, time, edges)
        if self._policy is not None:
            proposed = self._policy(state, edges)
            self._warm_start.propose(proposed, self._nominal.action, self._phase)
        costs, done = self._iterate(iterations, until)
        plan = self._read(edges, done)
        self._warm_start.keep()
        self._last = plan, np.array(state), np.array(applied), costs
        if self._recording is not None:
            self._recording.add(
                surroundings,
                state=state,
                time=time,
                stamp=stamp,
                previous_action=np.asarray(previous_action, np.float32),
                applied=np.asarray(applied, np.float32),
                iterations=done,
                actions=plan.actions,
            )
        return plan

    def _execution(self, backend: str, like: Execution | None) -> Execution:
        """Return what runs the iterations; nothing of a compiler is imported for "eager"."""
        if backend == "eager":
            return EagerExecution(self._setup)
        from cem_planner_ros.compile.choose import choose

        return choose(backend, self._setup, like)

    def _fall_back_if_outdated(self) -> None:
        """Plan in eager PyTorch from now on, if what was compiled is not what plugins are."""
        reason = self.execution.outdated()
        if reason:
            _logger.warning("planning continues in eager PyTorch, slower: %s", reason)
            self.execution = EagerExecution(self._setup, reason)

    def record(self) -> Recording:
        """Forget the last plan, and record every plan from now on in the returned recording."""
        self.reset()
        self._recording = Recording(self.describe())
        return self._recording

    def describe(self) -> dict[str, object]:
        """Return what must be equal for equal plans; `record.replay` compares it."""
        return {
            "search": asdict(self.search),
            "seed": self._setup.seed,
            "execution": self.execution.name,
            "states": list(self.dynamics.state_names),
            "actions": list(self.dynamics.action_names),
        }

    @torch.no_grad()
    def candidates(self, count: int | None = None) -> Candidates:
        """
        Return candidates of the last iteration, with their predicted states.

        Args:
            count: largest number of candidates; None for all. Half of them are elites, chosen
                evenly by rank, the others are no elites.

        Raises RuntimeError before the first plan.
        """
        if self._last is None:
            raise RuntimeError("nothing was planned yet: call plan() first")
        plan, state, applied, cost = self._last
        costs = cost.flatten().cpu().numpy()
        order = by_cost(costs, self.search.elites, count)
        knots = self.execution.candidates[..., torch.as_tensor(order, device=self.device)]
        actions = self.search.spline.actions(knots.cpu().numpy(), self._phase)
        states = self.predict(replace(plan, actions=actions), state, applied)
        return Candidates(states, actions, costs[order])

    @torch.no_grad()
    def predict(
        self, plan: Plan, state: np.ndarray, applied: np.ndarray | None = None
    ) -> np.ndarray:
        """
        Return the predicted states (H + 1, nx) of a plan from `state` (nx,).

        If the plan's actions are n sequences (H, nu, n), the states are (H + 1, nx, n).

        If `applied` (nu,) is given, it is what the actuators apply when the plan begins, and the
        actions are commands that the actuators follow. Otherwise the actions are what the actuators
        apply.
        """
        actions, durations = plan.actions, np.diff(plan.edges)
        if applied is not None:
            actions = mean_applied(actions, durations, self._lag, applied)
        state = np.asarray(state, np.float64)
        origin = self.dynamics.origin(state)
        states = self.execution.trajectory(state - origin, actions, durations)
        return states + origin.reshape(-1, *(1,) * (states.ndim - 2))

    @torch.no_grad()
    def breakdown(self, plan: Plan, state: np.ndarray) -> list[float]:
        """Return what each cost contributes to a plan from `state` (nx,)."""
        start, actions, durations = self._tensors(state, plan)
        actuators = self._problem.actuators._replace(applied=actions[0])
        return self.rollout.breakdown(start, actions, actions[0], durations, actuators).tolist()

    @torch.no_grad()
    def cost_terms(self, plan: Plan, states: np.ndarray) -> list[float]:
        """
        Return what each cost contributes to a plan, given its states (H + 1, nx) of `predict`.

        Unlike `breakdown` it uses only the mean of a model's members, leaves out the return of a
        model, and simulates nothing, unless only a rollout gives the outputs of the model. It is
        fast enough for a control loop.
        """
        if self.dynamics.output_names and self.dynamics.rolls_out_itself:
            return self.breakdown(plan, states[0])[: len(self.costs)]
        seen, actions, durations = self._tensors(states, plan)
        return self.rollout.terms(seen.T, actions.T, durations).tolist()

    def _tensors(self, states: np.ndarray, plan: Plan) -> list[torch.Tensor]:
        """Return states (..., nx) without the origin, and actions and durations of a plan."""
        arrays = states - self._origin, plan.actions, np.diff(plan.edges)
        return [torch.tensor(a, dtype=torch.float32, device=self.device) for a in arrays]

    def _begin(
        self,
        state: np.ndarray,
        previous_action: np.ndarray,
        applied: np.ndarray,
        time: float,
        edges: np.ndarray,
    ) -> None:
        """Give the execution what the plan begins with; `edges` (H + 1,) are those of its steps."""
        move = self._warm_start.advance(time, self._nominal.at(state))
        host = self._setup.inputs.host
        host["state"][:], host["durations"][:] = state - self._origin, edges[1:] - edges[:-1]
        host["previous_action"][:], host["applied"][:] = previous_action, applied
        self.execution.begin(move)
        self._phase = move.phase

    def _iterate(self, iterations: int | None, until: float) -> tuple[torch.Tensor, int]:
        """Refine the belief; return the last costs (M, n) and how many iterations were done."""
        at_most = self.search.iterations
        at_most = at_most if iterations is None else max(1, min(iterations, at_most))
        uses, number = self._warm_start.uses(), self._warm_start.plans
        return self.execution.run(uses, number, range(at_most), until)

    def _read(self, edges: np.ndarray, done: int) -> Plan:
        """Return the plan: the mean, or the best candidate, of the best mode."""
        found = self.execution.found()
        knots = found.best if self.search.execute == "best" else found.mean
        mode = int(found.best_cost.argmin())
        return Plan(
            edges=edges,
            actions=self.search.spline.actions(knots[..., mode], self._phase),
            cost=float(found.best_cost[mode]),
            iterations=done,
            invalid_share=1.0 - found.valid_share,
            action_names=tuple(self.dynamics.action_names),
            is_spline=self.search.spline.order > 0,
            simulated_share=found.simulated_share,
        )
