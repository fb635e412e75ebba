# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The C++ of a model and its costs, to be put into a rollout on the CPU or on a GPU."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from cem_planner_ros.compile.translate import Translator, reads
from cem_planner_ros.compile.writer import LANES, UnsupportedError, Value, rows_of
from cem_planner_ros.planning.actuators import INSTANT
from cem_planner_ros.planning.cross_entropy import WEIGHTINGS
from cem_planner_ros.planning.particles import RISKS
from cem_planner_ros.planning.rollout import Rollout

CHOICES = {
    f"{setting}_{name.upper()}": index
    for setting, names in (("WEIGHTING", WEIGHTINGS), ("RISK", RISKS))
    for index, name in enumerate(names)
}
"""What the sources of the search call the weightings and risks, which they get as numbers."""

_SCALARS = Path(__file__).with_name("scalars.h")


def fill(template: Path, sizes: dict[str, int | float], parts: dict[str, str]) -> str:
    """
    Return the text of a source file with sizes defined before it and code put into it.

    Where code is put into it, what that calls (`scalars.h`) stands before it too.
    """
    text = "".join(f"#define {name} {size}\n" for name, size in sizes.items())
    if parts:
        text += _SCALARS.read_text()
    text += template.read_text()
    for name, code in parts.items():
        text = text.replace(f"/* {name} */", code)
    return text


def step_code(
    rollout: Rollout, device: torch.device | str = "cpu"
) -> tuple[dict[str, int | float], dict[str, str], list[torch.Tensor]]:
    """
    Return sizes (NX, NU, INSTANT), the code of NUMBERS, STEP and TERMINAL, and `numbers`.

    Raises UnsupportedError if the model or a cost has no translation.
    """
    if rollout.dynamics.members > 1:
        raise UnsupportedError("the model has members, which run side by side in PyTorch")
    nx, nu = len(rollout.dynamics.state_names), len(rollout.dynamics.action_names)
    numbers: list[torch.Tensor] = []

    def lanes(name: str, rows: int) -> Value:
        return Value(rows_of([f"{name}[{i}][lane]" for i in range(rows)], (rows, 1)), lane=1)

    def example(*shape: int) -> torch.Tensor:
        return torch.rand(shape, device=device)

    state, applied = lanes("state", nx), lanes("applied", nu)
    action, previous = lanes("action", nu), lanes("previous", nu)
    time, duration = (Value(rows_of([name], ()), None) for name in ("time", "duration"))
    examples = [example(nx, LANES), *(example(nu, LANES) for _ in range(3)), example(), example()]

    step = Translator(numbers)
    next_state, cost = step.translate(
        rollout.step, [state, applied, action, previous, time, duration], examples
    )
    terminal = Translator(numbers)
    last = terminal.translate(rollout.terminal, [state], examples[:1])
    for what, value, shape in (
        ("dynamics.step returned", next_state, (nx, 1)),
        ("the stage costs are", cost, (1,)),
        ("the terminal costs are", last, (1,)),
    ):
        if value.rows.shape != shape or value.lane != len(shape) - 1:
            expected = (*shape[:-1], "N")
            raise UnsupportedError(f"{what} of the wrong shape, expected {expected}")
    # A model may only move its states about, so all are read before any is written.
    moves = [f"const float next{i} = {row};" for i, row in enumerate(next_state.rows[:, 0])]
    moves += [f"state[{i}][lane] = next{i};" for i in range(nx)]
    moves += [f"previous[{i}][lane] = action[{i}][lane];" for i in range(nu)]
    code = "\n".join([*step.lines, *terminal.lines, cost.rows.item(), last.rows.item(), *moves])
    read = list(dict.fromkeys(re.findall(r"\bn(\d+)_(\d+)\b", code)))
    parts = {
        # Read in a branch, a number would keep the loop from being vectorised.
        "NUMBERS": reads(numbers, read),
        "STEP": "\n".join([*step.lines, f"cost[lane] += {cost.rows.item()};", *moves]),
        "TERMINAL": "\n".join([*terminal.lines, f"cost[lane] += {last.rows.item()};"]),
    }
    return {"NX": nx, "NU": nu, "INSTANT": INSTANT}, parts, numbers


def traceable(rollout: Rollout) -> Rollout:
    """
    Return the rollout to trace: that of the first member, where the model has several.

    Raises UnsupportedError if the members cannot be run one by one.
    """
    if rollout.dynamics.members == 1:
        return rollout
    if rollout.dynamics.member is None:
        raise UnsupportedError("the model has members, which run side by side in PyTorch")
    if rollout.particles.propagation != "all":
        raise UnsupportedError(f"candidates run through members as {rollout.particles.propagation}")
    return Rollout(rollout.dynamics.member, rollout.costs, rollout.dt)
