# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The page in a real browser: Debian's chromium, without a window.

The screenshots of docs/view.md come from here: they are written into report/.
"""

import contextlib
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("viser")
pytest.importorskip("selenium", reason="selenium is not installed")

from builtin_interfaces.msg import Time
from lifecycle_msgs.msg import TransitionEvent
from nav_msgs.msg import Path as NavPath
from rcl_interfaces.msg import ParameterEvent
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.control.tick import CAUSES, EMERGENCY_STOP
from cem_planner_ros.learning import recorded_run
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.surroundings import Costmap, ReferencePath, Surroundings
from cem_planner_ros.paths import share
from cem_planner_ros.ros.diagnostics import STATISTICS, path_message
from cem_planner_ros.ros.messages import LATCHED
from cem_planner_ros.simulation import worlds
from cem_planner_ros.view.replay import Replay
from cem_planner_ros.view.replay_page import ReplayPage

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
REPORT = Path(__file__).parents[2] / "report"

pytestmark = [
    pytest.mark.extras,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        not (CHROMIUM and DRIVER),
        reason="there is no browser (Debian: apt install chromium chromium-driver)",
    ),
]

OPTIONS = (
    *("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1200,850"),
    *("--use-angle=swiftshader", "--enable-unsafe-swiftshader"),
)
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

NOTE_FRESH = """
const timer = setInterval(() => {
  const is_fresh = [...document.querySelectorAll("div")].some(
    one => !one.childElementCount && one.textContent.startsWith("fresh"));
  if (!is_fresh) return;
  window.shown = (performance.timeOrigin + performance.now()) / 1e3;
  clearInterval(timer);
}, 20);
"""
"""Notes when the page has shown first that the planner is fresh, s since 1970."""


class Browser:
    """A page, and what is on it by its texts."""

    def __init__(self, wait_until, downloads):
        self._wait_until = wait_until
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for option in OPTIONS:
            options.add_argument(option)
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        # A group of processes of its own, which can be stopped together.
        service = webdriver.ChromeService(DRIVER, popen_kw={"start_new_session": True})
        self.driver = webdriver.Chrome(options, service)
        note = "Page.addScriptToEvaluateOnNewDocument"
        self.driver.execute_cdp_cmd(note, {"source": NOTE_FRESH})
        self.group = service.process.pid

    def close(self, screenshot):
        """End the browser, unless a test has killed it, with a last screenshot."""
        if self.driver.service.process.poll() is None:
            with contextlib.suppress(WebDriverException):
                self.driver.save_screenshot(str(screenshot))
            self.driver.quit()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.group, signal.SIGKILL)

    def act(self, path, do=lambda element: element.is_displayed() or None):
        """Do something with the first element of a path with which that is possible."""
        done = []

        def attempt():
            # The page may be drawing it anew, or something may still lie above it.
            for element in self.driver.find_elements(By.XPATH, path):
                with contextlib.suppress(WebDriverException):
                    result = do(element)
                    if result is not None:
                        done.append(result)
                        break
            return done

        self._wait_until(attempt, 240.0)
        return done[0]

    def click(self, path):
        self.act(path, lambda element: element.click() or True)

    def press(self, text):
        self.click(f"//button[normalize-space()='{text}']")

    def open_tab(self, text):
        self.click(f"//*[@role='tab'][normalize-space()='{text}']")

    def open_folder(self, text):
        self.click(f"//*[normalize-space(text())='{text}']")

    def tick(self, label):
        """Switch a checkbox."""
        row = f"//label[normalize-space()='{label}']/ancestor::*[.//input[@type='checkbox']][1]"
        script = "arguments[0].click(); return true"
        self.act(
            f"{row}//input[@type='checkbox']",
            lambda box: self.driver.execute_script(script, box),
        )

    def sees(self, text):
        self.act(f"//body//*[contains(normalize-space(text()), '{text}')]")

    def nudge(self, label):
        """Move a slider by a step."""
        self.act(row(label, "slider"), lambda one: one.send_keys(Keys.ARROW_RIGHT) or True)

    def write(self, label, text):
        """Replace the text of an input."""
        keys = Keys.CONTROL + "a" + Keys.NULL + text  # NULL releases CONTROL.
        self.act(row(label, "textbox"), lambda one: one.send_keys(keys) or True)

    def shows(self, label, value):
        """Wait until the number beside a slider is a value."""

        def check(box):
            return float(box.get_attribute("value")) == value or None

        self.act(row(label, "textbox"), check)

    def keep_screenshot(self, name, at=None):
        """Write a screenshot into report/, with an element in the middle of the panel."""
        notice = "//button[contains(@class, 'mantine-Notification-closeButton')]"
        for button in self.driver.find_elements(By.XPATH, notice):
            with contextlib.suppress(WebDriverException):
                button.click()
        if at is not None:
            script = "arguments[0].scrollIntoView({block: 'center'}); return true"
            self.act(at, lambda element: self.driver.execute_script(script, element))
        REPORT.mkdir(exist_ok=True)

        def attempt():
            with contextlib.suppress(WebDriverException):  # It draws in software, and is busy.
                return self.driver.save_screenshot(str(REPORT / name))

        self._wait_until(attempt, 240.0)


def row(label, role):
    """Return the path to an input of the panel: its slider, or its box of text."""
    what = "@role='slider'" if role == "slider" else "self::input[not(@type='checkbox')]"
    label = f"//label[substring(., string-length(.) - {len(label) - 1}) = '{label}']"
    return f"{label}/ancestor::*[.//*[{what}]][1]//*[{what}]"


@pytest.fixture
def open_browser(wait_until, tmp_path):
    """A function that starts a browser."""
    with contextlib.ExitStack() as ended:

        def start():
            made = Browser(wait_until, tmp_path)
            ended.callback(made.close, tmp_path / "last.png")
            return made

        yield start


@pytest.fixture
def browser(open_browser):
    return open_browser()


@pytest.fixture
def begin(start, wait_until, browser):
    """A function that starts the nodes of a demo and the page, and opens it."""

    def begin(*nodes, **options):
        for function, file, *values in nodes:
            values += ["publish_statistics:=true"] if function == "planner" else []
            given = [word for value in values for word in ("-p", value)]
            start(function, "--params-file", share("config") / file, *given)
        parameters = [f"{name}:={value}" for name, value in ({"port": 0} | options).items()]
        view = start("viewer", *(word for p in parameters for word in ("-p", p)))
        wait_until(lambda: "is at http" in view.output())
        address = view.output().partition(" is at ")[2].split()[0]
        browser.driver.get(address)
        return view

    return begin


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


def test_a_robot_that_drives_is_shown_with_its_surroundings(begin, browser, observer, wait_until):
    world = "world:=crossing"
    begin(
        ("simulator", "drive_simulator.yaml", world),
        ("mapper", "drive_mapper.yaml"),
        ("planner", "drive.yaml", "obstacles.moving_obstacles:=8"),
    )
    heard = observer.listen(Float64MultiArray, "/cem_planner/statistics")
    browser.sees("no_goal")
    path = worlds.load("crossing").path
    poses = np.column_stack((path, np.zeros(len(path))))
    paths = observer.node.create_publisher(NavPath, "/plan", LATCHED)
    paths.publish(path_message(poses, ("x", "y", "yaw"), Time(), "odom"))
    status = STATISTICS.index("status")
    wait_until(lambda: any(message.data[status] == 0.0 for _, message in list(heard)))
    browser.keep_screenshot("view_drive.png")  # At once, while it drives.
    browser.sees("cost obstacles")
    browser.tick("Distance field in place of the costmap")
    browser.keep_screenshot("view_distance.png")


def test_a_recorded_run_is_played_and_planned_again(browser, wait_until, tmp_path):
    file = share("config") / "drive.yaml"
    configuration = configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))
    planner, period = configuration.planner(), 0.05
    cells = np.zeros((120, 120), np.int8)
    cells[62:70, 80:84] = 100
    known = Surroundings(
        path=ReferencePath.through(np.array([(0.0, 0.0), (4.0, 0.0)])),
        goal=Pose(4.0, 0.0, 0.0),
        costmap=Costmap(cells, 0.05, Pose(-2.0, -3.0, 0.0), 0.0),
    )
    recording, state, action = planner.record(), np.zeros(5), np.zeros(2)
    for index in range(40):
        plan = planner.plan(state, index * period, action, surroundings=known)
        action, state = plan.actions[0], planner.predict(plan, state)[1]
    recording.save(tmp_path / "run.npz")
    run = recorded_run.from_planner(tmp_path / "run.npz", configuration)
    page = ReplayPage(Replay(run, configuration), title="A recorded run", port=0)
    try:
        browser.driver.get(page.serving.address)
        browser.sees("period 1 of 40")
        browser.press("Plan this period again")
        browser.sees("with the parameters of the run")
        browser.tick("Play")
        browser.sees("period 1")
        wait_until(lambda: page.shown > 5, 240.0)
        browser.tick("Play")
        browser.press("Plan this period again")
        browser.sees("elite 1")
        browser.keep_screenshot("view_replay.png")
    finally:
        page.close()


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
