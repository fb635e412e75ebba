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
from cem_planner_ros.benchmarks import robot_episodes
from cem_planner_ros.cli.drive_demo import draw_world
from cem_planner_ros.configuration import Configuration, configure, load_yaml
from cem_planner_ros.control.loop import ControlLoop
from cem_planner_ros.control.tick import StateSample, Tick
from cem_planner_ros.paths import share
from cem_planner_ros.simulation import walking, worlds
from cem_planner_ros.simulation.figure_eight import FigureOfEight
from cem_planner_ros.simulation.lockstep import Lockstep
from cem_planner_ros.simulation.plants import ModelPlant
from cem_planner_ros.studies import episode
from cem_planner_ros.studies.courses import WorldCourse

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


def legend(drawn: pyplot.Figure, axis: pyplot.Axes) -> None:
    """Put the legend of an axis above all of them, where it hides nothing."""
    handles, labels = axis.get_legend_handles_labels()
    drawn.legend(
        handles, labels, loc="outside upper center", ncols=max(1, len(labels)), frameon=False
    )


def candidates() -> pyplot.Figure:
    """Draw the candidates of the first and of the fourth iteration of one plan."""
    drawn, axes = figure(columns=2)
    for axis, iterations in zip(axes, (1, 4), strict=True):
        planner = cem.load("cartpole.yaml", planner__device="cpu", planner__iterations=4)
        plan = planner.plan(HANGING, time=0.0, iterations=iterations)
        actions = planner.candidates(80).actions[:, 0]
        elites, others = np.split(actions, 2, axis=1)
        steps = plan.edges[:-1] - plan.edges[0]
        for sequences, color, label in ((others, GREY, "others"), (elites, ORANGE, "elites")):
            lines = axis.plot(steps, sequences, color=color, linewidth=0.5)
            lines[0].set_label(label)
        axis.plot(steps, plan.actions[:, 0], color="black", linewidth=1.5, label="plan")
        axis.set(title=f"iteration {iterations}", xlabel="time in the plan [s]", ylim=(-11, 11))
    axes[0].set_ylabel("force [N]")
    legend(drawn, axes[0])
    return drawn


