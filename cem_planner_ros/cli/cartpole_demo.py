# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The scenario of `demo` in which a pole on a cart is swung up."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from cem_planner_ros.cli.demo_scenario import DemoRecording, Scenario

LAST = 2.0
"""Time at the end of the run for which the pole must be up, s."""

PROCESS_NOISE = 0.02
"""Noise of the simulated actions, as a share of half their range; it makes seeds differ."""


class CartPoleScenario(Scenario):
    """A pole on a cart is swung up and balanced."""

    files: ClassVar = {"simulator": "cartpole_simulator.yaml", "planner": "cartpole.yaml"}
    duration = 10.0
    min_duration = 2.0 * LAST  # It swings up before.
    max_late_share = 0.01
    signals = (
        ("angle [rad]", lambda state: math.remainder(state[2], math.tau)),
        ("cart [m]", lambda state: state[0]),
    )

    TOLERANCE: ClassVar = 0.2
    """Largest angle from upright that counts as up, rad."""

    def parameters(self, node: str) -> dict[str, Any]:
        """Return what a node gets beside its file."""
        noise = {"process_noise": PROCESS_NOISE} if node == "simulator" else {}
        return super().parameters(node) | noise

    def evaluate(
        self, recording: DemoRecording, duration: float
    ) -> tuple[dict[str, Any], list[str]]:
        """Return when the pole was up for good, and how much of the last seconds."""
        tilts = [(t, abs(self.signals[0][1](state))) for t, state in recording.states]
        last = [tilt < self.TOLERANCE for t, tilt in tilts if t >= duration - LAST]
        fallen = [t for t, tilt in tilts if tilt >= self.TOLERANCE]
        is_up = tilts and tilts[-1][1] < self.TOLERANCE
        share = float(np.mean(last)) if last else 0.0
        return {
            "time_to_goal_s": round(max(fallen, default=0.0), 3) if is_up else None,
            "upright_share_last_2s": round(share, 4),
        }, [f"not upright for the last {LAST:g} s"] if share < 1.0 else []

    def rows(self, summary: dict[str, Any]) -> dict[str, str]:
        """Return that in words."""
        time = summary["time_to_goal_s"]
        return {
            "time to upright": f"{time:.2f} s" if time is not None else "never",
            "upright, last 2 s": f"{100 * summary['upright_share_last_2s']:.1f} %",
        }


class LearnedCartPoleScenario(CartPoleScenario):
    """The same with a model that was learned from a recording."""

    files: ClassVar = {"simulator": "cartpole_simulator.yaml", "planner": "cartpole_learned.yaml"}
