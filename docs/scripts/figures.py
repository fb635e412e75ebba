# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
Draws the pictures of docs/figures from runs: `python docs/scripts/figures.py [NAME ...]`.

Nothing is drawn by hand: each picture is of one run with a shipped configuration and a fixed seed.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import numpy as np
from matplotlib import pyplot
from matplotlib.animation import FuncAnimation, PillowWriter

import cem_planner_ros as cem
from cem_planner_ros.configuration import Configuration, configure, load_yaml
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.tick import StateSample, Tick
from cem_planner_ros.paths import share
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.simulation.plants import ModelPlant

FOLDER = Path(__file__).parents[1] / "figures"
HANGING = np.array([0.0, 0.0, np.pi, 0.0])
PERIOD = 0.02
GREY, BLUE, ORANGE = "0.75", "#1f77b4", "#d95f02"
FADED = {
    "fresh": "#cfe3f3",
    "previous_plan": "#fbd9b5",
    "fallback": "#f6b6b6",
    "stopped": "#c9c9c9",
}
"""The colour of each status."""


def figure(rows: int = 1, columns: int = 1, size: tuple[float, float] = (7.0, 3.2)):
    """Return a figure and its axes."""
    drawn, axes = pyplot.subplots(rows, columns, figsize=size, layout="constrained")
    for axis in np.ravel(axes):
        axis.spines[["top", "right"]].set_visible(False)
    return drawn, axes


def candidates() -> pyplot.Figure:
    """Draw the candidates of the first and of the fourth iteration of one plan."""
    drawn, axes = figure(columns=2)
    for axis, iterations in zip(axes, (1, 4), strict=True):
        planner = cem.load("cartpole.yaml", planner__device="cpu", planner__iterations=4)
        plan = planner.plan(HANGING, time=0.0, iterations=iterations)
        found = planner.candidates(80)
        elites = np.arange(len(found.costs)) < len(found.costs) // 2
        steps = plan.edges[:-1] - plan.edges[0]
        for sequence, is_elite in zip(found.actions[:, 0].T, elites, strict=True):
            axis.plot(steps, sequence, color=ORANGE if is_elite else GREY, linewidth=0.5)
        axis.plot(steps, plan.actions[:, 0], color="black", linewidth=1.5)
        axis.set(title=f"iteration {iterations}", xlabel="time in the plan [s]", ylim=(-11, 11))
    axes[0].set_ylabel("force [N]")
    return drawn


def warm_start() -> pyplot.Figure:
    """Draw three plans, half a second apart, over absolute time."""
    drawn, axis = figure()
    planner = cem.load("cartpole.yaml", planner__device="cpu")
    state, action = HANGING, None
    for tick in range(31):
        plan = planner.plan(state, tick * PERIOD, action)
        if tick % 15 == 0:
            shade = 0.3 + 0.35 * tick / 15
            axis.stairs(
                *(plan.actions[:, 0], plan.edges),
                baseline=None,
                color=pyplot.get_cmap("viridis")(min(shade, 1.0)),
                label=f"plan made at {tick * PERIOD:.1f} s",
            )
        action = plan.action_at(tick * PERIOD)
        step = cem.Plan(np.array([0.0, PERIOD]), action[None], 0.0, 0, 0.0)
        state = planner.predict(step, state)[-1]
    axis.set(xlabel="absolute time [s]", ylabel="force [N]")
    axis.legend(frameon=False, loc="lower right")
    return drawn


def configured(**changes) -> Configuration:
    """Return the configuration of the cart-pole, with other values."""
    file = share("config") / "cartpole.yaml"
    return configure(load_yaml(file) | {"planner.device": "cpu"} | changes, str(file))


def hanging(configuration: Configuration) -> tuple[ModelPlant, Lockstep]:
    """Return the cart-pole, hanging, and what runs it in lockstep with its planner."""
    plant = ModelPlant(configuration, HANGING)
    return plant, Lockstep(configuration, configuration.planner(), plant.state, plant.step)


