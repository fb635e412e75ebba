# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""
The page in a real browser: Debian's chromium, without a window.

The screenshots of docs/view.md come from here: they are written into report/.
"""

import contextlib
import json
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("viser")
pytest.importorskip("selenium", reason="selenium is not installed")

from builtin_interfaces.msg import Time
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
PRESSES = 10


class Browser:
    """A page, and what is on it by its texts."""

    def __init__(self, wait_until, downloads):
        self._wait_until = wait_until
        options = webdriver.ChromeOptions()
        options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
        options.binary_location = CHROMIUM
        for option in OPTIONS:
            options.add_argument(option)
        self.driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))

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
        """Move a slider by a step; return when the key was sent."""
        row = (
            f"//label[contains(normalize-space(), '{label}')]/ancestor::*[.//*[@role='slider']][1]"
        )

        def send(slider):
            began = time.monotonic()
            slider.send_keys(Keys.ARROW_RIGHT)
            return began

        return self.act(f"{row}//*[@role='slider']", send)

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


@pytest.fixture
def browser(wait_until, tmp_path):
    made = Browser(wait_until, tmp_path)
    yield made
    with contextlib.suppress(WebDriverException):
        made.driver.save_screenshot(str(tmp_path / "last.png"))
    made.driver.quit()


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
    took = []
    for _ in range(PRESSES):
        set_before = len(events)
        sent = browser.nudge("weight.theta")
        wait_until(lambda before=set_before: weights(events[before:]), 240.0)
        took.append(weights(events[set_before:])[0][0] - sent)
    browser.sees("running.weight.theta")
    browser.keep_screenshot(
        "view_cartpole.png", "//label[contains(normalize-space(), 'weight.theta_dot')]"
    )
    p50, p95 = np.quantile(took, (0.5, 0.95)) * 1e3
    figures = {"slider_p50_ms": round(p50, 1), "slider_p95_ms": round(p95, 1)}
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


def test_a_page_that_only_shows_has_no_button_to_press(begin, browser, observer):
    begin(("planner", "cartpole.yaml"), read_only="true")
    browser.sees("no_state")
    stop = "//button[normalize-space()='EMERGENCY STOP']"
    assert not browser.act(stop, lambda button: button.is_enabled())
