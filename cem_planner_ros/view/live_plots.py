# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Plots of the last seconds."""

from __future__ import annotations

import csv
import io
import math
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import viser
from viser import uplot

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.learning.plots import pyplot

SPAN = 30.0
"""Time that plots show, s."""

MOST_POINTS = 600
"""Largest number of points of a line; more are not sent to the browser."""

COLOURS = (
    *("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f"),
    *("#bcbd22", "#17becf"),
)


class TimeSeries:
    """
    Numbers by name over the last SPAN s; may be filled and read by different threads.

    A row has a time and some of the numbers. If the clock was set back, earlier rows are forgotten.
    """

    def __init__(self, span: float = SPAN):
        self._span = span
        self._rows: deque[tuple[float, Mapping[str, float]]] = deque()
        self._lock = threading.Lock()

    def add(self, time: float, values: Mapping[str, float]) -> None:
        """Add numbers at a time, s."""
        with self._lock:
            if self._rows and time < self._rows[-1][0]:
                self._rows.clear()
            self._rows.append((time, values))
            while self._rows[0][0] < time - self._span:
                self._rows.popleft()

    def copy(self) -> TimeSeries:
        """Return the numbers of now, to which nothing is added."""
        made = TimeSeries(self._span)
        with self._lock:
            made._rows = self._rows.copy()
        return made

    @property
    def names(self) -> list[str]:
        """The names of the numbers, in the order in which they came."""
        with self._lock:
            return list(dict.fromkeys(name for _, values in self._rows for name in values))

    def columns(self, names: Sequence[str], most: int | None = None) -> list[np.ndarray]:
        """Return times and the columns of `names`, NaN where there is no number; evenly thinned."""
        with self._lock:
            rows = list(self._rows)
        if most is not None and len(rows) > most:
            rows = rows[-1 :: -math.ceil(len(rows) / most)][::-1]
        times = np.array([time for time, _ in rows], float)
        return [times] + [
            np.array([v.get(name, math.nan) for _, v in rows], float) for name in names
        ]


class Plot:
    """
    Lines over time.

    Args:
        gui: where the plot is made, in the container that is open.
        title: what it shows, with the unit.
        history: where the numbers are.
        choose: returns the names of the lines from all names of the history.
        stacked: whether lines are added up, each on the one before.
    """

    def __init__(
        self,
        gui: viser.GuiApi,
        title: str,
        history: TimeSeries,
        choose: Callable[[list[str]], Iterable[str]],
        *,
        stacked: bool = False,
        height: int = 170,
    ):
        self.title, self.history, self._choose, self.is_stacked = title, history, choose, stacked
        self.shown: dict[str, np.ndarray] = {}
        """The lines that are shown, by name: (n,) at `times`; stacked ones are added up."""
        self.times = np.zeros(0)
        """The times (n,) of what is shown, s; 0 is the last one."""
        self._handle = gui.add_uplot(
            (np.array([0.0, 1.0]), np.array([math.nan, math.nan])),
            ({"label": "s"}, {"label": title}),
            title=title,
            scales={"x": {"time": False}},
            height=height,
            visible=False,
        )

    def show(self) -> None:
        """Show the newest numbers; a plot without numbers is hidden."""
        names = list(self._choose(self.history.names))
        times, *columns = self.history.columns(names, MOST_POINTS)
        if not names or len(times) < 2:
            self.shown, self._handle.visible = {}, False
            return
        if self.is_stacked:
            columns = list(np.cumsum(np.nan_to_num(columns), axis=0))
        if names != list(self.shown):
            self._handle.series = (
                uplot.Series(label="s"),
                *map(self._series, names, range(len(names))),
            )
        self.times, self.shown = times - times[-1], dict(zip(names, columns, strict=True))
        self._handle.data = (self.times, *columns)
        self._handle.visible = True

    def _series(self, name: str, index: int) -> uplot.Series:
        colour = COLOURS[index % len(COLOURS)]
        series = uplot.Series(label=name, stroke=colour, width=1.5, spanGaps=True)
        if self.is_stacked:
            series["fill"] = colour + "40"
        return series


