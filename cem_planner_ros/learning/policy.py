"""A linear policy: what to do in a state, found by a search over its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError


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
        if self.levels is not None and self.levels.shape != (scores, len(self.actions)):
            raise ConfigurationError(
                f"levels of a policy has shape {self.levels.shape}, expected "
                f"{(scores, len(self.actions))}: a row for each score, a column for each action"
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


class Proposals:
    """
    Action sequences that a policy would go through, as candidates of `Planner(policy=...)`.

    The model is rolled out under the policy: the first sequence has its mean weights, the others
    have weights of its distribution, drawn once.

    Args:
        policy: its states and actions are found in the model by name.
        dynamics: the model.
        low, high: (nu,), bounds of the actions.
        count: E, how many sequences.
        device: where the model lives.
        seed: of the weights.

    Raises ConfigurationError if the model lacks a state or an action of the policy.
    """

    def __init__(
        self,
        policy: LinearPolicy,
        dynamics: Dynamics,
        low: Sequence[float],
        high: Sequence[float],
        count: int,
        device: torch.device | str = "cpu",
        seed: int = 0,
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
        rows = [dynamics.state_names.index(name) for name in policy.states]
        self._angles = torch.tensor(
            [[name in dynamics.angle_names] for name in policy.states], device=device
        )
        noise = np.random.default_rng(seed).standard_normal((count, *policy.mean.shape))
        noise[0] = 0.0
        weights = policy.mean + policy.std * noise
        self._rows = torch.tensor(rows, device=device)
        self._weights = torch.tensor(weights, dtype=torch.float32, device=device)
        order = [policy.actions.index(name) for name in dynamics.action_names]
        self._order = torch.tensor(order, device=device)
        self._levels = None
        if policy.levels is not None:
            self._levels = torch.tensor(policy.levels, dtype=torch.float32, device=device)
        self._low, self._high = (
            torch.tensor(np.asarray(bound, np.float32)[:, None], device=device)
            for bound in (low, high)
        )
        self._dynamics = dynamics

    @torch.no_grad()
    def __call__(self, state: np.ndarray, edges: np.ndarray) -> np.ndarray:
        """Return sequences (E, H, nu) from `state` (nx,) over steps between `edges` (H + 1,), s."""
        count, device = len(self._weights), self._weights.device
        now = torch.as_tensor(state, dtype=torch.float32, device=device)[:, None].repeat(1, count)
        actions = []
        for duration in torch.as_tensor(np.diff(edges), dtype=torch.float32, device=device):
            actions.append(self._act(now))
            now = self._dynamics.step(now, actions[-1], duration)
        return torch.stack(actions).permute(2, 0, 1).cpu().numpy()

    def _act(self, state: torch.Tensor) -> torch.Tensor:
        """Return the actions (nu, E), each column under its own weights, of states (nx, E)."""
        seen = state[self._rows]
        # As a simulation that ends an episode of a fallen pole never saw a second turn.
        wrapped = torch.remainder(seen + torch.pi, 2.0 * torch.pi) - torch.pi
        seen = torch.where(self._angles, wrapped, seen)
        scores = (self._weights[:, :-1] * seen.T[..., None]).sum(1) + self._weights[:, -1]
        if self._levels is not None:
            scores = self._levels[scores.argmax(-1)]
        return torch.clamp(scores.T[self._order], self._low, self._high)
