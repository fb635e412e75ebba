# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The page: what stands where, and what its buttons do."""

from __future__ import annotations

import contextlib
import html
import math
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import viser

from cem_planner_ros.view.live_plots import Plot, Plots, TimeSeries
from cem_planner_ros.view.page_server import PageServer
from cem_planner_ros.view.panel import Panel, Setter
from cem_planner_ros.view.scene import Scene

LEVELS = ("#2b8a3e", "#e67700", "#c92a2a", "#868e96")
"""Colours of OK, WARN, ERROR and STALE, by the levels of diagnostic_msgs."""

LIFECYCLE, CONTROL = ("Configure", "Activate", "Deactivate"), ("Pause", "Go on", "Reset")

NO_STATISTICS = "Times and costs are missing while the parameter `publish_statistics` is off."

OWN_STOP = 2.5
"""Time for which `/diagnostics` may still say what was before a press on this page, s."""

SEARCH = ("search std (%)", "elite spread (%)")
"""Values of `/diagnostics` that are plotted."""

MOST_STATES = 5
"""Number of states in the plot of states and predictions; more are chosen by a list."""

BETWEEN = ", "
"""Stands between names of states in the list."""

TIMES = ("plan_ms", "margin_ms")
COST_TERM = "cost."


class Operating(Setter, Protocol):
    """What the page asks of the node. No method waits for an answer."""

    def transition(self, name: str) -> None:
        """Ask for a lifecycle transition: configure, activate or deactivate."""

    def pause(self, is_paused: bool) -> None:
        """Pause control, or end the pause."""

    def reset(self) -> None:
        """Have the planner forget the last plan."""

    def emergency_stop(self, is_pressed: bool) -> None:
        """Press or release the emergency stop."""

    def send_goal(self, x: float, y: float, yaw: float) -> None:
        """Send a goal, m and rad."""