def warm_start() -> pyplot.Figure:
    """Draw three plans, 0.3 s apart, over absolute time."""
    drawn, axis = figure()
    colours = iter((BLUE, ORANGE, "black"))
    planner = cem.load("cartpole.yaml", planner__device="cpu")
    state, action = HANGING, None
    for tick in range(31):
        plan = planner.plan(state, tick * PERIOD, action)
        if tick % 15 == 0:
            axis.stairs(
                *(plan.actions[:, 0], plan.edges),
                baseline=None,
                color=next(colours),
                linewidth=1.5,
                label=f"plan made at {tick * PERIOD:.1f} s",
            )
        action = plan.action_at(tick * PERIOD)
        step = cem.Plan(np.array([0.0, PERIOD]), action[None], 0.0, 0, 0.0)
        state = planner.predict(step, state)[-1]
    axis.set(xlabel="absolute time [s]", ylabel="force [N]")
    legend(drawn, axis)
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
    """A planner that notes when it predicts and plans, and that takes too long once."""

    def __init__(self, planner: cem.Planner, slow: int):
        self._planner, self._slow = planner, slow
        self.predictions: list[tuple[float, float]] = []
        self.plans: list[tuple[float, float]] = []

    def predict(self, *arguments) -> np.ndarray:
        """Predict, as the planner does."""
        began = time.monotonic()
        states = self._planner.predict(*arguments)
        self.predictions.append((began, time.monotonic()))
        return states

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
    slow, first, last = 30, 29, 32
    planner = _Watched(configuration.planner(), slow)
    ticks: list[Tick] = []
    stop = threading.Event()

    def report(tick: Tick) -> None:
        ticks.append(tick)
        if len(ticks) == last + 2:
            stop.set()

    states: dict[float, float] = {}

    def newest() -> StateSample:
        """Return a state as an estimator sends it, 200 times a second; note when it is read."""
        now = time.monotonic()
        states[now] = 0.005 * (now // 0.005)
        return StateSample(HANGING, states[now])

    loop = ControlLoop(planner, configuration, newest, lambda action: None, report)
    loop.run(stop)
    drawn, axis = figure(size=(7.0, 3.0))
    origin, end = ticks[first].scheduled, 1e3 * PERIOD * (last - first)

    def bars(row: int, times: list[tuple[float, float]], color: str, label: str) -> None:
        """Draw times (begin, end) as bars of a row."""
        spans = [(1e3 * (begin - origin), 1e3 * (until - begin)) for begin, until in times]
        shown = [span for span in spans if 0.0 <= span[0] < end]
        axis.broken_barh(shown, (row - 0.3, 0.6), color=color, label=label)

    rows = ("command", "watchdog", "plan", "prediction", "state")
    settings = configuration.control_settings
    for tick in ticks[first:last]:
        begin = 1e3 * (tick.scheduled - origin)
        axis.axvline(begin, color="black", linewidth=0.8)
        budget = 1e3 * PERIOD * settings.budget_fraction
        label = "budget" if tick is ticks[first] else ""
        axis.barh(2.5, budget, left=begin, height=1.8, color="0.92", label=label)
    for label, color, status in (
        ("command of a fresh plan", BLUE, "fresh"),
        ("command of the previous plan", ORANGE, "previous_plan"),
    ):
        sent = [1e3 * (tick.published - origin) for tick in ticks if tick.status == status]
        axis.plot(sent, np.zeros(len(sent)), "v", color=color, markersize=9, label=label)
        if status == "previous_plan":
            axis.plot(sent, np.ones(len(sent)), "|", color=color, markersize=14, markeredgewidth=3)
    bars(2, planner.plans, BLUE, "plan")
    bars(3, planner.predictions, "black", "prediction")
    for read, stamp in states.items():
        if 0.0 <= 1e3 * (read - origin) < end:
            axis.plot(1e3 * (stamp - origin), 4, "ko", markersize=5)
    axis.set(
        yticks=range(len(rows)),
        yticklabels=rows,
        xlabel="time [ms]",
        xlim=(-4, end),
        ylim=(-0.6, 4.5),
    )
    handles, labels = axis.get_legend_handles_labels()
    kept = [n for n, label in enumerate(labels) if label not in ("plan", "prediction")]
    drawn.legend(
        [handles[n] for n in kept],
        [labels[n] for n in kept],
        loc="outside upper center",
        ncols=3,
        frameon=False,
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
    legend(drawn, axis)
    return drawn


def data_flow() -> pyplot.Figure:
    """Draw who sends what to whom."""
    drawn, axis = figure(size=(7.0, 2.6))
    boxes = {
        "robot, simulator\nor Gazebo": (0.0, 0.5),
        "state": (1.0, 1.0),
        "predict": (1.8, 1.0),
        "search": (2.7, 1.0),
        "model and costs\n(plugins)": (3.9, 1.0),
        "goal, path, costmap,\nreferences": (3.9, 0.0),
        "command ladder,\nlimits, watchdog": (2.3, 0.0),
        "command": (1.0, 0.0),
    }
    drawn_boxes = []
    for text, (x, y) in boxes.items():
        is_topic = text in ("state", "command") or text.startswith(("robot", "goal"))
        style = {"boxstyle": "round,pad=0.5", "fc": "white" if is_topic else "#cfe3f3"}
        box = axis.text(x, y, text, ha="center", va="center", fontsize=9, bbox=style)
        drawn_boxes.append(box.get_bbox_patch())
    robot, state, predict, search, model, goal, ladder, command = range(len(boxes))
    places = list(boxes.values())
    for begin, end in (
        (robot, state),
        (state, predict),
        (predict, search),
        (model, predict),
        (model, search),
        (goal, model),
        (search, ladder),
        (ladder, command),
        (command, robot),
    ):
        arrow = {"arrowstyle": "->", "color": "black", "shrinkA": 2, "shrinkB": 2}
        if (begin, end) == (model, predict):
            arrow["connectionstyle"] = "arc3,rad=0.35"
        ends = {"patchA": drawn_boxes[begin], "patchB": drawn_boxes[end]}
        axis.annotate("", places[end], places[begin], arrowprops=arrow | ends)
    axis.set(xlim=(-0.55, 4.55), ylim=(-0.4, 1.7))
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


def driving() -> pyplot.Figure:
    """Draw the way of a robot through rooms with obstacles that its path does not know."""
    file = share("config") / "drive.yaml"
    configuration = configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))
    padding = configuration.values["drive.moving_obstacles_padding"]
    course = WorldCourse("rooms", 0, padding)
    way = episode.drive(configuration, configuration.planner(), course, 60.0).states
    drawn, axis = figure(size=(7.0, 3.3))
    draw_world(axis, worlds.load("rooms", 0))
    axis.plot(*way[:, :2].T, color=BLUE, label="way driven")
    for pose in way[::40, :3]:
        axis.plot(*configuration.footprint.at(*pose).T, color=BLUE, linewidth=0.6)
    legend(drawn, axis)
    return drawn


