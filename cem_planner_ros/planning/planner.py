"""Receding-horizon planning by the Cross-Entropy Method."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace

import numpy as np
import torch

from cem_planner_ros.costs.base import Cost
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings
from cem_planner_ros.planning.actuators import Actuators
from cem_planner_ros.planning.arguments import (
    ARGUMENTS,
    PERIOD,
    action_limits,
    check_plugins,
    usable_device,
    vector,
)
from cem_planner_ros.planning.execution import EagerExecution, Execution, Setup
from cem_planner_ros.planning.plan import Candidates, Plan, TimeGrid
from cem_planner_ros.planning.record import Recording
from cem_planner_ros.planning.rollout import Rollout
from cem_planner_ros.planning.search import (
    Belief,
    Limits,
    Numbers,
    Problem,
    limit_rate,
    within,
)
from cem_planner_ros.planning.settings import Search
from cem_planner_ros.plugins.checking import try_out, try_samples
from cem_planner_ros.plugins.plan_inputs import Staged, pinned

_logger = logging.getLogger(__name__)

SAME_MODE = 0.2
"""Two modes are merged if the RMS distance of their means is below this share of std_initial."""

LIVE = ("temperature", "momentum", "std_initial", "std_min", "std_carry")
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
        backend: one of `compile.choose.BACKENDS`; `execution` says what became of it.
        device: the device of the tensors of model and costs; the search runs there.
        threads: CPU threads of a compiled kernel.
        seed: of the noise.
        like: a planner with the same model, costs, dt and device; its compiled code is used again.
        policy: called before each search with the state (nx,) and the edges (H + 1,), s, of the
            plan's steps. Returns E = `proposals` action sequences (E, H, nu), which become
            candidates of the first iteration.
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
        backend: str = "auto",
        device: torch.device | str = "cpu",
        threads: int = 1,
        seed: int = 0,
        like: Planner | None = None,
        policy: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
        **settings,
    ):
        unknown = set(settings) - {field.name for field in fields(Search)}
        if unknown:
            raise TypeError(f"Planner has no setting '{min(unknown)}'")
        check_plugins(dynamics, costs)
        self.search = Search(**settings)
        for parameter, value in zip(ARGUMENTS, (str(device), threads, seed), strict=True):
            parameter.check(value)
        device = usable_device(device)
        self.dynamics = dynamics
        self.costs = tuple(costs)
        self.rollout = Rollout(dynamics, costs, self.search.dt, self.search.through_members)
        if like is None:
            self.rollout.reads_numbers = try_out(dynamics, costs, self.search.dt, device)
        else:
            self.rollout.reads_numbers = like.rollout.reads_numbers
        try_samples(dynamics, self.search.samples, self.search.dt, device)
        self.device = device
        self._seed = seed
        self._policy = policy
        self._period = self.search.dt if period is None else PERIOD.check(period)
        beta = self.search.noise_beta
        if isinstance(beta, tuple) and len(beta) != len(dynamics.action_names):
            raise ConfigurationError(
                f"noise_beta has {len(beta)} entries, allowed: one number, or one for each of "
                f"{', '.join(dynamics.action_names)}"
            )
        self._recording: Recording | None = None
        self._origin = np.zeros(len(dynamics.state_names))
        self._last: tuple[Plan, np.ndarray, np.ndarray, torch.Tensor] | None = None
        self._spline = self.search.spline
        self._uses_of: dict[bool, torch.Tensor] = {}
        self._moved: dict[int, torch.Tensor] = {}
        self._nu = len(dynamics.action_names)
        self._allocate(len(dynamics.state_names))
        self._setup = Setup(
            self.rollout, self.search, self._inputs, self._problem, self._belief, seed, threads
        )
        self.tune(
            low=dynamics.action_low if low is None else low,
            high=dynamics.action_high if high is None else high,
            rate=[np.inf] * self._nu if rate is None else rate,
            lag=[0.0] * self._nu if lag is None else lag,
            **{name: getattr(self.search, name) for name in LIVE},
        )
        self.reset()
        nx = len(dynamics.state_names)
        self._load(np.zeros(nx), self._middle, self._middle, np.arange(self.search.horizon + 1), 0)
        self.execution = self._execution(backend, None if like is None else like.execution)
        self.reset()

    def _allocate(self, nx: int) -> None:
        """
        Make the tensors that executions read and refine, filled anew for every plan.

        They stay where they are, so an execution looks for them once.
        """

        def zeros(*shape: int) -> torch.Tensor:
            return torch.zeros(shape, device=self.device)

        nu, horizon, spline = self._nu, self.search.horizon, self._spline
        self._inputs = inputs = Staged(
            self.device, state=(nx,), previous_action=(nu,), applied=(nu,), durations=(horizon,)
        )
        self._problem = Problem(
            state=inputs.state,
            previous_action=inputs.previous_action,
            durations=inputs.durations,
            first=zeros(horizon).long(),
            basis=zeros(horizon, spline.order + 1),
            limits=Limits(*(zeros(nu) for _ in Limits._fields)),
            actuators=Actuators(lag=zeros(nu), applied=inputs.applied),
            numbers=Numbers(*(zeros() for _ in Numbers._fields)),
        )
        self._phase: int | None = None
        shape = (spline.knots, nu, self.search.modes)
        self._belief = Belief(
            mean=zeros(*shape),
            std=zeros(*shape),
            injected=zeros(*shape, self.search.injected),
            best_cost=zeros(self.search.modes),
        )
        if self._belief.mean.is_cuda:
            most = self.search.population(0) + 1 + spline.knots * nu
            self._fetched = pinned(torch.zeros(self.search.modes * most))

    def tune(
        self,
        *,
        low: Sequence[float],
        high: Sequence[float],
        rate: Sequence[float],
        lag: Sequence[float],
        temperature: float,
        momentum: float,
        std_initial: float,
        std_min: float,
        std_carry: float,
    ) -> None:
        """
        Change settings between two plans; the arguments are those of the constructor.

        Raises ConfigurationError if a value is not allowed, and then changes nothing.
        """
        numbers = {"temperature": temperature, "momentum": momentum, "std_initial": std_initial}
        numbers |= {"std_min": std_min, "std_carry": std_carry}
        low_, high_, rate_, lag_ = action_limits(
            self.dynamics, low=low, high=high, rate=rate, lag=lag
        )
        self.search = replace(self.search, **numbers)
        # A spline of order 0 changes within one model step, other splines from knot to knot.
        step = self.search.dt * (self._spline.spacing if self._spline.order else 1)
        half_range = 0.5 * (high_ - low_)
        values = Limits(
            low=low_,
            high=high_,
            step=rate_ * step,
            first=rate_ * self._period,
            std_initial=std_initial * half_range,
            std_min=std_min * half_range,
        )
        for tensor, value in zip(self._problem.limits, values, strict=True):
            tensor.copy_(torch.as_tensor(value))
        # If bounds are narrowed, the earlier belief must not lie outside.
        for kept in (self._belief.mean, self._belief.injected):
            kept.copy_(within(kept, self._problem.limits))
        self._problem.actuators.lag.copy_(torch.from_numpy(lag_))
        self._has_lag = bool(lag_.any())
        # Momentum keeps a share of the last mean, which may violate the rate limit.
        self._keeps_far_mean = bool(self.search.momentum) and bool(np.isfinite(rate_).any())
        self._problem.numbers.temperature.fill_(temperature)
        self._problem.numbers.momentum.fill_(momentum)
        self._middle = 0.5 * (low_ + high_)

    def reset(self) -> None:
        """Forget the last plan, and restart the noise."""
        self._grid: TimeGrid | None = None
        self._cell = 0
        self._plans = 0
        self._has_elites = False
        mean, std, injected, best_cost = self._belief
        middle = torch.as_tensor(self._middle, device=self.device)
        mean.copy_(middle[:, None])
        std.copy_(self._problem.limits.std_initial[:, None])
        injected.copy_(middle[:, None, None])
        best_cost.fill_(torch.inf)
        for mode in range(1, self.search.modes):
            self._reseed(mode)

    @torch.no_grad()
    def adopt(self, plan: Plan) -> None:
        """Start again around a plan, such as the plan of a planner with another grid."""
        self.reset()
        self._grid = TimeGrid(float(plan.edges[0]), self.search.dt)
        spacing, order = self._spline.spacing, self._spline.order
        # A knot acts around the middle of its basis function, on a grid that begins with the plan.
        middles = (np.arange(self._spline.knots) + 0.5 * (1 - order)) * spacing * self.search.dt
        actions = np.array([plan.action_at(plan.edges[0] + middle) for middle in middles])
        actions = torch.as_tensor(actions, dtype=torch.float32, device=self.device)
        limits = self._problem.limits
        actions = actions.clamp(limits.low, limits.high)
        self._belief.mean[..., 0] = actions
        self._belief.injected[:, :, 0] = actions[..., None]
        self._has_elites = True

    def spread(self) -> tuple[float, float]:
        """
        Return the width of the search: the mean std, and the std of the kept elites.

        Both are shares of half the range of the actions. If they are close to std_min, the search
        has collapsed.
        """
        limits = self._problem.limits
        half_range = 0.5 * (limits.high - limits.low)[:, None]
        kept = self._belief.injected[..., : max(1, self.search.kept)]
        elites = kept.std(-1, correction=0)
        return float((self._belief.std / half_range).mean()), float((elites / half_range).mean())

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
            previous_action: (nu,), in force until now; the middle of the bounds if None.
            applied: (nu,), what actuators with a lag apply now; previous_action if None.
            surroundings: goal, path and costmap, for costs that use them.
            stamp: the same moment as `time`, s, on the clock of the stamps of states and paths, for
                `Cost.prepare`; `time` if None.
            until: s on `time.monotonic`; after it, no iteration begins except the first.
            iterations: largest number of iterations; None for that of the settings.

        Raises ValueError, and keeps the last plan, if a vector has a wrong shape or a number that
        is not finite in float32, or if a time is not a number.
        """
        names, actions = self.dynamics.state_names, self.dynamics.action_names
        state = vector("state", state, names)
        previous_action = self._middle if previous_action is None else previous_action
        previous_action = vector("previous_action", previous_action, actions)
        applied = previous_action if applied is None else vector("applied", applied, actions)
        if not math.isfinite(time):
            raise ValueError(f"time is {time}, expected a finite time in s")
        if math.isnan(until):
            raise ValueError("until is nan, expected a time in s; inf for no limit")
        edges, cell = self._shift(time)
        self._origin = self._origin_of(state)
        self._load(state - self._origin, previous_action, applied, edges, cell)
        for cost in self.costs:
            cost.move(self._origin)
            cost.prepare(state, time if stamp is None else stamp, surroundings)
        self.dynamics.remember(state, applied, time)
        if self._policy is not None:
            self._propose(self._policy(state, edges))
        if self._keeps_far_mean:
            mean, problem = self._belief.mean, self._problem
            near = limit_rate(mean.unsqueeze(-1), problem.previous_action, problem.limits)
            mean.copy_(near.squeeze(-1))
        at_most = self.search.iterations
        at_most = at_most if iterations is None else max(1, min(iterations, at_most))
        self._fall_back()
        cost, done = self.execution.run(self._uses(), self._plans, range(at_most), until)
        plan = self._read(edges, cost, done)
        self._last = plan, np.array(state), np.array(applied), cost
        self._plans += 1
        self._has_elites = True
        self._reseed_dead()
        if self._recording is not None:
            self._recording.add(
                state=state,
                time=time,
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

    def _fall_back(self) -> None:
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
            "seed": self._seed,
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
        order = np.argsort(costs)  # NaN comes last.
        if count is not None:
            elites, others = np.split(order, [self.search.elites])
            chosen = [
                part[np.linspace(0, len(part) - 1, min(share, len(part))).astype(int)]
                for part, share in ((elites, count - count // 2), (others, count // 2))
            ]
            order = np.concatenate(chosen)
        knots = self.execution.candidates[..., torch.as_tensor(order, device=self.device)]
        actions = self._actions(knots.cpu().numpy())
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
        if applied is not None and self._has_lag:
            start, commands, steps = (
                torch.as_tensor(values, dtype=torch.float32)
                for values in (applied, actions, durations)
            )
            actuators = Actuators(self._problem.actuators.lag.cpu(), start)
            commands = commands.reshape(*commands.shape[:2], -1)
            actions = actuators.follow(commands, steps).reshape(actions.shape).numpy()
        state = np.asarray(state, np.float64)
        origin = self.dynamics.origin(state)
        states = self.execution.trajectory(state - origin, actions, durations)
        return states + origin.reshape(-1, *(1,) * (states.ndim - 2))

    @torch.no_grad()
    def breakdown(self, plan: Plan, state: np.ndarray) -> list[float]:
        """Return what each cost contributes to a plan from `state` (nx,)."""
        start, actions, durations = (
            torch.tensor(values, dtype=torch.float32, device=self.device)
            for values in (state - self._origin, plan.actions, np.diff(plan.edges))
        )
        actuators = self._problem.actuators._replace(applied=actions[0])
        return self.rollout.breakdown(start, actions, actions[0], durations, actuators).tolist()

    @torch.no_grad()
    def cost_terms(self, plan: Plan, states: np.ndarray) -> list[float]:
        """
        Return what each cost contributes to a plan, given its states (H + 1, nx) of `predict`.

        Unlike `breakdown` it simulates nothing, uses only the mean of a model's members, and leaves
        out the return of a model. It is fast enough for a control loop.
        """
        after, actions, durations = (
            torch.tensor(values, dtype=torch.float32, device=self.device)
            for values in ((states[1:] - self._origin).T, plan.actions.T, np.diff(plan.edges))
        )
        return self.rollout.terms(after, actions, durations).tolist()

    def _origin_of(self, state: np.ndarray) -> np.ndarray:
        """Return what a plan from `state` subtracts (nx,), zero if a cost needs states as are."""
        if any(cost.places is None for cost in self.costs):
            return np.zeros_like(state)
        return self.dynamics.origin(state)

    def _shift(self, time: float) -> tuple[np.ndarray, int]:
        """Shift the belief to `time`; return the edges (H + 1,) of the steps and the first cell."""
        if self._grid is None or self._grid.cell(time) < self._cell:
            plans = self._plans
            self.reset()
            self._plans = plans
            self._grid = TimeGrid(time, self.search.dt)
        cell = self._grid.cell(time)
        spacing, knots = self._spline.spacing, self._spline.knots
        mean, std, injected, best_cost = self._belief
        shift = min(cell // spacing - self._cell // spacing, knots)
        carry = self.search.std_carry
        initial = self._problem.limits.std_initial[:, None]
        if shift:
            if shift not in self._moved:
                # New knots at the end of the horizon repeat the last knot.
                knot = torch.arange(knots, device=self.device) + shift
                self._moved[shift] = knot.clamp_(max=knots - 1)
            for rows in (mean, injected, std) if carry else (mean, injected):
                rows.copy_(rows.index_select(0, self._moved[shift]))
        if carry:
            std[knots - shift :] = initial
            std.lerp_(initial.expand_as(std), 1.0 - carry)
        else:
            std.copy_(initial)
        # The best cost of the last plan was for another state.
        best_cost.fill_(torch.inf)
        self._cell = cell
        return self._grid.edges(time, self.search.horizon), cell

    def _reseed(self, mode: int) -> None:
        """Restart a mode around a constant action that is drawn at random."""
        random = np.random.default_rng([self._seed, self._plans, mode])
        limits = self._problem.limits
        share = torch.as_tensor(random.random(self._nu, np.float32), device=self.device)
        action = limits.low + (limits.high - limits.low) * share
        self._belief.mean[..., mode] = action
        self._belief.std[..., mode] = limits.std_initial
        self._belief.injected[:, :, mode] = action[:, None]

    def _reseed_dead(self) -> None:
        """Reseed each mode that found no valid candidate, or the same mean as a better mode."""
        if self.search.modes == 1:
            return
        mean, _, _, best_cost = self._belief
        scale = self._problem.limits.std_initial[:, None]
        order = torch.argsort(best_cost).tolist()
        for rank, mode in enumerate(order[1:], 1):
            apart = [
                torch.sqrt(torch.mean(((mean[..., mode] - mean[..., other]) / scale[:, 0]) ** 2))
                for other in order[:rank]
            ]
            if not torch.isfinite(best_cost[mode]) or min(apart) < SAME_MODE:
                self._reseed(mode)

    def _load(
        self,
        state: np.ndarray,
        previous_action: np.ndarray,
        applied: np.ndarray,
        edges: np.ndarray,
        cell: int,
    ) -> None:
        """Write the inputs of a plan to the tensors that the executor reads."""
        host = self._inputs.host
        host["state"][:], host["durations"][:] = state, np.diff(edges)
        host["previous_action"][:], host["applied"][:] = previous_action, applied
        self._inputs.send()
        phase = cell % self._spline.spacing
        if phase != self._phase:
            self._basis = first, basis = self._spline.basis(cell)
            self._problem.first.copy_(torch.from_numpy(first))
            self._problem.basis.copy_(torch.from_numpy(basis))
            self._phase = phase

    def _propose(self, sequences: np.ndarray) -> None:
        """Make action sequences (E, H, nu) candidates; numbers not finite become the middle."""
        expected = (self.search.proposals, self.search.horizon, self._nu)
        if np.shape(sequences) != expected:
            raise ValueError(
                f"the policy returned shape {np.shape(sequences)}, expected {expected}"
            )
        sequences = np.where(np.isfinite(sequences), sequences, self._middle)
        first, basis = self._spline.basis(self._cell)
        weights = np.zeros((self.search.horizon, self._spline.knots))
        for k in range(basis.shape[1]):
            weights[np.arange(len(first)), first + k] += basis[:, k]
        # The knots whose spline is closest; exact if every step has its own knot.
        knots = np.einsum("ph,ehu->pue", np.linalg.pinv(weights), sequences)
        proposals = self._belief.injected[..., self.search.kept + 2 :]
        proposals.copy_(torch.as_tensor(knots[:, :, None]))

    def _uses(self) -> torch.Tensor:
        """Return whether each injected slot is a candidate in each iteration (I, J)."""
        search = self.search
        if self._has_elites not in self._uses_of:
            uses = torch.zeros(search.iterations, search.injected, dtype=torch.bool)
            kept = search.kept
            uses[:, :kept] = True
            uses[-1 if search.inject_mean == "last" else 0 :, kept] = search.inject_mean != "never"
            uses[:, kept + 1] = search.inject_best
            if not self._has_elites:
                uses[0] = False
            uses[0, kept + 2 :] = self._policy is not None
            self._uses_of[self._has_elites] = uses.to(self.device)
        return self._uses_of[self._has_elites]

    def _read(self, edges: np.ndarray, cost: torch.Tensor, done: int) -> Plan:
        """Return the plan: the mean, or the best candidate, of the best mode."""
        mean, _, injected, best_cost = self._belief
        chosen = injected[..., self.search.kept + 1] if self.search.execute == "best" else mean
        knots, best_cost, cost = self._on_host(chosen, best_cost, cost)
        mode = int(best_cost.argmin())
        return Plan(
            edges=edges,
            actions=self._actions(knots[..., mode]),
            cost=float(best_cost[mode]),
            iterations=done,
            invalid_share=1.0 - np.count_nonzero(np.isfinite(cost)) / cost.size,
            action_names=tuple(self.dynamics.action_names),
        )

    def _actions(self, knots: np.ndarray) -> np.ndarray:
        """Return the actions (H, nu, ...) of knots (P, nu, ...)."""
        first, basis = self._basis
        # For a spline of order 0 the sum has one term with weight one.
        weights = basis.T.reshape(basis.shape[1], -1, *(1,) * (knots.ndim - 1))
        return sum(w * knots[first + k] for k, w in enumerate(weights)).astype(np.float64)

    def _on_host(self, *tensors: torch.Tensor) -> list[np.ndarray]:
        """Return the tensors as arrays on the host, valid until the next call."""
        if self.device.type == "cpu":
            return [tensor.numpy() for tensor in tensors]
        sizes = [tensor.numel() for tensor in tensors]
        parts = self._fetched[: sum(sizes)].split(sizes)
        here = [part.view(tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]
        for place, tensor in zip(here, tensors, strict=True):
            place.copy_(tensor, non_blocking=True)
        # One wait for all copies.
        torch.cuda.current_stream(self.device).synchronize()
        return [place.numpy() for place in here]
