# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""MPPI with the settings that Nav2 ships, as a reference for smoothness."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.planning.plan import Plan
from cem_planner_ros.planning.planner import Planner

SAMPLES = 2000
TEMPERATURE = 0.3
GAMMA = 0.015

STD = (0.2, 0.4)
"""Std of the noise of v, m/s, and of yaw_rate, rad/s."""

WINDOW, ORDER = 9, 2
"""Length, in steps, and order of the Savitzky-Golay filter."""


class ReferenceMPPI:
    """
    MPPI as Nav2's controller ships it, on the model and the costs of a configuration.

    Each plan draws SAMPLES sequences around the last plan, shifted to the present. Their noise is
    white. The new plan is their mean with the weights exp(-cost / TEMPERATURE), where
    GAMMA u' Sigma^-1 (v - u) has been added to the cost of v, u being the last plan (Williams et
    al., 2017, algorithm 2). The filter of Savitzky and Golay (1964) then smooths the plan; four
    commands that were sent stand before its beginning.

    The compiled rollout of the package's own search evaluates the candidates. Everything else is
    computed here. Attributes that are not defined here are those of a small `Planner` that prepares
    the costs, so that a control loop can use the reference in its place.
    """

    def __init__(self, configuration: Configuration):
        self._planner = Planner(
            configuration.dynamics,
            list(configuration.costs.values()),
            **configuration.tuning(),
            period=configuration.control_settings.period,
            samples=64,
            iterations=1,
            horizon=configuration.values["planner.horizon"],
            dt=configuration.values["planner.dt"],
        )
        kernel = getattr(self._planner.execution, "kernel", None)
        self._evaluate = kernel.rollout if kernel else self._planner.rollout
        self._low, self._high = (np.array(configuration.action(side)) for side in ("low", "high"))
        self._filter = savitzky_golay(WINDOW, ORDER)
        self.reset()

    def __getattr__(self, name: str):
        return getattr(self._planner, name)

    def reset(self) -> None:
        """Forget the last plan; the noise begins anew."""
        self._planner.reset()
        self._random = np.random.default_rng(0)
        self._mean = np.zeros((self._planner.search.horizon, len(STD)))
        self._sent = np.zeros((WINDOW // 2, len(STD)))
        self._begin: float | None = None

    @torch.no_grad()
    def plan(self, state: np.ndarray, time: float, previous_action: np.ndarray, **options) -> Plan:
        """Do as `Planner.plan`, with one iteration of MPPI."""
        plan = self._planner.plan(state, time, previous_action, **options)
        self._shift(plan.edges[1])
        noise = self._random.standard_normal((*self._mean.shape, SAMPLES), np.float32)
        mean, std = self._mean[..., None], np.array(STD)[:, None]
        actions = np.clip(mean + std * noise, self._low[:, None], self._high[:, None])
        problem = (
            state - self._planner.dynamics.origin(state),
            actions,
            previous_action,
            np.diff(plan.edges),
        )
        cost = self._evaluate(*(torch.tensor(part, dtype=torch.float32) for part in problem))
        score = cost.double().numpy() + GAMMA * (mean / std**2 * (actions - mean)).sum((0, 1))
        weight = np.exp((score.min() - score) / TEMPERATURE)
        self._mean = self._smooth(actions @ (weight / weight.sum()))
        self._sent = np.vstack((self._sent[1:], self._mean[:1]))
        return replace(plan, actions=self._mean.copy(), cost=float(cost.min()))

    def _shift(self, begin: float) -> None:
        """Shift the last plan to one whose second step begins at `begin`, s."""
        if self._begin is not None:
            steps = round((begin - self._begin) / self._planner.search.dt)
            last = len(self._mean) - 1
            self._mean = self._mean[np.minimum(np.arange(last + 1) + steps, last)]
        self._begin = begin

    def _smooth(self, sequence: np.ndarray) -> np.ndarray:
        """Return a sequence (H, nu), filtered; beyond its end it stays what it was there."""
        end = np.repeat(sequence[-1:], WINDOW // 2, axis=0)
        whole = np.vstack((self._sent, sequence, end))
        return np.stack([np.convolve(row, self._filter, "valid") for row in whole.T], axis=1)


def savitzky_golay(window: int, order: int) -> np.ndarray:
    """
    Return the weights (window,) of the Savitzky-Golay filter, window being odd.

    The filtered value is that of the polynomial of this order, fitted by least squares, in the
    middle of the window.
    """
    place = np.arange(window) - window // 2
    return np.linalg.pinv(np.vander(place, order + 1, increasing=True))[0]