def flight() -> pyplot.Figure:
    """Draw the quadrotor on a figure of eight that changes every second, from above."""
    configuration, planner = robot_episodes.prepared("quadrotor.yaml")
    times, way, _ = robot_episodes.flown(configuration, planner, 0, 12.0)
    wanted = FigureOfEight(0).position(times[times >= 0.0])
    drawn, axis = figure(size=(7.0, 3.6))
    axis.plot(*wanted[:, :2].T, "k--", linewidth=0.8, label="figure of eight")
    axis.plot(*way[:, :2].T, color=BLUE, label="way flown")
    axis.set(xlabel="x [m]", ylabel="y [m]", aspect="equal")
    legend(drawn, axis)
    return drawn


def walk() -> pyplot.Figure:
    """Draw the velocity of the quadruped beside what is commanded, and a push."""
    configuration, planner = robot_episodes.prepared("quadruped.yaml")
    motion, _ = robot_episodes.walked(configuration, planner, 0, walking.DURATION)
    times = np.arange(0.0, walking.DURATION, PERIOD)
    stride = np.full(round(walking.STRIDE / PERIOD), PERIOD / walking.STRIDE)
    wanted = np.array([walking.command_at(time) for time in times])
    drawn, axes = figure(rows=4, size=(7.0, 5.0))
    labels = ("forward\n[m/s]", "sideways\n[m/s]", "turning\n[rad/s]")
    for axis, label, measured, command in zip(
        axes, labels, motion.velocities.T, wanted.T, strict=False
    ):
        mean = np.convolve(np.interp(times, motion.times, measured), stride, mode="same")
        axis.plot(times, command, "k--", linewidth=0.8, label="commanded")
        axis.plot(times, mean, color=BLUE, label="walked, mean of a stride")
        axis.set(ylabel=label, ylim=(-0.6, 0.8))
    axes[-1].plot(motion.times, motion.heights, color=ORANGE, label="height of the trunk")
    axes[-1].set(ylabel="height\n[m]", ylim=(0.0, 0.4), xlabel="time [s]")
    for axis in axes:
        axis.axvline(walking.PUSH_TIME, color=GREY, linewidth=1.0)
    axes[-1].text(walking.PUSH_TIME + 0.1, 0.04, "push of 20 N s")
    legend(drawn, axes[0])
    return drawn


def cartpole() -> FuncAnimation:
    """Film the swing-up of the cart-pole, with the motion that each plan foresees."""
    plant, lockstep = hanging(configured())
    states, actions, foreseen = [], [], []
    for _ in range(round(4.0 / PERIOD)):
        states.append(plant.state())
        tick = lockstep.period()
        actions.append(tick.action[0])
        foreseen.append(lockstep.loop.planner.predict(tick.plan, states[-1]))
    drawn, axis = figure(size=(6.0, 2.7))
    axis.set(xlim=(-1.4, 1.4), ylim=(-0.6, 0.6), aspect="equal", yticks=[], xlabel="x [m]")
    axis.spines["left"].set_visible(False)
    axis.axhline(0.0, color=GREY, linewidth=1.0)
    (plan,) = axis.plot([], [], color=BLUE, linewidth=1.5, label="tip of the pole as planned")
    (cart,) = axis.plot([], [], color="black", linewidth=14, solid_capstyle="butt")
    (pole,) = axis.plot([], [], color=ORANGE, linewidth=4, solid_capstyle="round")
    (push,) = axis.plot([], [], color="black", linewidth=2, label="force")
    text = axis.text(-1.35, -0.55, "")
    legend(drawn, axis)

    def tip(state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return state[..., 0] + 0.5 * np.sin(state[..., 2]), 0.5 * np.cos(state[..., 2])

    def show(frame: int) -> None:
        x = states[frame][0]
        (tip_x, tip_z), force = tip(states[frame]), actions[frame]
        plan.set_data(*tip(foreseen[frame]))
        cart.set_data([x - 0.15, x + 0.15], [0.0, 0.0])
        pole.set_data([x, tip_x], [0.0, tip_z])
        push.set_data([x, x + 0.04 * force], [-0.12, -0.12])
        text.set_text(f"{frame * PERIOD:.1f} s   {force:+5.1f} N")

    return FuncAnimation(drawn, show, frames=range(0, len(states), 2), blit=False)


PICTURES = (
    data_flow,
    candidates,
    warm_start,
    period,
    ladder,
    smoothness,
    driving,
    flight,
    walk,
    cartpole,
)


def main(names: list[str]) -> None:
    """Draw the pictures of these names, or all."""
    FOLDER.mkdir(exist_ok=True)
    for draw in PICTURES:
        if names and draw.__name__ not in names:
            continue
        made = draw()
        if isinstance(made, FuncAnimation):
            file = FOLDER / f"{draw.__name__}.gif"
            made.save(file, writer=PillowWriter(fps=25), dpi=100)
        else:
            file = FOLDER / f"{draw.__name__}.png"
            made.savefig(file, dpi=110)
        print(file, f"{file.stat().st_size / 1024:.0f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