class Plots:
    """
    All plots, with a switch that stops them and buttons that download them.

    While the plots are held, what is downloaded is what they show.

    Args:
        gui: where they are made, in the container that is open.
    """

    def __init__(self, gui: viser.GuiApi):
        self._gui = gui
        self._note = gui.add_markdown("")
        self._pause = gui.add_checkbox("Hold the plots", False)
        self._pause.on_update(lambda _: self._hold())
        self._held: list[TimeSeries] = []
        downloads = gui.add_button_group("Download", ("CSV", "PNG"))
        downloads.on_click(self._on_download)
        self.all: list[Plot] = []
        """The plots, in their order."""

    def add(self, plot: Plot) -> None:
        """Show a plot from now on."""
        self.all.append(plot)

    def note(self, text: str) -> None:
        """Show a text above the plots."""
        if text != self._note.content:
            self._note.content = text

    def show(self) -> None:
        """Show the newest numbers, unless the plots are held."""
        if not self._pause.value:
            for plot in self.all:
                plot.show()

    def hold(self, is_held: bool) -> None:
        """Stop the plots at what they show, or have them go on."""
        self._pause.value = is_held
        self._hold()

    def _hold(self) -> None:
        self._held = [each.copy() for each in self._histories] if self._pause.value else []

    @property
    def _histories(self) -> list[TimeSeries]:
        return list(dict.fromkeys(plot.history for plot in self.all))

    def csv(self) -> str:
        """Return the numbers of all plots: the time, s, and a column for each number."""
        histories = self._held or self._histories
        names = [name for history in histories for name in history.names]
        rows: list[tuple[float, dict[str, float]]] = []
        for history in histories:
            own = history.names
            times, *columns = history.columns(own)
            for index, time in enumerate(times):
                values = {name: c[index] for name, c in zip(own, columns, strict=True)}
                rows.append((time, values))
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(["time", *names])
        for time, values in sorted(rows, key=lambda row: row[0]):
            numbers = (values.get(name, math.nan) for name in names)
            writer.writerow([f"{time:.4f}", *("" if n != n else f"{n:.9g}" for n in numbers)])
        return text.getvalue()

    def picture(self) -> bytes:
        """
        Return a picture (PNG) of the plots that have numbers.

        Raises ConfigurationError if matplotlib is not installed.
        """
        plots = [plot for plot in self.all if plot.shown]
        figure = pyplot().Figure(figsize=(9.0, 2.2 * max(1, len(plots))), layout="constrained")
        all_axes = figure.subplots(max(1, len(plots)), squeeze=False)[:, 0]
        for axes, plot in zip(all_axes, plots, strict=False):
            below = np.zeros(len(plot.times))
            for index, (name, line) in enumerate(plot.shown.items()):
                colour = COLOURS[index % len(COLOURS)]
                known = np.isfinite(line)
                axes.plot(plot.times[known], line[known], color=colour, label=name, linewidth=1.2)
                if plot.is_stacked:
                    axes.fill_between(plot.times, below, line, color=colour, alpha=0.25)
                    below = line
            axes.set_title(plot.title, fontsize="small")
            axes.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1.0, 0.5))
            axes.tick_params(labelsize="x-small")
        all_axes[-1].set_xlabel("s", fontsize="small")
        written = io.BytesIO()
        figure.savefig(written, format="png", dpi=110)
        return written.getvalue()

    def _on_download(self, event: viser.GuiEvent) -> None:
        client = event.client
        if client is None:
            return
        try:
            if event.target.value == "CSV":
                name, content = "planner.csv", self.csv().encode()
            else:
                name, content = "planner.png", self.picture()
        except ConfigurationError as error:
            client.add_notification("No picture", str(error))
        else:
            client.send_file_download(name, content, save_immediately=True)
