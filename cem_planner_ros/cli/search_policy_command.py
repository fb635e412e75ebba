# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Search the weights of a linear policy."""

from __future__ import annotations

import argparse
from dataclasses import fields, replace
from pathlib import Path

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning.plots import pyplot
from cem_planner_ros.learning.policy_search import SEED_NOTE, TRIALS, PolicySearchSettings, search

TEXTS = {
    "candidates": "policies an iteration",
    "elite_share": "share of them that is refitted to",
    "iterations": "how often to sample and refit",
    "episodes": "of each candidate, whose mean return counts",
    "max_steps": "at which an episode is cut (default: that of the environment)",
    "std_min": "floor of the std of the weights",
    "seed": "of weights and episodes",
}
LIMITS = {
    **dict.fromkeys(("candidates", "iterations", "episodes", "max_steps"), (1, 10**6)),
    "elite_share": (0.0, 1.0),
    "std_min": (0.0, 1e6),
    "seed": (0, 2**31 - 1),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare environment, settings and where the results go."""
    parser.add_argument("--env", required=True, help="Gymnasium environment, such as CartPole-v1")
    parser.add_argument(
        "--notebook",
        action="store_true",
        help=f"begin with the settings of the usual notebook: {SEED_NOTE.candidates} candidates, "
        f"{SEED_NOTE.elite_share:.0%} elites, {SEED_NOTE.iterations} iterations, "
        f"{SEED_NOTE.max_steps} steps".replace("%", "%%"),
    )
    for field in fields(PolicySearchSettings):
        kind = float if field.name in ("elite_share", "std_min") else int
        default = f" (default: {field.default})" if field.default is not None else ""
        option = "--" + field.name.replace("_", "-")
        parser.add_argument(option, type=kind, metavar="X", help=TEXTS[field.name] + default)
    for what, does in (("states", "sees"), ("actions", "does")):
        parser.add_argument(
            f"--{what}",
            nargs="+",
            metavar="NAME",
            default=(),
            help=f"what the policy {does}, in the environment's order and as the model that shall "
            "use it calls them (default: known of CartPole alone)",
        )
    parser.add_argument(
        "--out", type=Path, default=Path("policy.yaml"), metavar="FILE", help="default: %(default)s"
    )
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="the returns as a picture")


def run(options: argparse.Namespace) -> int:
    """Print the returns of each iteration and write the policy."""
    settings = SEED_NOTE if options.notebook else PolicySearchSettings()
    given = {name: getattr(options, name) for name in TEXTS if getattr(options, name) is not None}
    for name, value in given.items():
        low, high = LIMITS[name]
        if not low <= value <= high:
            option = "--" + name.replace("_", "-")
            raise ConfigurationError(f"{option} is {value}, allowed: from {low:g} to {high:g}")
    settings = replace(settings, **given)
    for option, file in (("--out", options.out), ("--plot", options.plot)):
        if file is not None and not file.parent.is_dir():
            raise ConfigurationError(f"{option} {file}: there is no folder {file.parent}")
    if options.plot is not None and options.plot.suffix != ".png":
        raise ConfigurationError(f"--plot {options.plot}, allowed: a name that ends with .png")

    def report(iteration: int, returns: np.ndarray) -> None:
        print(
            f"iteration {iteration + 1:3d}/{settings.iterations}: return least {returns.min():8.1f}"
            f"  mean {returns.mean():8.1f}  best {returns.max():8.1f}",
            flush=True,
        )

    found = search(options.env, settings, report, options.states, options.actions)
    print(
        f"the mean policy in {TRIALS} fresh episodes: return least {found.trials.min():.1f}, "
        f"mean {found.trials.mean():.1f}"
    )
    try:
        found.policy.save(options.out)
        if options.plot:
            _plot(options.env, found.returns, options.plot)
    except OSError as error:
        raise ConfigurationError(f"cannot be written: {error}") from error
    print(f"wrote {options.out}" + (f" and {options.plot}" if options.plot else ""))
    return 0


def _plot(name: str, returns: np.ndarray, file: Path) -> None:
    """Write the returns (iterations, N) as PNG: every candidate, and their mean."""
    plot = pyplot()
    figure, axis = plot.subplots(figsize=(7, 4), layout="constrained")
    iterations = np.arange(1, len(returns) + 1)
    axis.plot(np.repeat(iterations, returns.shape[1]), returns.ravel(), ".", alpha=0.4)
    axis.plot(iterations, returns.mean(1), linewidth=2.0, label="mean of the candidates")
    axis.set(title=name, xlabel="iteration", ylabel="return")
    axis.legend()
    axis.grid(alpha=0.3)
    figure.savefig(file, dpi=110)
    plot.close(figure)
