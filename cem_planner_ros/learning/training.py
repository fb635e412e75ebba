# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Training of an ensemble, and the errors of its predictions."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from cem_planner_ros.dynamics.ensemble import Ensemble, features
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning.dataset import Dataset, Segment
from cem_planner_ros.learning.plots import pyplot
from cem_planner_ros.learning.task import Task

MAX_STARTS = 1000
"""Number of predictions over which an error is averaged."""


@dataclass(frozen=True)
class TrainingSettings:
    """
    Settings of the networks and of their training.

    Attributes:
        members: P.
        hidden: sizes of the hidden layers.
        epochs: largest number of epochs.
        patience: number of epochs without a better validation error after which training ends.
        batch: number of transitions of each member in a step of the optimiser.
        rate: learning rate of Adam; it falls to a tenth over the epochs, along a cosine.
        decay: weight decay.
        seed: seed of first weights, draws and order.
    """

    members: int = 5
    hidden: tuple[int, ...] = (64, 64)
    epochs: int = 150
    patience: int = 25
    batch: int = 256
    rate: float = 3e-3
    decay: float = 1e-5
    seed: int = 0


@dataclass(frozen=True)
class Errors:
    """
    Root mean square errors (H,) of predictions over 1..H steps, in stds of the states.

    `unchanged` predicts that nothing changes, `constant_velocity` that the last change continues.
    """

    model: np.ndarray
    unchanged: np.ndarray
    constant_velocity: np.ndarray

    @property
    def worse_than(self) -> str:
        """The baseline that is better in the first step, the last, or on average; "" if none is."""
        count = len(self.model)
        for name in ("unchanged", "constant_velocity"):
            baseline = getattr(self, name)
            for steps, what in (
                (slice(1), "after 1 step"),
                (slice(count - 1, None), f"after {count} steps"),
                (slice(None), f"over {count} steps"),
            ):
                if not self.model[steps].mean() < baseline[steps].mean():
                    return f"'{name.replace('_', ' ')}' {what}"
        return ""


def train(
    data: Dataset,
    task: Task,
    settings: TrainingSettings,
    report: Callable[[int, float, float], None] = lambda epoch, training, validation: None,
) -> dict[str, torch.Tensor]:
    """
    Train an ensemble, and return its tensors as they stand in its file.

    Each member has its own first weights, and is trained on its own draw (with replacement) of the
    transitions. The weights of the epoch with the least validation error are kept.

    Args:
        data: the dataset.
        task: names of states and actions.
        settings: settings of the networks.
        report: called with the number of each epoch, and its training and validation error (mean
            squares of normalised changes).
    """
    is_angle = [name in task.angle_names for name in task.state_names]
    generator = torch.Generator().manual_seed(settings.seed)
    inputs, changes = _transitions(data.training, is_angle)
    scale = {
        "input_mean": inputs.mean(1),
        "input_std": inputs.std(1).clamp(min=1e-6),
        "output_mean": changes.mean(1),
        "output_std": changes.std(1).clamp(min=1e-6),
    }

    def normalised(inputs: torch.Tensor, changes: torch.Tensor):
        return (
            (inputs - scale["input_mean"][:, None]) / scale["input_std"][:, None],
            (changes - scale["output_mean"][:, None]) / scale["output_std"][:, None],
        )

    inputs, changes = normalised(inputs, changes)
    held_inputs, held_changes = normalised(*_transitions(data.validation, is_angle))
    members, count = settings.members, inputs.shape[1]
    held_inputs = held_inputs.expand(members, -1, -1)
    sizes = [len(inputs), *settings.hidden, len(changes)]
    layers = []
    for fan_in, fan_out in itertools.pairwise(sizes):
        weight = torch.randn(members, fan_out, fan_in, generator=generator) / math.sqrt(fan_in)
        layers += [weight.requires_grad_(), torch.zeros(members, fan_out, 1, requires_grad=True)]
    drawn = torch.randint(count, (members, count), generator=generator)
    optimiser = torch.optim.AdamW(layers, lr=settings.rate, weight_decay=settings.decay)
    batches = math.ceil(count / settings.batch)
    best, best_error, best_epoch = [], math.inf, 0
    for epoch in range(settings.epochs):
        share = 0.55 + 0.45 * math.cos(math.pi * epoch / settings.epochs)
        for group in optimiser.param_groups:
            group["lr"] = settings.rate * share
        total = 0.0
        for batch in torch.randperm(count, generator=generator).chunk(batches):
            index = drawn[:, batch]
            wanted = changes[:, index].transpose(0, 1)
            loss = (_networks(layers, inputs[:, index].transpose(0, 1)) - wanted).square().mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            total += loss.item() * len(batch) / count
        with torch.no_grad():
            error = (_networks(layers, held_inputs) - held_changes).square().mean().item()
        report(epoch, total, error)
        if error < best_error:
            best, best_error, best_epoch = [t.detach().clone() for t in layers], error, epoch
        elif epoch - best_epoch >= settings.patience:
            break
    if not best:
        raise ConfigurationError("training failed: the validation error is never a finite number")
    for index in range(len(sizes) - 1):
        scale[f"layer{index}.weight"], scale[f"layer{index}.bias"] = best[2 * index : 2 * index + 2]
    return {name: tensor.contiguous() for name, tensor in scale.items()}


