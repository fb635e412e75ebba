# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The page of a recorded run: a time slider, what was planned, and the same planned again."""

from __future__ import annotations

import html
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import viser
from viser import uplot

from cem_planner_ros.errors import describe
from cem_planner_ros.view import robots
from cem_planner_ros.view.live_plots import COLOURS
from cem_planner_ros.view.page_server import PageServer
from cem_planner_ros.view.panel import Panel
from cem_planner_ros.view.replay import PlannedAgain, Prediction, Replay
from cem_planner_ros.view.scene import Scene

PLAY_RATE = 10.0
"""Largest number of periods that are shown in a second while the run plays, Hz."""

LISTED = 6
"""Number of candidates whose costs are listed."""

CHANGED = "Planned again with **other parameters**: orange in the scene, broken lines in the plots."
NOT_JUDGED = "**The recorded plan cannot be judged:**"
AS_RECORDED = "Planned again with the parameters of the run. Change some below and look again."


class ReplayPage:
    """
    The page and its server.

    Args:
        replay: the run, and what plans it again.
        title: what is shown, such as the name of the file.
        robot_file: MJCF or URDF file of the robot to draw; "" for that of the model.
        host, port, token: as those of `PageServer`.
        save_to: folder for parameter files; None for no such button.

    Raises ConfigurationError if the page cannot be served there, or the robot file not be read.
    """

    def __init__(
        self,
        replay: Replay,
        *,
        title: str = "",
        robot_file: str = "",
        host: str = "127.0.0.1",
        port: int = 8080,
        token: str = "",
        save_to: Path | None = None,
    ):
        robot = robots.from_configuration(replay.configuration, robot_file)
        self.replay, self._run = replay, replay.run
        self.serving = PageServer(host, port, token)
        self.server = self.serving.viser
        self._lock, self._closed = threading.Lock(), threading.Event()
        self._shown = -1
        self._make(title, save_to)
        self.scene.use(robot)
        self.panel.fill(replay.configuration.parameters, replay.configuration.values)
        self.show(0)
        self._player = threading.Thread(target=self._play, daemon=True)
        self._player.start()

    def close(self) -> None:
        """End the server."""
        self._closed.set()
        self._player.join()
        self.serving.close()

    def _make(self, title: str, save_to: Path | None) -> None:
        gui = self.server.gui
        notes = "".join(f"<br>{html.escape(note)}" for note in self._run.notes)
        gui.add_html(f"<div style='padding:0.5em'><b>{html.escape(title)}</b>{notes}</div>")
        last = len(self._run.times) - 1
        self._slider = gui.add_slider("period", 0, max(last, 1), 1, 0)
        self._time = gui.add_markdown("")
        self._plays = gui.add_checkbox("Play", False)
        self._again = gui.add_button(
            "Plan this period again",
            hint="With the parameters below, from the recorded state and the plan before it.",
        )
        self._follow = gui.add_checkbox("Plan each period again that is shown", False)
        self._said = gui.add_markdown("")
        self.scene = Scene(self.server)
        tabs = gui.add_tab_group()
        with tabs.add_tab("Costs"):
            self._costs = gui.add_html("")
        with tabs.add_tab("Parameters"):
            self.panel = Panel(self.server, self.replay, save_to=save_to)
        with tabs.add_tab("Plans"):
            self._plots = [_Actions(gui, name) for name in self._names]
        self._slider.on_update(self._on_slider)
        self._again.on_click(lambda _: self.plan_again())

    @property
    def said(self) -> str:
        """What the page says of the plan that was made again, or why there is none."""
        return self._said.content

    @property
    def shown(self) -> int:
        """The number of the period that is shown, from 0 on."""
        return self._shown

    def play(self, plays: bool) -> None:
        """Show one period after the other, or no more."""
        self._plays.value = plays

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.replay.configuration.dynamics.action_names)

    def show(self, index: int, *, again: bool = False) -> None:
        """Show a period, planned again if asked for or if this is switched on."""
        with self._lock:
            index = min(index, len(self._run.times) - 1)
            self._shown = index
            self._time.content = (
                f"{self._run.times[index]:.3f} s, period {index + 1} of {len(self._run.times)}"
            )
            self.scene.show_state(self._run.states[index])
            self._show_surroundings(index)
            self.scene.hide_plans()
            recorded = self._recorded(index)
            if recorded is not None:
                self.scene.show_plan(recorded.states)
                self._show_footprints(index, recorded.states)
            made = self._planned_again(index) if again or self._follow.value else None
            self._costs.content = cost_table(recorded, made)
            for row, plot in enumerate(self._plots):
                plot.show(row, recorded, made)

    def _show_surroundings(self, index: int) -> None:
        """Show what the robot drove by in a period."""
        known = self.replay.run.known(index)
        moving = known.moving_obstacles
        if moving is not None:
            age = self._run.begin + float(self._run.times[index]) - moving.stamp
            known = replace(known, moving_obstacles=moving.after(age))
        self.scene.show_surroundings(known)
        guard = self.replay.configuration.stop_guard()
        if guard is not None:
            state, action = self._run.states[index], self._run.previous[index]
            safe = self.replay.configuration.control_settings.safe.at(state)
            self.scene.show_braking(guard.way(state, 0.0, action, safe), guard.footprint)

    def _show_footprints(self, index: int, states: np.ndarray) -> None:
        configuration = self.replay.configuration
        if configuration.footprint is not None:
            robot = configuration.planar_robot()
            poses = np.array([robot.pose(state) for state in states])
            self.scene.show_footprints(configuration.footprint, poses)

    def _on_slider(self, event: viser.GuiEvent) -> None:
        if event.client is not None:  # Else the page itself has moved it, and shows the period.
            self.show(int(self._slider.value))

    def plan_again(self) -> None:
        """Plan the shown period again."""
        self.show(self._shown, again=True)

    def _recorded(self, index: int) -> Prediction | None:
        try:
            return self.replay.recorded(index)
        except Exception as error:  # A plugin may raise anything; the page goes on.
            self._said.content = f"{NOT_JUDGED} {describe(error)}"
            return None

    def _planned_again(self, index: int) -> PlannedAgain | None:
        try:
            made = self.replay.again(index)
        except Exception as error:  # A plugin may raise anything; the page goes on.
            self._said.content = f"**Planning failed:** {describe(error)}"
            return None
        self._said.content = CHANGED if self.replay.is_changed else AS_RECORDED
        states = np.moveaxis(made.candidates.states, -1, 0)
        self.scene.show_candidates(states, made.candidates.costs, made.elites)
        self.scene.show_other_plan(made.prediction.states)
        return made

    def _play(self) -> None:
        while not self._closed.wait(1.0 / PLAY_RATE):
            if not self._plays.value:
                continue
            now = self._run.times[self._shown] + 1.0 / PLAY_RATE
            index = int(np.searchsorted(self._run.times, now))
            self._slider.value = index if index < len(self._run.times) else 0
            try:
                self.show(int(self._slider.value))
            except Exception as error:  # Whatever it is, the run plays on.
                self._said.content = f"**This period cannot be shown:** {describe(error)}"