def run(seconds: float, **changes) -> tuple[np.ndarray, np.ndarray]:
    """Return states and actions of the cart-pole in lockstep with its planner."""
    plant, lockstep = hanging(configured(**changes))
    states, actions = [], []
    for _ in range(round(seconds / PERIOD)):
        states.append(plant.state())
        actions.append(lockstep.period().action)
    return np.array(states), np.array(actions)


class _Watched:
    """A planner that notes when it plans, and that takes too long once."""

    def __init__(self, planner: cem.Planner, slow: int):
        self._planner, self._slow = planner, slow
        self.plans: list[tuple[float, float]] = []

    def plan(self, *arguments, **options) -> cem.Plan:
        """Plan, and in one period wait for longer than the period."""
        began = time.monotonic()
        plan = self._planner.plan(*arguments, **options)
        if len(self.plans) == self._slow:
            time.sleep(1.3 * PERIOD)
        self.plans.append((began, time.monotonic()))
        return plan

    def __getattr__(self, name: str):
        return getattr(self._planner, name)


def period() -> pyplot.Figure:
    """Draw periods of the control loop in real time, one of which has a plan that is late."""
    configuration = configured()
    slow, first, last = 30, 28, 32
    planner = _Watched(configuration.planner(), slow)
    ticks: list[Tick] = []
    stop = threading.Event()

    def report(tick: Tick) -> None:
        ticks.append(tick)
        if len(ticks) == last + 2:
            stop.set()

    loop = ControlLoop(
        planner,
        configuration,
        lambda: StateSample(HANGING, time.monotonic() - 0.002),
        lambda action: None,
        report,
    )
    loop.run(stop)
    drawn, axis = figure(size=(7.0, 2.6))
    origin = ticks[first].scheduled
    colours = {"fresh": BLUE, "previous_plan": ORANGE, "fallback": "red", "stopped": "black"}
    for tick in ticks[first:last]:
        begin = 1e3 * (tick.scheduled - origin)
        budget = 1e3 * PERIOD * configuration.values["budget_fraction"]
        axis.axvline(begin, color="black", linewidth=0.8)
        axis.barh(0, budget, left=begin, color="0.92")
        sent = 1e3 * (tick.published - origin)
        axis.plot(sent, 1, "v", color=colours[tick.status], markersize=9)
    for began, ended in planner.plans:
        left, right = 1e3 * (began - origin), 1e3 * (ended - origin)
        if 0.0 <= left < 1e3 * PERIOD * (last - first):
            axis.barh(0, right - left, left=left, height=0.4, color=BLUE)
    axis.set(
        yticks=(0, 1),
        yticklabels=("plan", "command"),
        xlabel="time [ms]",
        xlim=(-1, 1e3 * PERIOD * (last - first)),
        ylim=(-0.6, 1.5),
    )
    return drawn


def ladder() -> pyplot.Figure:
    """Draw command and status while planning fails for 0.8 s, in the middle of a swing-up."""
    _, lockstep = hanging(configured())
    drawn, axis = figure()
    shown = set()
    for tick in range(100):
        fails = 0.4 <= tick * PERIOD < 1.2
        lockstep.failure = RuntimeError("for the picture") if fails else None
        ticked = lockstep.period()
        left = tick * PERIOD
        label = "" if ticked.status in shown else ticked.status
        shown.add(ticked.status)
        axis.barh(0, PERIOD, left=left, height=24, color=FADED[ticked.status], label=label)
        axis.hlines(ticked.action[0], left, left + PERIOD, color="black", linewidth=1.5)
    axis.set(xlabel="time [s]", ylabel="force [N]", xlim=(0, 2), ylim=(-11, 11))
    drawn.legend(loc="outside upper center", ncols=4, frameon=False)
    return drawn


