"""What actuators make of commands before the model sees them."""

from __future__ import annotations

from typing import NamedTuple

import torch

INSTANT = 1e-9
"""s; an actuator faster than this follows at once, and quotients by its lag stay finite."""


class Actuators(NamedTuple):
    """
    Actuators of first order: lag y_dot = u - y for a command u, and y is what the model sees.

    Attributes:
        lag: (nu,), time constants, s; 0 follows at once.
        applied: (nu,), y at the start of the plan.
    """

    lag: torch.Tensor
    applied: torch.Tensor

    def follow(self, sequence: torch.Tensor, durations: torch.Tensor) -> torch.Tensor:
        """
        Return the means of y over the steps, (H, nu, N), for commands (H, nu, N) held in them.

        In a step of length d, y moves from y_0 to u + (y_0 - u) exp(-d / lag), and its mean is
        u + (y_0 - u) lag / d (1 - exp(-d / lag)). Both are linear, so all steps are one product of
        matrices.

        Args:
            sequence: the commands.
            durations: (H,), s.
        """
        lag = self.lag.clamp(min=INSTANT)
        ratio = durations / lag[:, None]  # (nu, H)
        passed = torch.cumsum(ratio, -1)
        before = torch.nn.functional.pad(passed[:, :-1], (1, 0))
        moved = -torch.expm1(-ratio)  # the share of u - y that a step goes
        mean = moved / ratio
        # What the command of step j is at the beginning of step k, and then in its mean.
        begin = torch.exp((passed[:, None, :] - before[..., None]).clamp(max=0.0))
        weights = (begin * moved[:, None, :]).tril(-1) * mean[..., None]
        weights = weights + torch.diag_embed(1.0 - mean)
        start = torch.exp(-before) * mean
        followed = torch.einsum("ukj,jun->kun", weights, sequence)
        return followed + (start * self.applied[:, None]).T[..., None]
