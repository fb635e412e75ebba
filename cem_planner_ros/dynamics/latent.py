# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Models that predict in a latent space, and predict the return of action sequences."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.nn.functional import silu, softplus

from cem_planner_ros.dynamics.base import Dynamics, wrap
from cem_planner_ros.dynamics.ensemble import description, features, load_tensors
from cem_planner_ros.dynamics.precision import PRECISION, factor_type, products
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import find
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

STD_MIN = 0.05

MAX_GAP = 1.0
"""s between two plans after which what was remembered no longer counts."""

EARLY = 0.1
"""Share of dt by which a step of the memory may come early: periods are never quite even."""


class RecurrentStateSpace(nn.Module):
    """
    A recurrent state-space model: h' = GRU(h, (s, a)), s ~ N(mean(h), std(h)), o and r of (h, s).

    Hafner et al., Learning Latent Dynamics for Planning from Pixels, 2019, section 3, with
    observations that are vectors. Here samples are the first dimension, as usual for modules.

    Args:
        observations, actions: number of observations and of actions.
        memory: size of h.
        latent: size of s.
        hidden: size of the hidden layers.
    """

    def __init__(
        self, observations: int, actions: int, memory: int = 48, latent: int = 8, hidden: int = 48
    ):
        super().__init__()
        self.memory, self.latent = memory, latent

        def network(inputs: int, outputs: int) -> nn.Sequential:
            return nn.Sequential(nn.Linear(inputs, hidden), nn.SiLU(), nn.Linear(hidden, outputs))

        self.joined = nn.Linear(latent + actions, hidden)
        self.cell = nn.GRUCell(hidden, memory)
        self.prior = network(memory, 2 * latent)
        self.posterior = network(memory + observations, 2 * latent)
        self.decoder = network(memory + latent, observations)
        self.reward = network(memory + latent, 1)

    def advance(self, h: torch.Tensor, s: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        """Return h' (N, memory) after an action (N, actions)."""
        return self.cell(silu(self.joined(torch.cat((s, action), -1))), h)

    @staticmethod
    def distribution(outputs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return mean and std (N, latent) of the outputs of `prior` or `posterior`."""
        mean, raw = outputs.chunk(2, -1)
        return mean, softplus(raw) + STD_MIN

    def observed(
        self, h: torch.Tensor, observation: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return h (N, memory) and the mean of s of an observation (N, observations)."""
        mean, _ = self.distribution(self.posterior(torch.cat((h, observation), -1)))
        return h, mean

    def imagine(
        self, h: torch.Tensor, s: torch.Tensor, actions: torch.Tensor
    ) -> Iterator[torch.Tensor]:
        """Yield (h, s), joined (N, memory + latent), after each of actions (N, H, nu); means."""
        h, s = (value.expand(len(actions), -1) for value in (h, s))
        for action in actions.unbind(1):
            h = self.advance(h, s, action)
            s, _ = self.distribution(self.prior(h))
            yield torch.cat((h, s), -1)

    def evaluate_rollout(
        self, h: torch.Tensor, s: torch.Tensor, actions: torch.Tensor
    ) -> torch.Tensor:
        """Return the predicted return (N,) of actions (N, H, nu) from (h, s), (1, ...) each."""
        return sum(self.reward(both).squeeze(-1).float() for both in self.imagine(h, s, actions))


class Evaluates(Protocol):
    """The interface of any latent model that predicts returns."""

    def evaluate_rollout(
        self, h: torch.Tensor, s: torch.Tensor, actions: torch.Tensor
    ) -> torch.Tensor:
        """Return the returns (N,) of actions (N, H, nu) from h (1, memory) and s (1, latent)."""


class EvaluatedRollout(Dynamics):
    """
    A model whose `evaluate_rollout(h, s, actions)` the planner maximises.

    The state for `Planner.plan` is h and s, joined. Later states are known only inside the model,
    so each predicted state is the first state.

    Args:
        model: any latent model.
        memory, latent: sizes of h and s.
        low, high: (nu,), bounds of the actions.
    """

    predicts_return = True

    def __init__(
        self,
        model: Evaluates,
        memory: int,
        latent: int,
        low: Sequence[float],
        high: Sequence[float],
        *,
        device: torch.device | str = "cpu",
    ):
        self.model = model
        self._memory = memory
        self.state_names = tuple(
            [f"h{i}" for i in range(memory)] + [f"s{i}" for i in range(latent)]
        )
        self.action_names = tuple(f"a{i}" for i in range(len(low)))
        self.action_units = ("",) * len(low)
        self.action_low, self.action_high = tuple(low), tuple(high)
        super().__init__({}, device=device)

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Return the unchanged state."""
        return state

    def rollout(
        self, state: torch.Tensor, sequence: torch.Tensor, durations: torch.Tensor
    ) -> list[torch.Tensor]:
        """Return the unchanged state H times."""
        return [state] * len(sequence)

    def returns(
        self, state: torch.Tensor, sequence: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """Return the returns (N,) that the model predicts."""
        h, s = state[: self._memory, :1].T, state[self._memory :, :1].T
        return self.model.evaluate_rollout(h, s, sequence.permute(2, 0, 1))


class Latent(Dynamics):
    """
    A recurrent state-space model from a file; the planner maximises its predicted return.

    Before each plan the measured state is encoded to (h, s); the memory h contains the earlier
    states. Candidates are simulated in latent space. Costs receive decoded states.
    MODEL.safetensors has the weights; MODEL.json has the names and dt, which must be equal to
    `planner.dt`. For a step of another length, the change of the decoded state is scaled with the
    length. In latent space, and in the predicted return, it is a whole step.

    Raises ConfigurationError if a file cannot be read or has the wrong content.
    """

    predicts_return = True
    parameters = (
        Parameter(
            "file", "", "The file MODEL.safetensors, with MODEL.json beside it.", when=INACTIVE
        ),
        PRECISION,
    )

    file: str
    precision: str
    dt: float

    def __init__(
        self, values: Mapping[str, Any] | None = None, *, device: torch.device | str = "cpu"
    ):
        super().__init__(values, device=device)
        file = find(self.file)
        tensors = load_tensors(file, device)
        for name, value in description(file.with_suffix(".json")).items():
            setattr(self, name, value)
        self._is_angle = [name in self.angle_names for name in self.state_names]
        try:
            self._scale = tensors.pop("scale")
            memory, latent = tensors["cell.weight_hh"].shape[1], len(tensors["prior.2.bias"]) // 2
            self.model = RecurrentStateSpace(
                len(self._scale),
                len(self.action_names),
                memory,
                latent,
                hidden=len(tensors["joined.bias"]),
            ).to(device)
            self.model.load_state_dict(tensors)
        except (KeyError, RuntimeError) as error:
            raise ConfigurationError(
                f"file '{file}' is not a recurrent state-space model: {error}"
            ) from error
        if not all(high > 0.0 for high in self.action_high):
            raise ConfigurationError(
                f"file '{file.with_suffix('.json')}': action_high is {list(self.action_high)}, "
                "expected numbers above 0: they are what actions are scaled by"
            )
        # What was seen is remembered in float32; only what is imagined is in another type.
        self._type = factor_type(self.precision)
        self._imagination = copy.deepcopy(self.model).to(self._type)
        self._device = device
        largest = torch.tensor(self.action_high, device=device)
        self._action_scale = largest[:, None]
        self.reset()

    def reset(self) -> None:
        """Forget what was seen."""
        self._forget(-math.inf)

    def _forget(self, time: float) -> None:
        self._time = time
        self._h = torch.zeros(1, self.model.memory, device=self._device)
        self._s: torch.Tensor | None = None

    @torch.no_grad()
    def begin_plan(self, state: np.ndarray, action: np.ndarray, time: float) -> None:
        """Update the memory to `time` in steps of dt. After a gap of MAX_GAP s it starts empty."""
        if not 0.0 <= time - self._time <= MAX_GAP:
            self._forget(time)
        seen, done = (
            torch.as_tensor(values, dtype=torch.float32, device=self._device)[:, None]
            for values in (state, action)
        )
        while self._s is not None and time - self._time > (1.0 - EARLY) * self.dt:
            self._h = self.model.advance(self._h, self._s, (done / self._action_scale).T)
            self._time += self.dt
        _, self._s = self.encode(seen)

    def observe(self, state: torch.Tensor) -> torch.Tensor:
        """Return observations (N, k) of states (nx, N), scaled, with sine and cosine of angles."""
        return features(state, state[:0], self._is_angle).T / self._scale

    def encode(self, state: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (h, s) of states (nx, N), encoded with the present memory."""
        return self.model.observed(self._h.expand(state.shape[-1], -1), self.observe(state))

    def decode(self, both: torch.Tensor) -> torch.Tensor:
        """Return the states (nx, N) of (h, s), joined (N, memory + latent)."""
        columns = iter((self.model.decoder(both) * self._scale).unbind(-1))
        rows = []
        for is_angle in self._is_angle:
            column = next(columns)
            rows.append(torch.atan2(column, next(columns)) if is_angle else column)
        return torch.stack(rows)

    def check_dt(self, dt: float) -> None:
        """Raise ConfigurationError if `dt`, s, is not the dt of the model."""
        if not math.isclose(dt, self.dt, rel_tol=1e-6):
            raise ConfigurationError(
                f"parameter 'planner.dt' is {dt}, allowed with the model of file '{self.file}': "
                f"{self.dt} s, by which it imagines"
            )

    @torch.no_grad()
    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Return the state (nx, N) after `dt`, s; the change is proportional to `dt`."""
        return self.rollout(state, action.unsqueeze(0), dt.reshape(1))[0]

    @torch.no_grad()
    def rollout(
        self, state: torch.Tensor, sequence: torch.Tensor, durations: torch.Tensor
    ) -> list[torch.Tensor]:
        """Return the H states (nx, N), decoded."""
        states, before = [], state
        with products(self.precision, self._device):
            imagined = self._imagination.imagine(*self._beginning(state, sequence))
            for both, duration in zip(imagined, durations, strict=True):
                decoded = self.decode(both.to(state.dtype))
                state = state + duration / self.dt * wrap(decoded - before, self._is_angle)
                states.append(state)
                before = decoded
        return states

    @torch.no_grad()
    def returns(
        self, state: torch.Tensor, sequence: torch.Tensor, durations: torch.Tensor
    ) -> torch.Tensor:
        """Return the predicted return (N,)."""
        with products(self.precision, self._device):
            return self._imagination.evaluate_rollout(*self._beginning(state[:, :1], sequence))

    def _beginning(self, state: torch.Tensor, sequence: torch.Tensor) -> list[torch.Tensor]:
        """Return h, s and actions (N, H, nu), scaled to [-1, 1], in the type of imagination."""
        actions = (sequence / self._action_scale).permute(2, 0, 1)
        return [values.to(self._type) for values in (*self.encode(state), actions)]
