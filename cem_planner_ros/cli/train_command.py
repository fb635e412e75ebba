# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Learn a model from bags."""

from __future__ import annotations

import argparse
import importlib.util
import os
import tempfile
from pathlib import Path

import torch

from cem_planner_ros.errors import ConfigurationError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments: data, parameter file, and output."""
    parser.add_argument(
        "--bag", type=Path, action="append", required=True, metavar="DIR", help="may be repeated"
    )
    parser.add_argument(
        "--config", type=Path, required=True, metavar="FILE.yaml", help="of the planner node"
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="MODEL", help="MODEL.safetensors, .json, .png"
    )
    parser.add_argument(
        "--angle",
        action="append",
        default=[],
        metavar="NAME",
        help="a state that is an angle, where the file's model does not say so; may be repeated",
    )
    parser.add_argument("--members", type=int, default=5, help="networks (default: %(default)s)")
    parser.add_argument(
        "--hidden",
        type=int,
        nargs="+",
        default=[64, 64],
        metavar="UNITS",
        help="of the hidden layers (default: 64 64)",
    )
    parser.add_argument("--epochs", type=int, default=150, help="at most (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument(
        "--force", action="store_true", help="write a model that is worse than a baseline, too"
    )


def run(options: argparse.Namespace) -> int:
    """Print notes about the data, the progress and the errors; write the model."""
    # What is long in importing, or may be missing, only now.
    from cem_planner_ros.learning import bags, dataset, training
    from cem_planner_ros.learning.task import load

    if importlib.util.find_spec("safetensors") is None:
        raise ConfigurationError("train needs safetensors (pip install safetensors)")
    for name, values in (
        ("--members", [options.members]),
        ("--hidden", options.hidden),
        ("--epochs", [options.epochs]),
        ("--seed", [options.seed + 1]),
    ):
        if min(values) < 1:
            raise ConfigurationError(f"{name} is too small, allowed: at least {name != '--seed':d}")
    if not options.out.parent.is_dir():
        raise ConfigurationError(f"--out {options.out}: there is no folder {options.out.parent}")
    task = load(options.config, options.angle)
    recordings = [bags.read(folder, task) for folder in options.bag]
    data = dataset.make(recordings, task)
    for note in data.notes:
        print(f"note: {note}")
    for name, value in data.statistics.items():
        if isinstance(value, dict):
            value = "  ".join(f"{key} {number:g}" for key, number in value.items())
        print(f"  {name:<17} {value}")
    settings = training.TrainingSettings(
        members=options.members,
        hidden=tuple(options.hidden),
        epochs=options.epochs,
        seed=options.seed,
    )

    def report(epoch: int, learned: float, held_out: float) -> None:
        if epoch % 10 == 0:
            print(f"epoch {epoch:4d}: error {learned:.5f}, held out {held_out:.5f}", flush=True)

    torch.set_num_threads(1)
    tensors = training.train(data, task, settings, report)
    with tempfile.TemporaryDirectory(dir=options.out.parent) as place:
        folder, name = Path(place), options.out.name
        model = training.write(folder, name, tensors, task, settings, data)
        found = training.errors(model, data.test, task.horizon)
        for step in sorted({1, len(found.model) // 2, len(found.model)} - {0}):
            print(
                f"error after {step:3d} steps: model {found.model[step - 1]:.4f}, nothing changes "
                f"{found.unchanged[step - 1]:.4f}, constant velocity "
                f"{found.constant_velocity[step - 1]:.4f}"
            )
        if found.worse_than and not options.force:
            raise ConfigurationError(
                f"the model is worse than {found.worse_than}, so it was not written: record more, "
                "or motion of other kinds; --force writes it"
            )
        training.add_errors(folder / f"{name}.json", found)
        training.plot(found, task.dt, folder / f"{name}.png")
        for suffix in ("json", "png", "safetensors"):
            os.replace(folder / f"{name}.{suffix}", options.out.parent / f"{name}.{suffix}")
    print(f"wrote {options.out}.safetensors, .json and .png")
    return 0
