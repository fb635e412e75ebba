"""Choosing how an iteration is executed, and saying why it is not what was asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from cem_planner_ros.planning import cross_entropy
from cem_planner_ros.planning.kernel import KernelRollout, UnsupportedError
from cem_planner_ros.planning.rollout import Rollout

BACKENDS = ("compile", "eager")


class Iteration:
    """One CEM iteration: sample, bound, roll out, score, select, refit."""

    def __init__(self, evaluate: Callable[..., torch.Tensor], elites: int):
        self.evaluate = evaluate
        self.elites = elites

    def __call__(
        self,
        state: torch.Tensor,
        previous_action: torch.Tensor,
        durations: torch.Tensor,
        mean: torch.Tensor,
        std: torch.Tensor,
        noise: torch.Tensor,
        low: torch.Tensor,
        high: torch.Tensor,
        std_min: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Return the refitted mean and std (H, nu) and the cost (N,) of every candidate.

        `noise` is (H, nu, N), standard normal; `low` and `high` are (nu, 1), `std_min` (nu,). The
        rest is as in `Rollout.__call__`.
        """
        sequence = cross_entropy.sample(mean, std, noise, low, high)
        cost = self.evaluate(state, sequence, previous_action, durations)
        mean, std = cross_entropy.refit(sequence, cost, self.elites, mean, std, std_min)
        return mean, std, cost


@dataclass(frozen=True)
class Execution:
    """
    How iterations run: the callable, its name, and why nothing faster is used ("" if it is).

    `name` is "kernel" (C++ on the CPU), "torch.compile" or "eager".
    """

    iteration: Callable[..., tuple[torch.Tensor, torch.Tensor, torch.Tensor]]
    name: str
    reason: str = ""


def choose(
    backend: str, rollout: Rollout, elites: int, threads: int, example: tuple[torch.Tensor, ...]
) -> Execution:
    """
    Return the fastest execution that works for a rollout.

    With `backend` "compile" it is a C++ kernel on the CPU; where that cannot be made, and on other
    devices, it is `torch.compile`; where that fails too, it is eager PyTorch.

    Args:
        backend: one of BACKENDS.
        rollout: the model and the costs.
        elites: K.
        threads: for the kernel.
        example: arguments of an Iteration, to compile and to try it with.
    """
    eager = Iteration(rollout, elites)
    if backend == "eager":
        return Execution(eager, "eager")
    reasons = []
    if example[0].device.type == "cpu":
        try:
            return Execution(Iteration(KernelRollout(rollout, threads), elites), "kernel")
        except UnsupportedError as error:
            reasons.append(f"no C++ kernel: {error}")
    try:
        compiled = torch.compile(eager, dynamic=False)
        compiled(*example)
        return Execution(compiled, "torch.compile", "; ".join(reasons))
    except Exception as error:  # Whatever the compiler raises, eager still plans.
        text = str(error).strip().splitlines() or [""]
        reasons.append(f"torch.compile failed: {type(error).__name__}: {text[0]}")
    return Execution(eager, "eager", "; ".join(reasons))
