# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The page in a real browser: its parameters, plots and buttons.

The screenshots of docs/view.md come from here and test_browser_scene.py: they are in report/.
"""

import json
import os
import signal
import time

import numpy as np
import pytest

pytest.importorskip("viser")
pytest.importorskip("selenium", reason="selenium is not installed")

from browsers import REPORT, needs_browser, row
from lifecycle_msgs.msg import TransitionEvent
from rcl_interfaces.msg import ParameterEvent
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.configuration import load_yaml
from cem_planner_ros.control.tick import CAUSES, EMERGENCY_STOP
from cem_planner_ros.ros.diagnostics import STATISTICS

pytestmark = [pytest.mark.extras, pytest.mark.timeout(900), needs_browser]

PRESSES = 40
"""Number of keys by which the slider is moved: two are beyond the 95 % quantile."""

NOTE_KEYS = """
window.pressed = [];
window.addEventListener("keydown", event => {
  if (event.target.getAttribute("role") === "slider")
    window.pressed.push((performance.timeOrigin + event.timeStamp) / 1e3);
}, true);
"""
"""Notes when the browser received the keys that move a slider, s since 1970."""


def weights(events):
    """Return [(time, value)] of the events in which the weight was set."""
    return [
        (time, parameter.value.double_value)
        for time, event in list(events)
        for parameter in event.changed_parameters
        if parameter.name == "running.weight.theta"
    ]


def test_a_cart_pole_is_shown_tuned_and_stopped(begin, browser, observer, wait_until, tmp_path):
    heard = observer.listen(Float64MultiArray, "/cem_planner/statistics")
    commands = observer.listen(Float64MultiArray, "/effort")
    events = observer.listen(ParameterEvent, "/parameter_events")
    view = begin(("simulator", "cartpole_simulator.yaml"), ("planner", "cartpole.yaml"))
    browser.sees("fresh")
    status = STATISTICS.index("status")
    wait_until(lambda: any(message.data[status] == 0.0 for _, message in list(heard)))
    fresh = next(arrival for arrival, message in list(heard) if message.data[status] == 0.0)
    shown = browser.act("//body", lambda _: browser.driver.execute_script("return window.shown"))
    ready = shown - fresh - (time.time() - time.monotonic())
    browser.open_tab("Plots")
    browser.act("//canvas[ancestor::*[contains(@class, 'uplot')]]")
    browser.sees("Cost of the plan by term")
    browser.tick("Hold the plots")
    browser.keep_screenshot(
        "view_plots.png", "//*[normalize-space(text())='Cost of the plan by term, stacked']"
    )
    for name, begin_of_file in (("CSV", b"time,"), ("PNG", b"\x89PNG")):
        browser.press(name)
        file = tmp_path / f"planner.{name.lower()}"
        wait_until(lambda file=file: file.is_file() and file.stat().st_size, 240.0)
        assert file.read_bytes().startswith(begin_of_file)

    # A slider is moved: the planner has the value, and the change is listed.
    browser.open_tab("Parameters")
    browser.open_folder("running")
    browser.driver.execute_script(NOTE_KEYS)
    took = []
    for _ in range(PRESSES):
        set_before = len(events)
        browser.nudge("weight.theta")
        wait_until(lambda before=set_before: weights(events[before:]), 240.0)
        arrived = weights(events[set_before:])[0][0] + time.time() - time.monotonic()
        took.append(arrived - browser.driver.execute_script("return window.pressed.at(-1)"))
    browser.sees("running.weight.theta")
    browser.keep_screenshot(
        "view_cartpole.png", "//label[contains(normalize-space(), 'weight.theta_dot')]"
    )
    p50, p95 = np.quantile(took, (0.5, 0.95)) * 1e3
    figures = {
        "ready_s": round(ready, 2),
        "slider_p50_ms": round(p50, 1),
        "slider_p95_ms": round(p95, 1),
    }
    (REPORT / "view.json").write_text(json.dumps(figures) + "\n")
    browser.press("Undo all changes")
    wait_until(lambda: weights(events)[-1][1] == 2.0)

    browser.press("EMERGENCY STOP")
    browser.sees("acknowledged by /cem_planner")
    cause = STATISTICS.index("cause")
    wait_until(lambda: CAUSES[int(heard[-1][1].data[cause])] == EMERGENCY_STOP)
    wait_until(lambda: commands[-1][1].data[0] == 0.0)

    # The planner keeps it, and a browser that comes again shows it.
    browser.driver.refresh()
    browser.sees("acknowledged by /cem_planner")
    browser.sees("emergency_stop")
    assert view.end() == 0


def test_parameters_are_prepared_set_refused_saved_and_undone(
    begin, browser, observer, wait_until, tmp_path
):
    """Control is started, paused and ended with the buttons."""
    saved = tmp_path / "saved"
    begin(
        ("simulator", "cartpole_simulator.yaml"),
        ("planner", "cartpole.yaml", "autostart:=false"),
        save_to=saved,
    )
    browser.sees("not controlling (unconfigured)")  # The page is there before the planner.
    for button, answer in (
        ("Configure", "configure: done"),
        ("Activate", "activate: done"),
        ("Pause", "the safe command is sent"),
        ("Go on", "no longer paused"),
        ("Reset", "the warm start is forgotten"),
        ("Deactivate", "deactivate: done"),
        ("Activate", "activate: done"),
    ):
        browser.press(button)
        browser.sees(answer)
    browser.sees("fresh")

    # What needs a pause is greyed, prepared, and set while the robot stands.
    browser.open_tab("Parameters")
    browser.open_folder("planner")
    samples = row("samples", "textbox")
    browser.act(samples, lambda box: None if box.is_enabled() else True)
    browser.click("//label[contains(., 'Prepare values')]")
    browser.act(samples, lambda box: box.is_enabled() or None)
    before = observer.get("planner.samples")
    browser.write("samples", str(before + 16))
    browser.sees("prepared")
    browser.press("Deactivate, set, activate")
    wait_until(lambda: observer.get("planner.samples") > before)
    wait_until(lambda: observer.lifecycle() == "active")
    browser.act("//label[contains(., '● samples')]")

    # A refused value goes back with the reason; one that is allowed is set.
    browser.open_folder("action")
    browser.write("safe.force", "abc")
    browser.sees("Refused:")
    browser.shows("safe.force", 0.0)
    browser.write("safe.force", "0.5")
    wait_until(lambda: observer.get("action.safe.force") == 0.5)
    browser.sees("action.safe.force")
    browser.keep_screenshot("view_changes.png", "//button[normalize-space()='Undo this change']")

    # All values are saved on the robot, at the path that was written, and downloaded.
    browser.write("File", "robot/mine")
    browser.press("Save on the robot")
    browser.sees("mine.yaml")
    browser.press("Download as YAML")
    downloaded = tmp_path / "planner.yaml"
    wait_until(lambda: downloaded.exists() and downloaded.stat().st_size)
    for file in (saved / "robot" / "mine.yaml", downloaded):
        assert load_yaml(file)["planner.samples"] > before

    # One change is undone, then all; what needs a pause is prepared.
    browser.press("Undo all changes")
    wait_until(lambda: observer.get("action.safe.force") == 0.0)
    browser.sees("prepared")
    # The buttons move up when the other change is off the list.
    browser.act("//body[not(.//code[normalize-space()='action.safe.force'])]")
    browser.press("Deactivate, set, activate")
    wait_until(lambda: observer.get("planner.samples") == before)
    browser.sees("Nothing was changed")


def test_two_browsers_agree_and_one_that_hangs_or_is_closed_does_nothing(
    begin, open_browser, browser, observer, wait_until
):
    commands = observer.listen(Float64MultiArray, "/effort")
    events = observer.listen(ParameterEvent, "/parameter_events")
    transitions = observer.listen(TransitionEvent, "/cem_planner/transition_event")
    begin(("simulator", "cartpole_simulator.yaml"), ("planner", "cartpole.yaml"))
    other = open_browser()
    other.driver.get(browser.driver.current_url)
    for one in (browser, other):
        one.sees("fresh")
        one.open_tab("Parameters")
        one.open_folder("running")
    browser.nudge("weight.theta")
    wait_until(lambda: weights(events))
    other.shows("weight.theta", weights(events)[-1][1])
    other.act("//label[contains(., '● weight.theta')]")

    # One hangs: the robot goes on, and the other browser works.
    done = len(transitions)
    for number in (signal.SIGSTOP, signal.SIGKILL):
        before, changed = len(commands), len(events)
        os.killpg(other.group, number)
        wait_until(lambda before=before: len(commands) > before + 100)
        assert len(transitions) == done
        assert len(events) == changed
        browser.nudge("weight.theta")
        wait_until(lambda changed=changed: weights(events[changed:]))

    # The stop of one is seen in the other.
    other = open_browser()
    other.driver.get(browser.driver.current_url)
    other.sees("fresh")
    other.press("EMERGENCY STOP")
    browser.sees("acknowledged by /cem_planner")
    other.sees("acknowledged by /cem_planner")


def test_a_page_that_only_shows_has_no_button_to_press(begin, browser, observer):
    begin(("planner", "cartpole.yaml"), read_only="true")
    browser.sees("no_state")
    stop = "//button[normalize-space()='EMERGENCY STOP']"
    assert not browser.act(stop, lambda button: button.is_enabled())

    # The number beside a greyed slider can be written over, but nobody else sees that.
    events = observer.listen(ParameterEvent, "/parameter_events")
    for _ in range(2):
        browser.open_tab("Parameters")
        browser.open_folder("running")
        browser.shows("weight.theta", 2.0)
        browser.write("weight.theta", "9")
        browser.driver.refresh()
    assert not weights(events)