def _networks(layers: Sequence[torch.Tensor], values: torch.Tensor) -> torch.Tensor:
    """Return the outputs (P, out, N) of P networks for inputs (P, in, N)."""
    for index in range(0, len(layers), 2):
        values = torch.nn.functional.silu(values) if index else values
        values = torch.baddbmm(layers[index + 1], layers[index], values)
    return values


def _transitions(
    segments: Sequence[Segment], is_angle: Sequence[bool]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs of networks (inputs, N), and the changes (nx, N) of the state."""
    states = np.concatenate([s.states[:-1] for s in segments])
    actions = np.concatenate([s.actions for s in segments])
    changes = np.concatenate([np.diff(s.states, axis=0) for s in segments])
    state, action, change = (
        torch.tensor(values.T, dtype=torch.float32) for values in (states, actions, changes)
    )
    return features(state, action, is_angle), change


@torch.no_grad()
def errors(model: Ensemble, segments: Sequence[Segment], horizon: int) -> Errors:
    """Return the errors of predictions over 1..H steps; the model predicts the members' mean."""
    longest = max(len(s.actions) for s in segments) - 1
    horizon = max(1, min(horizon, longest))
    starts = [
        (s, k)
        for s in segments
        for k in range(1, len(s.actions) - horizon + 1)  # One step before is needed.
    ]
    if not starts:
        raise ConfigurationError("no segment of the data is three steps long")
    starts = starts[:: math.ceil(len(starts) / MAX_STARTS)]
    states = np.concatenate([s.states for s in segments])
    # Angles spread around their mean direction, within one turn.
    directions = np.angle(np.exp(1j * states).mean(0))
    within = np.remainder(states - directions + np.pi, 2 * np.pi) - np.pi
    spread = np.where(model.is_angle, within, states).std(0)[:, None] + 1e-9
    true = np.stack([s.states[k - 1 : k + horizon + 1] for s, k in starts], -1)
    actions = np.stack([s.actions[k : k + horizon] for s, k in starts], -1)
    first, last_change = true[1], true[1] - true[0]
    columns = torch.tensor(first, dtype=torch.float32).repeat(1, model.members)
    dt = torch.tensor(model.dt)
    sums: dict[str, list[float]] = {"model": [], "unchanged": [], "constant_velocity": []}
    for step in range(horizon):
        action = torch.tensor(actions[step], dtype=torch.float32).repeat(1, model.members)
        columns = model.step(columns, action, dt)
        guesses = {
            "model": columns.view(len(first), model.members, -1).mean(1).numpy(),
            "unchanged": first,
            "constant_velocity": first + (step + 1) * last_change,
        }
        for name, guess in guesses.items():
            error = (guess - true[step + 2]) / spread
            sums[name].append(float(np.sqrt(np.mean(error**2))))
    return Errors(**{name: np.array(values) for name, values in sums.items()})


def write(
    folder: Path,
    name: str,
    tensors: dict[str, torch.Tensor],
    task: Task,
    settings: TrainingSettings,
    data: Dataset,
) -> Ensemble:
    """Write NAME.safetensors and NAME.json into a folder, and return the model."""
    from safetensors.torch import save_file

    content = {
        "state_names": task.state_names,
        "action_names": task.action_names,
        "action_units": task.action_units,
        "angle_names": task.angle_names,
        "action_low": task.action_low,
        "action_high": task.action_high,
        "dt": task.dt,
        "training": asdict(settings),
        "data": data.statistics,
        "notes": data.notes,
    }
    file = folder / f"{name}.safetensors"
    save_file(tensors, file)
    file.with_suffix(".json").write_text(json.dumps(content, indent=2) + "\n")
    return Ensemble({"file": str(file.resolve())})


def add_errors(file: Path, found: Errors) -> None:
    """Add the errors to the JSON of a model."""
    content = json.loads(file.read_text())
    content["errors"] = {
        name: [round(float(v), 6) for v in values] for name, values in vars(found).items()
    }
    file.write_text(json.dumps(content, indent=2) + "\n")


def plot(found: Errors, dt: float, file: Path) -> None:
    """Write a picture (PNG) of the errors over the steps."""
    plt = pyplot()
    figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
    steps = np.arange(1, len(found.model) + 1)
    axis.semilogy(steps, found.model, linewidth=2.0, label="model")
    axis.semilogy(steps, found.unchanged, "--", label="nothing changes")
    axis.semilogy(steps, found.constant_velocity, ":", label="constant velocity")
    axis.set(xlabel=f"steps of {dt:g} s", ylabel="error of unseen data [std of the states]")
    axis.legend()
    axis.grid(alpha=0.3, which="both")
    figure.savefig(file, dpi=110)
    plt.close(figure)
