# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The scene in a real browser: robots, what they drive by, and recorded runs."""

from unittest.mock import create_autospec

import numpy as np
import pytest

pytest.importorskip("viser")
pytest.importorskip("selenium", reason="selenium is not installed")

from browsers import needs_browser
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Point, PoseStamped
from geometry_msgs.msg import Pose as RosPose
from nav_msgs.msg import Path as NavPath
from std_msgs.msg import Float64MultiArray

from cem_planner_ros.configuration import configure, load_yaml
from cem_planner_ros.learning import recorded_run
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.poses import Pose
from cem_planner_ros.navigation.reference_path import ReferencePath
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.paths import share
from cem_planner_ros.ros.diagnostics import STATISTICS, path_message
from cem_planner_ros.ros.messages import LATCHED
from cem_planner_ros.simulation import worlds
from cem_planner_ros.view import pictures, robots
from cem_planner_ros.view.page import Operating, Page
from cem_planner_ros.view.replay import Replay
from cem_planner_ros.view.replay_page import ReplayPage

pytestmark = [pytest.mark.extras, pytest.mark.timeout(900), needs_browser]

AXIS = (249, 45, 104)
"""Colour of the arrow along x by which a goal is dragged."""


REACH = PoseStamped(pose=RosPose(position=Point(x=0.45, y=-0.3, z=0.4)))


@pytest.mark.parametrize(
    ("plant", "planner"),
    [
        ("arm_simulator.yaml", "arm.yaml"),
        ("quadruped_simulator.yaml", "quadruped.yaml"),
        ("quadrotor_simulator.yaml", "quadrotor.yaml"),
    ],
)
def test_a_robot_is_shown_with_its_candidates(begin, browser, observer, plant, planner):
    begin(("simulator", plant), ("planner", planner))
    poses = observer.node.create_publisher(PoseStamped, "/tip_pose", 1)
    observer.node.create_timer(0.1, lambda: poses.publish(REACH))
    browser.sees("fresh")
    browser.middle_of()
    browser.keep_screenshot(f"view_{planner.removesuffix('.yaml')}.png")


def test_the_costmap_lies_where_its_obstacles_are(browser):
    cells = np.zeros((120, 120), np.int8)
    cells[75:95, 65:85] = 100
    page = Page(create_autospec(Operating, instance=True), port=0)
    try:
        page.scene.use(robots.from_names(("x", "y", "yaw"), {}))
        page.scene.show_state(np.array([1.75, 1.25, 0.0]))  # In the middle of the obstacle.
        page.scene.show_costmap(Costmap(cells, 0.05, Pose(-2.0, -3.0, 0.0), 0.0))
        browser.driver.get(page.serving.address)
        assert np.allclose(browser.middle_of((30, 30, 30)), browser.middle_of(), atol=30.0)
    finally:
        page.close()


def test_a_goal_that_is_dragged_in_the_scene_is_driven_to(begin, browser, observer, wait_until):
    goals = observer.listen(PoseStamped, "/goal_pose")
    begin(
        ("simulator", "drive_simulator.yaml"),
        ("mapper", "drive_mapper.yaml"),
        ("planner", "drive.yaml"),
    )
    browser.sees("no_goal")
    browser.drag(AXIS, 60, 12)
    wait_until(lambda: goals)
    assert 1.1 < goals[0][1].pose.position.x < 3.0  # It was offered at 1 m.
    browser.sees("fresh")
    browser.keep_screenshot("view_drive.png")
    browser.sees("goal_reached")

    browser.tick("Distance field in place of the costmap")
    browser.middle_of(pictures.NEAREST)
    browser.keep_screenshot("view_distance.png")
    browser.tick("Distance field in place of the costmap")

    # The picture moves with the robot, and a goal is still sent where it is dropped.
    before = browser.middle_of(AXIS)
    browser.tick("Follow the robot")
    wait_until(lambda: browser.middle_of(AXIS)[0] < before[0] - 50, 240.0)
    browser.drag(AXIS, 60, 12)
    wait_until(lambda: len(goals) > 1)
    moved = goals[1][1].pose.position.x - goals[0][1].pose.position.x
    assert 0.1 < moved < 1.0


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
    browser.tick("Follow the robot")
    browser.keep_screenshot("view_crossing.png")  # At once, while it drives.
    browser.sees("cost obstacles")


def test_a_recorded_run_is_played_and_planned_again(browser, wait_until, tmp_path):
    file = share("config") / "drive.yaml"
    configuration = configure(load_yaml(file) | {"planner.device": "cpu"}, str(file))
    planner, period = configuration.planner(), 0.05
    cells = np.zeros((120, 120), np.int8)
    cells[60:70, 60:64] = 100  # The robot drives around it.
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
        browser.open_tab("Parameters")
        browser.open_folder("obstacles")
        browser.write("weight", "0")
        browser.act("//label[contains(., '● weight')]")
        browser.press("Plan this period again")
        browser.sees("other parameters")
        browser.open_tab("Costs")
        browser.sees("elite 1")
        browser.settles()
        browser.keep_screenshot("view_replay.png")
    finally:
        page.close()
