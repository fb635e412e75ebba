# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""A learned model: an ensemble of networks from a file."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn.functional import silu

from cem_planner_ros.dynamics.base import Dynamics
from cem_planner_ros.dynamics.precision import PRECISION, factor_type, products
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import find
from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

NAMES = ("state_names", "action_names", "action_units", "angle_names")
NUMBERS = ("action_low", "action_high")
SILU_IS_ONE = 1.2784645427610738
"""x / (1 + exp(-x)) = 1."""

COMPILED = 2000
"""
Weights of a network up to which it is compiled: 32 x 32 runs 3.6 times as fast then.

64 x 64 takes g++ 100 s and is hardly faster than PyTorch's products of matrices.
"""

TENSORS = ("input_mean", "input_std", "output_mean", "output_std")


class Ensemble(Dynamics):
    """
    P networks; each predicts the change of the state in `dt`.

    x' = x + duration / dt * (m_out + s_out * network((f(x, u) - m_in) / s_in)), where f(x, u) has
    the states, with sine and cosine of angles, and the actions. SiLU is between the layers.
    MODEL.safetensors has the weights; MODEL.json has the names, dt and statistics of the data.
    `train` writes both.

    Raises ConfigurationError if a file cannot be read or has the wrong content.
    """

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
        try:
            self._scale = [tensors[name][:, None] for name in TENSORS]
            self._layers = folded(tensors)
        except KeyError as error:
            raise ConfigurationError(
                f"file '{file}' holds no tensor {error}, expected what `train` writes"
            ) from error
        self.is_angle = [name in self.angle_names for name in self.state_names]
        inputs = len(self.state_names) + sum(self.is_angle) + len(self.action_names)
        sizes = (self._layers[0].shape[2] - 1, self._layers[-1].shape[1])
        if sizes != (inputs, len(self.state_names)):
            raise ConfigurationError(
                f"file '{file}' holds networks of {sizes[0]} inputs and {sizes[1]} outputs, "
                f"expected {inputs} and {len(self.state_names)} for the names in its JSON"
            )
        self._layers = [layer.to(factor_type(self.precision)) for layer in self._layers]
        self.members = len(self._layers[0])
        weights = sum(layer[0].numel() for layer in self._layers)
        if self.members > 1 and weights <= COMPILED and self.precision == "float32":
            self.member = copy.copy(self)
            self.member.members = 1
            self.member._layers = [layer[:1] for layer in self._layers]

    def refresh(self) -> None:
        """Do nothing: weights are not tuned."""

    def variant(self, member: int, numbers: Sequence[torch.Tensor]) -> list[torch.Tensor]:
        """Return tensors with the weights of the first member replaced by those of member p."""
        own = {layer.data_ptr(): layer[member] for layer in self._layers}
        return [own.get(number.data_ptr(), number) for number in numbers]

    def step(self, state: torch.Tensor, action: torch.Tensor, dt: torch.Tensor) -> torch.Tensor:
        """Return the states (nx, N) after `dt`, s; each member computes 1 / P of the columns."""
        input_mean, input_std, output_mean, output_std = self._scale
        inputs = (features(state, action, self.is_angle) - input_mean) / input_std
        inputs = torch.cat((inputs, torch.ones_like(inputs[:1])))
        values = inputs.view(len(inputs), self.members, -1).transpose(0, 1)
        if self.precision == "float32":
            values = self._networks(values)
        else:
            with products(self.precision, state.device):
                values = self._networks(values.to(self._layers[0].dtype)).to(state.dtype)
        outputs = values.transpose(0, 1).flatten(1)
        return state + dt / self.dt * (output_mean + output_std * outputs)

    def _networks(self, values: torch.Tensor) -> torch.Tensor:
        """Return outputs (P, nx, n) of inputs (P, inputs + 1, n), in the type of the weights."""
        for index, weights in enumerate(self._layers):
            # In place saves memory. Compiled code, with one member, needs no memory here.
            values = silu(values, inplace=self.members > 1) if index else values
            values = torch.bmm(weights, values)
        return values


def features(state: torch.Tensor, action: torch.Tensor, is_angle: Sequence[bool]) -> torch.Tensor:
    """Return the inputs of the networks (inputs, N) for states (nx, N) and actions (nu, N)."""
    rows = []
    for row, angle in zip(state, is_angle, strict=True):
        rows += [torch.sin(row), torch.cos(row)] if angle else [row]
    return torch.stack((*rows, *action))


def folded(tensors: Mapping[str, torch.Tensor]) -> list[torch.Tensor]:
    """
    Return weights (P, out + 1, in + 1) of layers whose last input and last output are one.

    The products of matrices then include the biases, which saves a pass over the memory. `tensors`
    holds layerI.weight (P, out, in) and layerI.bias (P, out, 1).
    """
    count = max(1, sum(name.endswith(".weight") for name in tensors))
    layers = []
    for index in range(count):
        weight = torch.cat((tensors[f"layer{index}.weight"], tensors[f"layer{index}.bias"]), -1)
        if index < count - 1:
            one = torch.zeros_like(weight[:, :1])
            one[..., -1] = SILU_IS_ONE
            weight = torch.cat((weight, one), 1)
        layers.append(weight)
    return layers


def load_tensors(file: Path, device: torch.device | str) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file. Raises ConfigurationError for other files."""
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise ConfigurationError(
            f"a learned model needs safetensors (pip install safetensors): {error}"
        ) from error
    try:
        return load_file(file, device=str(device))
    except Exception as error:  # A broken file raises errors of the library.
        raise ConfigurationError(f"file '{file}' is no safetensors file: {error}") from error


def description(file: Path) -> dict[str, Any]:
    """Return names, bounds and dt from the JSON of a model, lists as tuples."""
    try:
        content = json.loads(file.read_text())
        made: dict[str, Any] = {name: tuple(map(str, content[name])) for name in NAMES}
        made |= {name: tuple(map(float, content[name])) for name in NUMBERS}
        dt = Parameter("dt", 0.1, "", unit="s", low=1e-6).check(content["dt"])
        return made | {"dt": dt}
    except KeyError as error:
        raise ConfigurationError(f"file '{file}' does not say {error}") from error
    except (OSError, TypeError, ValueError) as error:
        raise ConfigurationError(f"file '{file}' cannot be read: {error}") from error