class _Actions:
    """The actions of the recorded plan, and of the one made again, over the time in the plan."""

    def __init__(self, gui: viser.GuiApi, name: str):
        self._handle = gui.add_uplot(
            (np.array([0.0, 1.0]), *[np.array([np.nan, np.nan])] * 2),
            (
                uplot.Series(label="s"),
                uplot.Series(label="recorded", stroke=COLOURS[0], width=2.0, spanGaps=True),
                uplot.Series(
                    label="again", stroke=COLOURS[1], width=2.0, dash=[6, 4], spanGaps=True
                ),
            ),
            title=name,
            scales={"x": {"time": False}},
            height=170,
        )

    def show(self, row: int, recorded: Prediction | None, made: PlannedAgain | None) -> None:
        """Show action number `row` of the two plans."""
        plans = [
            None if recorded is None else recorded.plan,
            None if made is None else made.prediction.plan,
        ]
        known = [plan for plan in plans if plan is not None]
        if not known:
            return
        times = np.unique(np.concatenate([plan.edges[:-1] for plan in known]))
        columns = [
            np.full(len(times), np.nan)
            if plan is None
            else np.array([plan.action_at(time)[row] for time in times])
            for plan in plans
        ]
        self._handle.data = (times - times[0], *columns)


def cost_table(recorded: Prediction | None, made: PlannedAgain | None) -> str:
    """Return a table (HTML) with the cost by term: recorded plan, new plan, its candidates."""
    columns: dict[str, Mapping[str, float]] = {}
    if recorded is not None:
        columns["recorded"] = recorded.terms
    if made is not None:
        columns["again"] = made.prediction.terms
        listed = np.linspace(0, len(made.terms) - 1, min(LISTED, len(made.terms))).astype(int)
        for index in listed:
            kind = "elite" if index < made.elites else "other"
            columns[f"{kind} {index + 1}"] = made.terms[index]
    if not columns:
        return "No plan was recorded for this period."
    names = list(next(iter(columns.values())))
    rows = [["", *columns]]
    rows += [[name, *(f"{terms[name]:.4g}" for terms in columns.values())] for name in names]
    rows.append(["sum", *(f"{sum(terms.values()):.4g}" for terms in columns.values())])
    cell = "<td style='padding-right:0.8em'>{}</td>"
    body = "".join(
        f"<tr>{''.join(cell.format(html.escape(text)) for text in row)}</tr>" for row in rows
    )
    return f"<div style='font-size:0.8em;padding:0.5em;overflow-x:auto'><table>{body}</table></div>"
