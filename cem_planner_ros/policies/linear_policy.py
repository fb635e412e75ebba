# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A linear policy, whose weights `search-policy` finds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.policies import gait
from cem_planner_ros.policies.gait import Gait


@dataclass(frozen=True)
class LinearPolicy:
    """
    scores = weights[:n]^T state + weights[n]; the action is the scores, or the best score's level.

    Attributes:
        states: names (n) of the inputs of the policy, in its order.
        actions: names (nu) of its actions.
        mean, std: (n + 1, m), distribution of the weights; the last row is for the constant.
        levels: (m, nu), the actions among which the largest score chooses; None if the scores are
            the actions (m = nu).
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


def load(file: Path) -> LinearPolicy | Gait:
    """
    Return the linear policy or the gait of a YAML file.

    Raises ConfigurationError, naming the file, without one.
    """
    try:
        content = yaml.safe_load(file.read_text())
        if isinstance(content, dict) and "gait" in content:
            return gait.from_content(content)
        levels = content.get("levels")
        return LinearPolicy(
            states=tuple(content["states"]),
            actions=tuple(content["actions"]),
            mean=np.array(content["mean"], float),
            std=np.array(content["std"], float),
            levels=None if levels is None else np.array(levels, float),
        )
    except ConfigurationError as error:
        raise ConfigurationError(f"policy file '{file}': {error}") from error
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConfigurationError(
            f"policy file '{file}': {error if str(error) else type(error).__name__}; expected YAML "
            "with states, actions, mean and std, as `search-policy` writes it"
        ) from error


class MatchedPolicy:
    """
    A policy for one model: its states and actions are matched to the model's by name.

    Args:
        policy: the policy; its mean weights are used.
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
        # In training, an episode ended when the pole fell, so no angle had more than one turn.
        wrapped = np.remainder(seen + np.pi, 2.0 * np.pi) - np.pi
        action = self.policy.act(np.where(self.is_angle, wrapped, seen))[self.order]
        return np.clip(action, self.low, self.high)
