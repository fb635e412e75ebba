# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Coloured noise: candidates move in one direction for longer than with white noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FREQUENCIES = 4096
"""Points, at least, of the numerical integral over the spectrum."""

RESOLUTION = 64
"""Points, at least, below the lowest frequency of the horizon."""


def autocorrelation(length: int, beta: float) -> np.ndarray:
    """
    Return the correlation (length,) of the noise with its own value 0, 1, ... steps earlier.

    The power spectrum is f^-beta up to half the sampling rate, and flat below the lowest frequency
    of the horizon, 1/length (Timmer and Koenig, On generating power law noise, 1995; used for
    planning by Pinneri et al., iCEM, 2020, section 3.1). With beta 0 the noise is white.
    """
    # The midpoint rule; with points half of 1/count apart, lags beyond count would be aliases.
    count = max(FREQUENCIES, RESOLUTION * length // 2)
    f = (np.arange(count) + 0.5) / (2 * count)
    power = np.maximum(f, 1.0 / length) ** -beta
    turn = np.exp(-1j * np.pi * np.arange(length) / (2 * count))
    # The sum over power * cos(2 pi f lag), for all lags at once.
    return (turn * np.fft.fft(power, 2 * count)[:length]).real / power.sum()


def factors(length: int, beta: float | Sequence[float], actions: int) -> np.ndarray | None:
    """Return a `factor` for each action (nu, length, length), or None if all noise is white."""
    betas = np.broadcast_to(beta, actions)
    return np.stack([factor(length, b) for b in betas]) if betas.any() else None


def factor(length: int, beta: float) -> np.ndarray:
    """
    Return the lower triangular (length, length) that turns white noise into coloured noise.

    Every row has norm one, so each step has exactly unit variance.
    """
    lags = np.abs(np.arange(length)[:, None] - np.arange(length))
    covariance = autocorrelation(length, beta)[lags]
    # Smooth noise is close to singular; the jitter is far below float32's resolution of it.
    result = np.linalg.cholesky(covariance + 1e-9 * np.eye(length))
    return result / np.linalg.norm(result, axis=1, keepdims=True)


def precisions(factors: np.ndarray) -> np.ndarray:
    """Return the inverse covariances (nu, length, length) of noise made with `factors`."""
    inverse = np.linalg.inv(factors)
    return np.ascontiguousarray(inverse.transpose(0, 2, 1) @ inverse)