def data_flow() -> pyplot.Figure:
    """Draw who sends what to whom."""
    drawn, axis = figure(size=(7.0, 2.6))
    boxes = {
        "robot, simulator\nor Gazebo": (0.0, 0.5),
        "state": (1.0, 1.0),
        "predict": (2.0, 1.0),
        "search": (3.0, 1.0),
        "command ladder\nand limits": (2.0, 0.0),
        "command": (1.0, 0.0),
        "model and costs\n(plugins)": (4.0, 1.0),
        "goal, path, costmap,\nreferences": (4.0, 0.0),
    }
    for text, (x, y) in boxes.items():
        is_topic = text in ("state", "command") or text.startswith(("robot", "goal"))
        style = {"boxstyle": "round,pad=0.5", "fc": "white" if is_topic else "#cfe3f3"}
        axis.text(x, y, text, ha="center", va="center", fontsize=9, bbox=style)
    arrows = (
        ((0.1, 0.75), (0.8, 1.0)),
        ((1.2, 1.0), (1.7, 1.0)),
        ((2.3, 1.0), (2.7, 1.0)),
        ((3.6, 1.0), (3.3, 1.0)),
        ((3.0, 0.8), (2.4, 0.25)),
        ((4.0, 0.25), (4.0, 0.75)),
        ((1.5, 0.0), (1.28, 0.0)),
        ((0.75, 0.0), (0.1, 0.25)),
    )
    for begin, end in arrows:
        axis.annotate("", end, begin, arrowprops={"arrowstyle": "->", "color": "black"})
    axis.set(xlim=(-0.5, 4.7), ylim=(-0.4, 1.4))
    axis.axis("off")
    return drawn


def smoothness() -> pyplot.Figure:
    """Draw the force with white and with coloured noise."""
    drawn, axes = figure(2, size=(7.0, 4.0))
    times = np.arange(round(5.0 / PERIOD)) * PERIOD
    for axis, beta in zip(axes, (0.0, 2.0), strict=True):
        _, actions = run(5.0, **{"planner.noise_beta": beta})
        axis.plot(times, actions[:, 0], color=BLUE, linewidth=0.8)
        axis.set(ylabel="force [N]", title=f"noise_beta {beta:g}", ylim=(-11, 11))
    axes[-1].set_xlabel("time [s]")
    return drawn


def cartpole() -> FuncAnimation:
    """Film the swing-up of the cart-pole, with what the planner foresees."""
    states, actions = run(4.0)
    drawn, axis = figure(size=(5.6, 2.4))
    axis.set(xlim=(-2.2, 2.2), ylim=(-0.75, 0.75), aspect="equal", yticks=[])
    axis.spines["left"].set_visible(False)
    (cart,) = axis.plot([], [], color="black", linewidth=9, solid_capstyle="butt")
    (pole,) = axis.plot([], [], color=ORANGE, linewidth=3)
    text = axis.text(-2.1, 0.6, "")

    def show(frame: int) -> None:
        x, _, theta, _ = states[frame]
        cart.set_data([x - 0.15, x + 0.15], [0.0, 0.0])
        pole.set_data([x, x + 0.5 * np.sin(theta)], [0.0, 0.5 * np.cos(theta)])
        text.set_text(f"{frame * PERIOD:.1f} s   {actions[frame, 0]:+5.1f} N")

    return FuncAnimation(drawn, show, frames=range(0, len(states), 3), blit=False)


PICTURES = (data_flow, candidates, warm_start, period, ladder, smoothness, cartpole)


def main(names: list[str]) -> None:
    """Draw the pictures of these names, or all."""
    FOLDER.mkdir(exist_ok=True)
    for draw in PICTURES:
        if names and draw.__name__ not in names:
            continue
        made = draw()
        if isinstance(made, FuncAnimation):
            file = FOLDER / f"{draw.__name__}.gif"
            made.save(file, writer=PillowWriter(fps=17), dpi=80)
        else:
            file = FOLDER / f"{draw.__name__}.png"
            made.savefig(file, dpi=110)
        print(file, f"{file.stat().st_size / 1024:.0f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
