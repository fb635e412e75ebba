"""A linear policy: what to do in a state, found by a search over its weights."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

from cem_planner_ros.compile.cpu import Kernel, Trajectory
from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning.rollout import Rollout


@dataclass(frozen=True)
class LinearPolicy:
    """
    scores = weights[:n]^T state + weights[n]; what is done is the scores, or the best one's level.

    Attributes:
        states: names (n) of what the policy sees, in its order.
        actions: names (nu) of what it does.
        mean, std: (n + 1, m), the distribution of the weights, the last row for the constant.
        levels: (m, nu), the actions among which the largest score chooses; none if the scores are
            the actions, m = nu.
    """

    states: tuple[str, ...]
    actions: tuple[str, ...]
    mean: np.ndarray
    std: np.ndarray
    levels: np.ndarray | None = None

    def __post_init__(self):
        scores = len(self.actions) if self.levels is None else len(self.levels)
        shape = (len(self.states) + 1, scores)
        for name in ("mean", "std"):
            value = np.asarray(getattr(self, name))
            if value.shape != shape or not np.isfinite(value).all():
                raise ConfigurationError(
                    f"{name} of a policy has shape {value.shape}, expected finite numbers of "
                    f"shape {shape}: a row for each of {', '.join(self.states)} and one for the "
                    "constant"
                )
        if (np.asarray(self.std) < 0.0).any():
            raise ConfigurationError("std of a policy has numbers below 0, allowed: at least 0")
        for what in ("states", "actions"):
            names = getattr(self, what)
            doubled = [name for name in names if names.count(name) > 1]
            if doubled:
                raise ConfigurationError(
                    f"{what} of a policy has {doubled[0]!r} twice, expected different names"
                )
        if self.levels is not None and not (
            self.levels.shape == (scores, len(self.actions)) and np.isfinite(self.levels).all()
        ):
            raise ConfigurationError(
                f"levels of a policy has shape {self.levels.shape}, expected finite numbers of "
                f"shape {(scores, len(self.actions))}: a row for each score, a column for each "
                "action"
            )

    def act(self, state: np.ndarray) -> np.ndarray:
        """Return the action (nu,) of the mean weights in a state (n,)."""
        scores = np.asarray(state) @ self.mean[:-1] + self.mean[-1]
        return scores if self.levels is None else self.levels[int(np.argmax(scores))]

    def save(self, file: Path) -> None:
        """Write the policy as YAML."""
        content = {
            "states": list(self.states),
            "actions": list(self.actions),
            "mean": np.asarray(self.mean).tolist(),
            "std": np.asarray(self.std).tolist(),
        }
        if self.levels is not None:
            content["levels"] = self.levels.tolist()
        file.write_text(yaml.safe_dump(content, sort_keys=False, default_flow_style=None))


def load(file: Path) -> LinearPolicy:
    """Return the policy of a YAML file; raise ConfigurationError, naming it, if it holds none."""
    try:
        content = yaml.safe_load(file.read_text())
        levels = content.get("levels")
        return LinearPolicy(
            states=tuple(content["states"]),
            actions=tuple(content["actions"]),
            mean=np.array(content["mean"], float),
            std=np.array(content["std"], float),
            levels=None if levels is None else np.array(levels, float),
        )
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"policy file '{file}': {error if str(error) else type(error).__name__}; expected YAML "
            "with states, actions, mean and std, as `search-policy` writes it"
        ) from error


class Driver:
    """
    A policy at the wheel of a model: its states and actions are found there by name.

    Args:
        policy: whose mean weights act.
        dynamics: the model.
        low, high: (nu,), bounds of the actions.

    Raises ConfigurationError if the model lacks a state or an action of the policy.
    """

    def __init__(
        self,
        policy: LinearPolicy,
        dynamics: Dynamics,
        low: Sequence[float],
        high: Sequence[float],
    ):
        for what, names, known in (
            ("states", policy.states, dynamics.state_names),
            ("actions", policy.actions, dynamics.action_names),
        ):
            missing = set(names) - set(known) if what == "states" else set(names) ^ set(known)
            if missing:
                raise ConfigurationError(
                    f"the policy's {what} are {', '.join(names)}, those of the model are "
                    f"{', '.join(known)}"
                )
        self.policy = policy
        self.low, self.high = np.asarray(low, float), np.asarray(high, float)
        self.rows = [dynamics.state_names.index(name) for name in policy.states]
        self.is_angle = np.array([name in dynamics.angle_names for name in policy.states])
        self.order = [policy.actions.index(name) for name in dynamics.action_names]

    def __call__(self, state: np.ndarray) -> np.ndarray:
        """Return the action (nu,) in a state (nx,), angles wrapped to [-pi, pi)."""
        seen = np.asarray(state)[self.rows]
        # As a simulation that ends an episode of a fallen pole never saw a second turn.
        wrapped = np.remainder(seen + np.pi, 2.0 * np.pi) - np.pi
        action = self.policy.act(np.where(self.is_angle, wrapped, seen))[self.order]
        return np.clip(action, self.low, self.high)


class Driven(Dynamics):
    """
    A model under a policy, whatever the actions; its further states are what the policy does.

    Args:
        model: the model.
        driver: the policy, matched to it.
        device: where the model lives.
    """

    def __init__(self, model: Dynamics, driver: Driver, device: torch.device | str = "cpu"):
        for name in ("action_names", "action_low", "action_high", "action_units", "angle_names"):
            setattr(self, name, getattr(model, name))
        self.state_names = (*model.state_names, *(f"{name} done" for name in model.action_names))
        self.model = model
        super().__init__({}, device=device)

        def tensor(values: np.ndarray) -> torch.Tensor:
            return torch.tensor(np.asarray(values), dtype=torch.float32, device=device)

        self.weights = tensor(driver.policy.mean)[..., None]
        """(n + 1, m, 1) for all samples, or (n + 1, m, N); as LinearPolicy.mean."""
        self._rows, self._order = driver.rows, driver.order
        self._is_angle = torch.tensor(driver.is_angle[:, None], device=device)
        self._low, self._high = tensor(driver.low[:, None]), tensor(driver.high[:, None])
        levels = driver.policy.levels
        self._levels = None if levels is None else tensor(levels)[..., None]

    @property
    def number_tensors(self) -> tuple[torch.Tensor, ...]:
        """The storage of the model's numbers."""
        return self.model.number_tensors

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Return the states of the model after `dt`, s, and below them what was done."""
        count = len(self.model.state_names)
        seen = torch.stack([state[row] for row in self._rows])
        wrapped = torch.remainder(seen + torch.pi, 2.0 * torch.pi) - torch.pi
        seen = torch.where(self._is_angle, wrapped, seen)
        scores = (self.weights[:-1] * seen[:, None]).sum(0) + self.weights[-1]
        if self._levels is not None:
            best, chosen = scores[0], self._levels[0].expand(-1, state.shape[-1])
            for score, level in zip(scores[1:], self._levels[1:], strict=True):
                chosen = torch.where(score > best, level, chosen)
                best = torch.maximum(best, score)
            scores = chosen
        done = torch.stack([scores[row] for row in self._order])
        done = torch.maximum(torch.minimum(done, self._high), self._low)
        members = self.model.members
        if members == 1:
            moved = self.model.step(state[:count], done, dt)
        else:  # What they make of it, on average.
            columns = (state[:count].repeat(1, members), done.repeat(1, members))
            moved = self.model.step(*columns, dt).view(count, members, -1).mean(1)
        return torch.cat((moved, done))


class Proposals:
    """
    Action sequences that a policy would go through, as candidates of `Planner(policy=...)`.

    The model is rolled out under the policy: the first sequence has its mean weights, the others
    have weights of its distribution, drawn once. On the CPU this runs compiled where it can.

    Args:
        driver: the policy, matched to the model.
        dynamics: the model.
        count: E, how many sequences.
        device: where the model lives.
        seed: of the weights.
    """

    def __init__(
        self,
        driver: Driver,
        dynamics: Dynamics,
        count: int,
        device: torch.device | str = "cpu",
        seed: int = 0,
    ):
        policy = driver.policy
        noise = np.random.default_rng(seed).standard_normal((count, *policy.mean.shape))
        noise[0] = 0.0
        weights = torch.tensor(policy.mean + policy.std * noise, dtype=torch.float32, device=device)
        self._weights = weights.unsqueeze(-1)
        self._driven = Driven(dynamics, driver, device)
        self._device = torch.device(device)
        self._compiled: dict[int, Trajectory] = {}
        self._kernel: Kernel | None = None
        # A physics engine takes steps of its own kind, and members run side by side.
        in_pytorch = not dynamics.rolls_out_itself and dynamics.members == 1
        if in_pytorch and self._device.type == "cpu":
            with contextlib.suppress(Exception):  # Tracing runs the model.
                self._kernel = Kernel(Rollout(self._driven, [], 1.0))

    def __call__(self, state: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Return sequences (E, H, nu) from `state` (nx,) over steps between `edges` (H + 1,), s."""
        durations = np.diff(edges)
        nu, horizon = len(self._driven.action_names), len(durations)
        start, idle = np.concatenate((state, np.zeros(nu))), np.zeros((horizon, nu))
        if self._kernel is None:
            return self._in_pytorch(start, durations)
        if horizon not in self._compiled:
            self._compiled[horizon] = Trajectory(self._kernel, horizon)
        sequences = []
        for weights in self._weights:
            self._driven.weights.copy_(weights)
            sequences.append(self._compiled[horizon](start, idle, durations)[1:, -nu:])
        return np.array(sequences)

    @torch.no_grad()
    def _in_pytorch(self, start: np.ndarray, durations: np.ndarray) -> np.ndarray:
        nu, count = len(self._driven.action_names), len(self._weights)
        now, steps = (
            torch.as_tensor(values, dtype=torch.float32, device=self._device)
            for values in (np.repeat(start[:, None], count, 1), durations)
        )
        self._driven.weights = self._weights.squeeze(-1).permute(1, 2, 0)
        actions = []
        for duration in steps:
            now = self._driven.step(now, now[-nu:], duration)
            actions.append(now[-nu:])
        return torch.stack(actions).permute(2, 0, 1).cpu().numpy()
