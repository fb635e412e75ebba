"""Noise whose spectrum falls with the frequency, so that candidates move for longer one way."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

FREQUENCIES = 4096
"""Points of the numerical integral over the spectrum."""


def autocorrelation(length: int, beta: float) -> np.ndarray:
    """
    Return the correlation (length,) of noise with its value 0, 1, ... steps before.

    The power spectrum is f^-beta up to half the sampling rate, and flat below the lowest frequency
    of the horizon, 1/length (Timmer and Koenig, On generating power law noise, 1995; used for
    planning by Pinneri et al., iCEM, 2020, section 3.1). White at beta 0.
    """
    f = (np.arange(FREQUENCIES) + 0.5) / (2 * FREQUENCIES)
    power = np.maximum(f, 1.0 / length) ** -beta
    lags = np.arange(length)[:, None]
    return (power * np.cos(2 * np.pi * f * lags)).sum(1) / power.sum()


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
