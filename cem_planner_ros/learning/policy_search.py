# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Search for the weights of a linear policy in a Gymnasium environment, with the CEM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.planning import cross_entropy
from cem_planner_ros.policies.linear_policy import LinearPolicy

KNOWN = {
    "CartPole": (("x", "x_dot", "theta", "theta_dot"), ("force",), ((-10.0,), (10.0,))),
}
"""States, actions and levels of known environments, so that a model can use their policies."""

TRIALS = 20
"""Number of new episodes in which the final policy is tried."""


@dataclass(frozen=True)
class PolicySearchSettings:
    """
    Settings of the search.

    Attributes:
        candidates: N, policies per iteration.
        elite_share: K / N.
        iterations: number of iterations.
        episodes: number of episodes of each candidate; their mean return is used.
        max_steps: length at which an episode is cut; None for the limit of the environment.
        std_min: floor of the std of the weights.
        seed: seed of weights and episodes.
    """

    candidates: int = 40
    elite_share: float = 0.2
    iterations: int = 20
    episodes: int = 2
    max_steps: int | None = None
    std_min: float = 0.05
    seed: int = 0


SEED_NOTE = PolicySearchSettings(
    candidates=10, elite_share=0.4, episodes=1, max_steps=200, std_min=0.0
)
"""The settings of the usual notebook on CartPole-v0, whose episodes end after 200 steps."""


@dataclass(frozen=True)
class PolicySearchResult:
    """The policy, the returns (iterations, N) of the search, and those of new episodes (TRIALS)."""

    policy: LinearPolicy
    returns: np.ndarray
    trials: np.ndarray


def search(
    name: str,
    settings: PolicySearchSettings,
    report: Callable[[int, np.ndarray], None] = lambda iteration, returns: None,
    states: Sequence[str] = (),
    actions: Sequence[str] = (),
) -> PolicySearchResult:
    """
    Maximise the return of a linear policy, starting with weights of mean 0 and std 1.

    Args:
        name: name of a Gymnasium environment whose observations are vectors.
        settings: settings of the search.
        report: called with each iteration and its returns (N,).
        states, actions: names of the observations and actions, as in a model.

    Raises ConfigurationError without Gymnasium, if the environment cannot be used, or if names are
    too few or too many.
    """
    environment = make(name, settings.max_steps)
    policy = _untrained(name, environment)
    for what, names in (("states", states), ("actions", actions)):
        if names and len(names) != len(getattr(policy, what)):
            raise ConfigurationError(
                f"--{what} has {len(names)} names, expected {len(getattr(policy, what))}, as many "
                f"as {name} has"
            )
    policy = replace(
        policy, states=tuple(states) or policy.states, actions=tuple(actions) or policy.actions
    )
    returns: list[np.ndarray] = []
    environment.reset(seed=settings.seed)

    def objective(weights: torch.Tensor) -> torch.Tensor:
        one = weights.permute(-1, 0, 1).numpy()
        means = [
            np.mean([_episode(environment, policy, w) for _ in range(settings.episodes)])
            for w in one
        ]
        if not np.isfinite(means).any():
            raise ConfigurationError(
                f"--env {name}: the return of every episode of an iteration is NaN or infinite"
            )
        return -torch.tensor(means)

    def note(iteration: int, cost: torch.Tensor) -> None:
        returns.append(-cost.numpy())
        report(iteration, returns[-1])

    shape = policy.mean.shape
    minimum = cross_entropy.minimize(
        objective,
        torch.zeros(shape, dtype=torch.float64),
        torch.ones(shape, dtype=torch.float64),
        samples=settings.candidates,
        elites=max(1, round(settings.elite_share * settings.candidates)),
        iterations=settings.iterations,
        std_min=settings.std_min,
        generator=torch.Generator().manual_seed(settings.seed),
        report=note,
    )
    mean, std = minimum.mean.numpy(), minimum.std.numpy()
    trials = [_episode(environment, policy, mean) for _ in range(TRIALS)]
    environment.close()
    return PolicySearchResult(
        replace(policy, mean=mean, std=std), np.array(returns), np.array(trials)
    )


def make(name: str, max_steps: int | None) -> Any:
    """Return a Gymnasium environment. Raises ConfigurationError if it cannot be made."""
    try:
        import gymnasium
    except ImportError as error:
        raise ConfigurationError(
            f"search-policy needs gymnasium (pip install gymnasium): {error}"
        ) from error
    try:
        return gymnasium.make(name, max_episode_steps=max_steps)
    except Exception as error:  # Errors of Gymnasium, and any error of a broken environment.
        raise ConfigurationError(f"--env {name}: {str(error).splitlines()[0]}") from error


def _untrained(name: str, environment: Any) -> LinearPolicy:
    """Return a policy with zero weights for the spaces of an environment."""
    from gymnasium.spaces import Box, Discrete

    seen, done = environment.observation_space, environment.action_space
    if seen.shape is None or len(seen.shape) != 1:
        raise ConfigurationError(
            f"--env {name}: observations are {seen}, allowed: vectors (Box of one dimension)"
        )
    known = KNOWN.get(name.partition("-")[0])
    states = known[0] if known else tuple(f"observation{i}" for i in range(seen.shape[0]))
    if isinstance(done, Discrete):
        actions = known[1] if known else ("choice",)
        levels = known[2] if known else [(float(done.start + i),) for i in range(int(done.n))]
        zeros = np.zeros((len(states) + 1, int(done.n)))
        return LinearPolicy(states, actions, zeros, zeros, np.array(levels))
    if not isinstance(done, Box) or len(done.shape) != 1:
        raise ConfigurationError(
            f"--env {name}: actions are {done}, allowed: choices (Discrete) or vectors (Box of one "
            "dimension)"
        )
    zeros = np.zeros((len(states) + 1, done.shape[0]))
    return LinearPolicy(states, tuple(f"action{i}" for i in range(done.shape[0])), zeros, zeros)


def _episode(environment: Any, policy: LinearPolicy, weights: np.ndarray) -> float:
    """Return the sum of rewards of an episode under weights (n + 1, m)."""
    observation, _ = environment.reset()
    total, over = 0.0, False
    space = environment.action_space
    while not over:
        scores = observation @ weights[:-1] + weights[-1]
        if policy.levels is not None:
            action = int(space.start + np.argmax(scores))
        else:
            action = np.clip(scores, space.low, space.high).astype(space.dtype)
        observation, reward, terminated, truncated, _ = environment.step(action)
        total += float(reward)
        over = terminated or truncated
    return total