class Page:
    """
    The page and its server.

    The methods that show something may be called at any time, by one thread.

    Args:
        operating: the node behind the page.
        host, port, token: as those of `PageServer`.
        save_to: folder on the robot for parameter files; None for no such button.
        read_only: whether the page only shows.

    Raises ConfigurationError if the page cannot be served there.
    """

    def __init__(
        self,
        operating: Operating,
        *,
        host: str = "127.0.0.1",
        port: int = 8080,
        token: str = "",
        save_to: Path | None = None,
        read_only: bool = False,
    ):
        self._operating, self._read_only = operating, read_only
        self.serving = PageServer(host, port, token)
        self.server = self.serving.viser
        self.statistics, self.search, self.plan = TimeSeries(), TimeSeries(), TimeSeries()
        """The numbers of `~/statistics`, of the search, and of states and commands."""
        gui = self.server.gui
        self._status = gui.add_html(_badge("waiting for the node", LEVELS[3]))
        self._stop = gui.add_button(
            "EMERGENCY STOP",
            color="red",
            disabled=read_only,
            hint="Only the safe command is sent, until it is released and the node activated.",
        )
        self._is_pressed: bool | None = None  # Not known yet.
        self._stop_shown = -math.inf
        self._stop_said = gui.add_html("")
        with gui.add_folder("Operation"):
            self._buttons()
        self.scene = Scene(self.server, None if read_only else operating.send_goal)
        tabs = gui.add_tab_group()
        with tabs.add_tab("State"):
            self._problem = gui.add_markdown("")
            self._diagnostics = gui.add_html("")
        with tabs.add_tab("Parameters"):
            self.panel = Panel(self.server, operating, save_to=save_to, read_only=read_only)
        with tabs.add_tab("Plots"):
            self._asks_for_statistics = gui.add_button(
                "Publish statistics", visible=False, disabled=read_only
            )
            self._asks_for_statistics.on_click(lambda _: self.publish_statistics())
            self.plots = Plots(gui)
            self._add_plots()
        self.tabs = tabs
        """The tabs, to which others may be added."""

    def close(self) -> None:
        """End the server."""
        self.serving.close()

    @property
    def stop_text(self) -> str:
        """What the page says of the emergency stop."""
        return html.unescape(re.sub("<[^>]*>", "", self._stop_said.content))

    def _buttons(self) -> None:
        gui, operating = self.server.gui, self._operating
        off = self._read_only
        self._release = gui.add_button("Release the emergency stop", disabled=off)
        lifecycle = gui.add_button_group("Lifecycle", LIFECYCLE, disabled=off)
        control = gui.add_button_group(
            "Control",
            CONTROL,
            disabled=off,
            hint="Reset: the planner forgets its last plan (warm start).",
        )
        self._answer = gui.add_markdown("")
        if off:
            return

        # A coroutine runs in the thread of the server at once, however busy the others are.
        @self._stop.on_click
        async def _(_: viser.GuiEvent) -> None:
            operating.emergency_stop(True)

        @self._release.on_click
        async def _(_: viser.GuiEvent) -> None:
            operating.emergency_stop(False)

        lifecycle.on_click(lambda event: operating.transition(event.target.value.lower()))

        @control.on_click
        def _(event: viser.GuiEvent) -> None:
            if event.target.value == "Reset":
                operating.reset()
            else:
                operating.pause(event.target.value == "Pause")

    def _add_plots(self) -> None:
        gui, statistics = self.server.gui, self.statistics

        def add(title: str, history: TimeSeries, choose, **options) -> None:
            self.plots.add(Plot(gui, title, history, choose, **options))

        self._states = gui.add_dropdown("States in the plot", ("all",), visible=False)
        self._states.on_update(lambda _: self.plots.show())
        add("State, and what the plan predicted", self.plan, self._chosen_states, height=220)
        add("Command", self.plan, _those("command "))
        add("Plan time, budget and deadline margin (ms)", statistics, _only(*TIMES, "budget_ms"))
        add("Iterations", statistics, _only("iterations"))
        add("Status (0 fresh, 3 stopped)", statistics, _only("status"))
        add("Cost of the plan by term, stacked", statistics, _those(COST_TERM), stacked=True)
        add("Std of the search, spread of the elites (%)", self.search, lambda names: names)

    def _chosen_states(self, names: list[str]) -> list[str]:
        """Return the names of those lines of states that are chosen."""
        chosen = self._states.value.split(BETWEEN) if self._states.visible else []
        wanted = {line for state in chosen for line in (f"state {state}", predicted(state))}
        return [n for n in _those("state ")(names) if n in wanted or not self._states.visible]

    def publish_statistics(self) -> None:
        """Ask for what the plots of times and costs need."""
        self.panel.tuning.ask("publish_statistics", True)

    # What the node tells

    def show_states(self, names: Sequence[str]) -> None:
        """Let one choose among the states, where there are too many for one plot."""
        groups = [names[i : i + MOST_STATES] for i in range(0, len(names), MOST_STATES)]
        self._states.options = tuple(BETWEEN.join(group) for group in groups)
        self._states.visible = len(groups) > 1

    def show_answer(self, text: str) -> None:
        """Show what the node answered to a button."""
        self._answer.content = text

    def show_waiting(self, text: str) -> None:
        """Show that the node is not there, and what is waited for."""
        self._status.content = _badge(text, LEVELS[3])
        self.panel.set_active(False)

    def show_lifecycle(self, state: str) -> None:
        """Take over the lifecycle state of the node."""
        self.panel.set_active(state == "active")

    def show_diagnostics(self, level: int, message: str, values: Mapping[str, str]) -> None:
        """Show what `/diagnostics` says of the node."""
        level = min(level, len(LEVELS) - 1)
        self._status.content = _badge(message, LEVELS[level])
        rows = "".join(
            f"<tr><td style='padding-right:1em'>{html.escape(key)}</td>"
            f"<td>{html.escape(value)}</td></tr>"
            for key, value in values.items()
        )
        with contextlib.suppress(KeyError, ValueError):
            self.search.add(time.monotonic(), {name: float(values[name]) for name in SEARCH})
        is_pressed = values.get("emergency stop") == "pressed"
        is_old = time.monotonic() < self._stop_shown + OWN_STOP
        if is_pressed != self._is_pressed and not is_old:  # Somebody else pressed or released it.
            said = f"the emergency stop is {'pressed' if is_pressed else 'released'}"
            is_news = is_pressed or self._is_pressed is not None
            self.show_stop(said if is_news else "", is_pressed=is_pressed)
        self._diagnostics.content = (
            f"<div style='font-size:0.8em;padding:0.5em'><table>{rows}</table></div>"
        )

    def show_plots(self) -> None:
        """Show the newest numbers in the plots."""
        is_off = self.panel.tuning.values.get("publish_statistics") is False
        self._asks_for_statistics.visible = is_off
        self.plots.note(NO_STATISTICS if is_off else "")
        self.plots.show()

    def show_robot_problem(self, text: str) -> None:
        """Show why no robot is drawn; "" if it is."""
        self._problem.content = f"No robot in the scene: {text}." if text else ""

    def show_stop(self, text: str, *, is_pressed: bool) -> None:
        """Show whether the emergency stop is pressed, and what the node acknowledged."""
        self._is_pressed, self._stop_shown = is_pressed, time.monotonic()
        colour = LEVELS[2] if is_pressed else LEVELS[3]
        content = _badge(text, colour) if text else ""
        if content != self._stop_said.content:
            self._stop_said.content = content
        self._release.disabled = self._read_only or not is_pressed


def predicted(state: str) -> str:
    """Return the name of what the plan predicted of a state."""
    return f"state {state}, predicted"


def _badge(text: str, colour: str) -> str:
    return (
        f"<div style='background:{colour};color:white;padding:0.4em 0.7em;margin:0.3em;"
        f"border-radius:0.3em;font-size:0.85em'>{html.escape(text)}</div>"
    )


def _only(*chosen: str):
    return lambda names: [name for name in chosen if name in names]


def _those(prefix: str):
    return lambda names: [name for name in names if name.startswith(prefix)]
