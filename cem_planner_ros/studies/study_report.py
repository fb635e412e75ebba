# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The report of a study: one page of HTML with pictures."""

from __future__ import annotations

import base64
import html
import io
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cem_planner_ros.errors import first_line
from cem_planner_ros.learning.plots import pyplot
from cem_planner_ros.studies import outcome
from cem_planner_ros.studies.objectives import OBJECTIVES
from cem_planner_ros.studies.outcome import BEST, TODAY, Episodes, means
from cem_planner_ros.studies.study import Study

if TYPE_CHECKING:
    import optuna

REPORT = "report.html"

IN_A_ROW = 4
"""Parameters whose pictures are side by side, at most."""

STYLE = (
    "body {font: 15px sans-serif; max-width: 70em; margin: 2em auto; padding: 0 1em} "
    "table {border-collapse: collapse} td, th {border: 1px solid #bbb; padding: 0.2em 0.6em; "
    "text-align: right} img {max-width: 100%}"
)


def write(study: Study, compared: dict[str, Episodes], folder: Path) -> Path:
    """
    Write the report of a study and return its file.

    Args:
        study: the study, of which a trial is the best.
        compared: what `outcome.compare` returns.
        folder: where the page is written.

    Raises ConfigurationError if matplotlib is not installed.
    """
    title = f"Study {study.file.name}"
    parts = [
        f"<h1>{html.escape(title)}</h1>",
        *_summary(study),
        "<h2>Today and the best, side by side</h2>",
        *_tables(study, compared),
        _image(_curves, study, compared),
        "<h2>Search</h2>",
        *_pictures(study, compared),
    ]
    file = folder / REPORT
    outcome.write_whole(
        file,
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f"<style>{STYLE}</style><body>" + "\n".join(parts) + "</body></html>\n",
    )
    return file


def _summary(study: Study) -> Iterator[str]:
    best, file = study.best(), study.file
    trials = study.study.get_trials(deepcopy=False)
    states = [trial.state.name.lower() for trial in trials]
    counts = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    what = "the knee of the Pareto front" if len(file.objectives) > 1 else "the best"
    yield (
        f"<p>{html.escape(Path(file.file).name)}, sampler {file.sampler}, {len(trials)} trials "
        f"({counts}). Trial {best.number} is {what}.</p>"
    )
    changes = file.space.changes(file.base.values, best.params)
    yield "<table><tr><th>parameter</th><th>today</th><th>best</th></tr>"
    for name, value in changes.items():
        yield _row(name, _text(file.base.values[name]), _text(value))
    yield "</table>"


def _tables(study: Study, compared: dict[str, Episodes]) -> Iterator[str]:
    today, best = compared[TODAY], compared[BEST]
    old, new = means(today), means(best)
    yield f"<p>Means, then each episode, on {outcome.seeds_of_comparison(study)}.</p><table>"
    heads = (_cell(_label(name), 'th colspan="2"') for name in new)
    yield f"<tr><th></th>{''.join(heads)}</tr>"
    yield _row("", *(TODAY, BEST) * len(new), tag="th")
    yield _row("mean", *_pairs(new, old, new))
    for episode, found in best.items():
        yield _row(f"{episode[0]}, seed {episode[1]}", *_pairs(new, today[episode], found))
    yield "</table>"


