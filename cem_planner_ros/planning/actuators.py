# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The response of slow actuators to commands."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

INSTANT = 1e-9
"""s; an actuator faster than this follows at once, and quotients by its lag stay finite."""


class Actuators(NamedTuple):
    """
    First-order actuators: lag y_dot = u - y for a command u. The model receives y.

    Attributes:
        lag: (nu,), time constants, s; with 0 the actuator follows at once.
        applied: (nu,), y at the start of the plan.
    """

    lag: torch.Tensor
    applied: torch.Tensor

    def follow(self, sequence: torch.Tensor, durations: torch.Tensor) -> torch.Tensor:
        """
        Return the mean of y over each step, (H, nu, N), for commands (H, nu, N) held in the steps.

        In a step of length d, y moves from y_0 to u + (y_0 - u) exp(-d / lag), and its mean is u +
        (y_0 - u) lag / d (1 - exp(-d / lag)). Both are linear in y_0 and u, so one product of
        matrices computes all steps.

        Args:
            sequence: the commands.
            durations: (H,), s.
        """
        lag = self.lag.clamp(min=INSTANT)
        ratio = durations / lag[:, None]  # (nu, H)
        passed = torch.cumsum(ratio, -1)
        before = torch.nn.functional.pad(passed[:, :-1], (1, 0))
        moved = -torch.expm1(-ratio)  # share of u - y by which y moves in a step
        mean = moved / ratio
        # What the command of step j contributes at the beginning of step k, then to the mean of
        # step k.
        begin = torch.exp((passed[:, None, :] - before[..., None]).clamp(max=0.0))
        weights = (begin * moved[:, None, :]).tril(-1) * mean[..., None]
        weights = weights + torch.diag_embed(1.0 - mean)
        start = torch.exp(-before) * mean
        followed = torch.einsum("ukj,jun->kun", weights, sequence)
        return followed + (start * self.applied[:, None]).T[..., None]


def mean_applied(
    commands: np.ndarray, durations: np.ndarray, lag: np.ndarray, applied: np.ndarray
) -> np.ndarray:
    """
    Return what `Actuators.follow` does, for arrays.

    Args:
        commands: (H, nu), or n sequences (H, nu, n); the result has the same shape.
        durations: (H,), s.
        lag: (nu,), s.
        applied: (nu,), at the start.
    """
    if not lag.any():
        return commands
    sequence, steps, *actuators = (
        torch.as_tensor(values, dtype=torch.float32)
        for values in (commands, durations, lag, applied)
    )
    means = Actuators(*actuators).follow(sequence.reshape(*sequence.shape[:2], -1), steps)
    return means.reshape(commands.shape).numpy()
