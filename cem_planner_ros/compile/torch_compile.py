# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Iterations that `torch.compile` has compiled."""

from __future__ import annotations

import torch

from cem_planner_ros.planning.execution import EagerExecution, Setup


class TorchCompileExecution(EagerExecution):
    """Iterations compiled by `torch.compile`; the constructor raises the compiler's errors."""

    name = "torch.compile"

    def __init__(self, setup: Setup, reason: str = ""):
        super().__init__(setup, reason, evaluate=setup.rollout)
        self._iteration = torch.compile(self._iteration, dynamic=False)
        uses = torch.zeros(1, setup.search.injected, dtype=torch.bool, device=self._device)
        self.run(uses, 0, range(1))