def _pairs(names: Iterable[str], old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[str]:
    """Yield the cells of today's and of the best's values, which episodes may not report."""
    for name in names:
        for values in (old, new):
            yield f"{values[name]:.4g}" if name in values else ""


def _pictures(study: Study, compared: dict[str, Episodes]) -> Iterator[str]:
    draws: list[Callable] = [_history, _importance, _slices]
    if len(study.file.objectives) > 1:
        draws.insert(0, _front)
    for draw in draws:
        yield _image(draw, study, compared)


def _image(draw: Callable, study: Study, compared: dict[str, Episodes]) -> str:
    """Return a picture as HTML, or why it cannot be drawn."""
    plot = pyplot()
    title = (draw.__doc__ or "").strip().rstrip(".")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls its pictures experimental.
            figure = draw(study, compared, plot)
            data = io.BytesIO()
            figure.savefig(data, format="png", dpi=90, bbox_inches="tight")
    except (ValueError, RuntimeError) as error:  # Such as the importance with too few trials.
        return f"<h3>{title}</h3><p>left out: {html.escape(first_line(error))}</p>"
    finally:
        plot.close("all")
    text = base64.b64encode(data.getvalue()).decode()
    return f'<h3>{title}</h3><img alt="{title}" src="data:image/png;base64,{text}">'


def _targets(study: Study) -> list[dict[str, Any]]:
    """Return what Optuna needs to draw each objective."""
    names = study.file.objectives
    if len(names) == 1:
        return [{"target_name": names[0]}]
    return [
        {"target_name": name, "target": lambda trial, index=index: trial.values[index]}
        for index, name in enumerate(names)
    ]


def _history(study: Study, compared: dict[str, Episodes], plot: Any) -> Any:
    """Value of each trial."""
    names = study.file.objectives
    figure, axes = plot.subplots(
        len(names), 1, figsize=(8, 2.5 * len(names)), squeeze=False, layout="constrained"
    )
    trials = _complete(study)
    numbers = [trial.number for trial in trials]
    chosen = {trial.number for trial in study.best_trials()}
    for index, (name, axis) in enumerate(zip(names, axes[:, 0], strict=True)):
        values = np.array([trial.values[index] for trial in trials])
        is_chosen = np.array([number in chosen for number in numbers])
        axis.plot(numbers, values, ".", label="trials")
        label = "Pareto front" if len(names) > 1 else "best"
        axis.plot(np.array(numbers)[is_chosen], values[is_chosen], "o", label=label)
        axis.set_ylabel(_label(name))
        axis.legend()
    axes[-1, 0].set_xlabel("trial")
    return figure


def _importance(study: Study, compared: dict[str, Episodes], plot: Any) -> Any:
    """Importance of the parameters, by PED-ANOVA."""
    from optuna import importance

    found = {}
    for target in _targets(study):
        name = target["target_name"]
        found[name] = importance.get_param_importances(study.study, target=target.get("target"))
    figure, axis = plot.subplots(figsize=(8, 1 + 0.4 * len(study.file.space.distributions)))
    rows = np.arange(len(study.file.space.distributions))
    for index, (name, shares) in enumerate(found.items()):
        height = 0.8 / len(found)
        widths = [shares.get(parameter, 0.0) for parameter in study.file.space.distributions]
        axis.barh(rows + index * height, widths, height, label=name)
    axis.set_yticks(rows, list(study.file.space.distributions))
    axis.set_xlabel("share")
    axis.legend(bbox_to_anchor=(1.0, 1.0), loc="upper left")  # Beside the bars.
    return figure


def _slices(study: Study, compared: dict[str, Episodes], plot: Any) -> Any:
    """Value over each parameter; later trials are lighter."""
    names, parameters = study.file.objectives, list(study.file.space.distributions)
    columns = min(len(parameters), IN_A_ROW)
    groups = -(-len(parameters) // columns)
    figure, axes = plot.subplots(
        *(groups * len(names), columns),
        figsize=(max(6.0, 2.6 * columns), 2.4 * groups * len(names)),
        squeeze=False,
        layout="constrained",
    )
    for axis in axes.flat:
        axis.set_visible(False)
    trials, best = _complete(study), study.best()
    numbers = [trial.number for trial in trials]
    for index, parameter in enumerate(parameters):
        group, column = divmod(index, columns)
        distribution = study.file.space.distributions[parameter]
        is_word = not hasattr(distribution, "low")
        given = [trial.params[parameter] for trial in trials]
        today, chosen = study.file.base.values[parameter], best.params[parameter]
        if is_word:
            given, today, chosen = [str(value) for value in given], str(today), str(chosen)
        for row, name in enumerate(names):
            axis = axes[group * len(names) + row, column]
            axis.set_visible(True)
            axis.scatter(given, [trial.values[row] for trial in trials], s=12, c=numbers)
            axis.plot([chosen], [best.values[row]], "*", color="tab:orange", label=BEST)
            axis.axvline(today, color="grey", linestyle="--", label=TODAY)
            if not is_word and distribution.log:
                _scale_log(axis, distribution.low, distribution.high)
            if not column:
                axis.set_ylabel(_label(name))
        axis.set_xlabel(parameter)
    axes[0, 0].legend()
    return figure


def _scale_log(axis: Any, low: float, high: float) -> None:
    """Give a small picture a logarithmic axis with three numbers, which do not overlap."""
    ticks = np.geomspace(low, high, 3)
    axis.set_xscale("log")
    axis.set_xticks(ticks, [f"{tick:.3g}" for tick in ticks])
    axis.set_xticks([], minor=True)


def _front(study: Study, compared: dict[str, Episodes], plot: Any) -> Any:
    """Pareto front."""
    names, best = study.file.objectives, study.best()
    pairs = [(a, b) for a in range(len(names)) for b in range(a + 1, len(names))]
    figure, axes = plot.subplots(
        1, len(pairs), figsize=(4 * len(pairs), 3.5), squeeze=False, layout="constrained"
    )
    trials = _complete(study)
    for axis, (a, b) in zip(axes[0], pairs, strict=True):
        for some, style, label in (
            (trials, ".", "trials"),
            (study.best_trials(), "o", "front"),
            ([best], "*", "knee"),
        ):
            first, second = ([trial.values[i] for trial in some] for i in (a, b))
            size = 14 if style == "*" else None
            axis.plot(first, second, style, markersize=size, label=label)
        axis.set_xlabel(_label(names[a]))
        axis.set_ylabel(_label(names[b]))
    axes[0, 0].legend()
    return figure


def _curves(study: Study, compared: dict[str, Episodes], plot: Any) -> Any:
    """First episode of each scenario."""
    model = study.file.base.dynamics
    firsts = {name: (name, seed) for name, seed in reversed(compared[BEST])}
    firsts = dict(sorted(firsts.items()))
    rows = [*model.state_names, *(f"{name}\n(command)" for name in model.action_names)]
    figure, axes = plot.subplots(
        *(len(rows), len(firsts)),
        figsize=(max(6, 4 * len(firsts)), 1.5 * len(rows)),
        squeeze=False,
        sharex="col",
        layout="constrained",
    )
    for column, (name, episode) in enumerate(firsts.items()):
        for who in (TODAY, BEST):
            curves = compared[who][episode]["curves"]
            states, commands = (np.array(curves[key]) for key in ("states", "commands"))
            times = curves["period"] * np.arange(len(states))
            for row in range(len(rows)):
                values = states[:, row] if row < states.shape[1] else None
                if values is None:
                    values = np.append(commands[:, row - states.shape[1]], np.nan)
                axes[row, column].plot(times, values, label=who, linewidth=1)
        for row, what in enumerate(rows):
            axes[row, column].set_ylabel(what)
        axes[0, column].set_title(f"{name}, seed {episode[1]}")
        axes[-1, column].set_xlabel("s")
    axes[0, 0].legend()
    return figure


def _complete(study: Study) -> list[optuna.trial.FrozenTrial]:
    """Return the trials that have values."""
    return [t for t in study.study.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]


def _label(objective: str) -> str:
    unit = OBJECTIVES[objective].unit
    return f"{objective} ({unit})" if unit else objective


def _row(*cells: str, tag: str = "td") -> str:
    return f"<tr>{''.join(_cell(cell, tag) for cell in cells)}</tr>"


def _cell(text: str, tag: str) -> str:
    return f"<{tag}>{html.escape(text)}</{tag.split()[0]}>"


def _text(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
