# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The published iCEM in NumPy, to compare with (Pinneri et al., 2020, arXiv 2008.06389)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Score = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(state (nx,), action sequences (N, H, nu)) -> their costs (N,)"""


@dataclass(frozen=True)
class PublishedSettings:
    """
    The published settings; `beta` differs from task to task.

    Attributes:
        rollouts: of a control step, over all iterations.
        iterations: number of iterations.
        horizon: steps of a plan.
        elites: K.
        std: of the first iteration, as a share of half the range.
        beta: exponent of the noise's power spectrum.
        decay: factor by which the number of samples falls from one iteration to the next.
        keep: share of the elites that are samples again.
        momentum: weight of the old distribution in each refit.
    """

    rollouts: int = 100
    iterations: int = 3
    horizon: int = 30
    elites: int = 10
    std: float = 0.5
    beta: float = 0.25
    decay: float = 1.25
    keep: float = 0.3
    momentum: float = 0.1

    def populations(self) -> list[int]:
        """Return how many samples each iteration has, at least two for each elite."""
        weights = self.decay ** -np.arange(self.iterations)
        each = np.maximum(self.rollouts * weights / weights.sum(), 2 * self.elites).astype(int)
        each[0] += max(0, self.rollouts - each.sum())  # What was lost by rounding.
        return each.tolist()


class ICEM:
    """
    Algorithm 1 of the paper; kept elites and the mean count as samples.

    Args:
        score: costs of action sequences.
        low, high: (nu,), bounds of the actions.
        settings: see `PublishedSettings`.
        seed: of the noise.
    """

    def __init__(
        self,
        score: Score,
        low: np.ndarray,
        high: np.ndarray,
        settings: PublishedSettings,
        seed: int,
    ):
        self._score = score
        self._low, self._high = low, high
        self._settings = settings
        self._random = np.random.default_rng(seed)
        self._mean = np.tile(0.5 * (low + high), (settings.horizon, 1))
        self._elites = np.zeros((0, settings.horizon, len(low)))

    def act(self, state: np.ndarray) -> np.ndarray:
        """Return the action (nu,) for a state (nx,), and move on by a step."""
        settings = self._settings
        mean, std = self._mean, np.full_like(self._mean, settings.std)
        std = std * 0.5 * (self._high - self._low)
        kept = round(settings.keep * settings.elites)
        best, best_cost = mean, np.inf
        elites = self._shifted(mean, std)[:kept]
        populations = settings.populations()
        for iteration, count in enumerate(populations):
            given = [*elites[:kept]]
            if iteration + 1 == len(populations):
                given.append(mean)
            samples = np.concatenate([self._draw(mean, std, count - len(given)), *_rows(given)])
            cost = self._score(state, samples)
            cost = np.where(np.isfinite(cost), cost, np.inf)
            order = np.argsort(cost, kind="stable")[: settings.elites]
            elites = samples[order]
            if cost[order[0]] < best_cost:
                best, best_cost = elites[0], cost[order[0]]
            keep = settings.momentum
            mean = (1.0 - keep) * elites.mean(0) + keep * mean
            std = (1.0 - keep) * elites.std(0) + keep * std
        self._elites = elites
        self._mean = np.concatenate((mean[1:], mean[-1:]))
        return best[0]

    def _draw(self, mean: np.ndarray, std: np.ndarray, count: int) -> np.ndarray:
        """Return samples (count, H, nu) within the bounds."""
        horizon, actions = mean.shape
        noise = coloured(self._random, self._settings.beta, (count, actions, horizon))
        return np.clip(mean + std * noise.swapaxes(1, 2), self._low, self._high)

    def _shifted(self, mean: np.ndarray, std: np.ndarray) -> np.ndarray:
        """Return the last elites a step later; their last actions are drawn."""
        if not len(self._elites):
            return self._elites
        ends = self._draw(mean, std, len(self._elites))[:, -1:]
        return np.concatenate((self._elites[:, 1:], ends), 1)


def coloured(random: np.random.Generator, beta: float, shape: tuple[int, ...]) -> np.ndarray:
    """
    Return noise of unit variance with the power spectrum f^-beta along the last dimension.

    By the discrete Fourier transform (Timmer and Koenig, On generating power law noise, 1995). The
    lowest frequency has the amplitude of the one after it.
    """
    length = shape[-1]
    if length == 1:
        return random.standard_normal(shape)
    frequency = np.fft.rfftfreq(length)
    frequency[0] = frequency[1]
    amplitude = frequency ** (-0.5 * beta)
    real, imaginary = (random.standard_normal((*shape[:-1], len(amplitude))) for _ in range(2))
    imaginary[..., 0] = 0.0
    real[..., 0] *= np.sqrt(2.0)
    if length % 2 == 0:
        imaginary[..., -1] = 0.0
        real[..., -1] *= np.sqrt(2.0)
    noise = np.fft.irfft((real + 1j * imaginary) * amplitude, length)
    # Every bin but the first, and the last of an even length, stands for two frequencies.
    bins = np.full(len(amplitude), 2.0)
    bins[0] = 1.0
    bins[-1] -= length % 2 == 0
    return noise * length / np.sqrt(2.0 * (bins * amplitude**2).sum())


def _rows(given: list[np.ndarray]) -> list[np.ndarray]:
    return [np.stack(given)] if given else []
