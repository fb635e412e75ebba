# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""How the demos judge what was recorded."""

import math
import sys

import numpy as np
import pytest

from cem_planner_ros.cli.arm_demo import ArmScenario
from cem_planner_ros.cli.demo_report import lateness, timing
from cem_planner_ros.cli.demo_scenario import DemoRecording
from cem_planner_ros.cli.quadrotor_demo import QuadrotorScenario
from cem_planner_ros.cli.scenarios import SCENARIOS
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.simulation import walking
from cem_planner_ros.simulation.column_reach import Tip


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_files_of_a_scenario_exist(name):
    scenario = SCENARIOS[name](0)
    for file in scenario.files.values():
        assert (scenario.config / file).is_file()


@pytest.mark.parametrize("name", ["arm", "cartpole", "quadrotor", "quadruped"])
def test_nothing_recorded_is_no_success(name):
    scenario = SCENARIOS[name](0)
    found, problems = scenario.evaluate(DemoRecording(), 20.0)
    assert problems
    rows = scenario.rows(found).values()
    assert all(rows)
    assert not any("None" in text for text in rows)


@pytest.mark.parametrize(
    ("duration", "down", "said"),
    [
        (5.0, 0.0, "not pushed before 15 s"),
        (20.0, 0.0, "stands"),
        (20.0, 1.0, "got up within 0.99 s"),
        (20.0, 9.0, "does not stand"),
    ],
)
def test_a_quadruped_is_said_to_stand_or_to_get_up_only_after_a_push(duration, down, said):
    """It lies for `down` seconds from the push on."""
    scenario, recording = SCENARIOS["quadruped"](0), DemoRecording()
    scenario._first_speed = 19  # As `watch` finds it in the model.
    for time in np.arange(0.0, duration, 0.01):
        lies = walking.PUSH_TIME <= time < walking.PUSH_TIME + down - 1e-6
        state = np.array([0.0, 0.0, 0.08 if lies else 0.3, 1.0, *[0.0] * 33])
        recording.states.append((time, state))
    found, _ = scenario.evaluate(recording, duration)
    assert scenario.rows(found)["after the push"] == said


def test_progress_of_a_quadruped_says_how_it_follows_and_how_often_it_fell():
    scenario, recording = SCENARIOS["quadruped"](0), DemoRecording()
    scenario._first_speed = 19
    seen = []
    for time in np.arange(0.0, 6.0, 0.01):  # It lies twice, and is too slow from 2 s on.
        lies = 1.0 <= time < 1.2 or 5.0 <= time < 5.5
        speed = 0.4 if time >= 2.0 else 0.0
        state = np.zeros(37)
        state[2], state[3], state[19] = 0.08 if lies else 0.3, 1.0, speed
        recording.states.append((time, state))
        scenario._count_falls(recording)  # As `watch` does.
        seen.append(dict(scenario.readings(recording)))
    assert seen[90] == {"height [m]": "0.30", "velocity error [m/s]": "0.00", "falls": "0"}
    assert seen[110] == {"height [m]": "0.08", "velocity error [m/s]": "0.00", "falls": "1"}
    assert seen[400]["velocity error [m/s]"] == "0.10"  # Of 0.5 m/s.
    assert [each["falls"] for each in seen[-2:]] == ["2", "2"]


def test_an_arm_without_mujoco_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ConfigurationError, match="pip install mujoco"):
        ArmScenario(0)


def flown(off, seconds=6.0):
    """A flight that begins after 2 s and is `off` m beside the figure."""
    scenario, recording = QuadrotorScenario(1), DemoRecording()
    scenario.began = 2.0
    times = np.arange(0.0, seconds, 0.01)
    positions = scenario.figure.position(np.maximum(times - 2.0, 0.0)) + [0.0, 0.0, off]
    for time, position in zip(times, positions, strict=True):
        state = np.array([*position, 1.5, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0])
        recording.states.append((time, state))
    return scenario, recording


def test_a_flight_along_the_figure_is_a_success():
    scenario, recording = flown(0.03)
    found, problems = scenario.evaluate(recording, 6.0)
    assert problems == []
    assert found["rms_error_m"] == pytest.approx(0.03)
    assert "0.030 m" in scenario.rows(found)["from the figure"]
    _, times, distances = scenario.panels(recording)[0]
    assert len(times) == len(distances) == len(recording.states)
    assert math.isnan(distances[0])
    assert distances[-1] == pytest.approx(0.03)


def test_progress_of_a_flight_says_how_far_from_the_figure_it_is():
    scenario, recording = flown(0.03)
    assert dict(scenario.readings(recording))["from the figure [m]"] == "0.03"
    scenario.began = math.nan
    assert "from the figure [m]" not in dict(scenario.readings(recording))


def test_a_flight_beside_the_figure_is_none():
    scenario, recording = flown(0.06)
    _, problems = scenario.evaluate(recording, 6.0)
    assert "0.060 m from the figure" in problems[0]


@pytest.fixture
def arm():
    """An arm that stood in one place for 3 s, and whose goals are there."""
    pytest.importorskip("mujoco")
    scenario, recording = ArmScenario(0), DemoRecording()
    pose = np.array([0.0, -0.1995, 0.0, 2.0248, 0.0, 1.3164, 0.0])
    scenario.began, scenario.most_jump, recording.first = 0.5, 0.06, (pose, pose + 0.01)
    recording.states = [(0.01 * index, pose) for index in range(300)]
    tip = Tip().at(pose[None])[0]
    goals = scenario.goals

    class Here(type(goals)):
        def goal(self, index):
            return np.array([*tip, 0.0, 0.0, 1.0, 0.0])

    scenario.goals = Here(0)
    return scenario, recording


def test_an_arm_at_its_goals_is_a_success(arm):
    scenario, recording = arm
    found, problems = scenario.evaluate(recording, 3.0)
    assert problems == []
    assert (found["goals"], found["reached"], found["touched"]) == (1, 1, False)
    assert found["first_step_rad"] == pytest.approx(0.01)
    assert scenario.rows(found)["goals reached"] == "1 of 1"
    assert all(len(times) == len(values) for _, times, values in scenario.panels(recording))


def test_progress_of_an_arm_says_how_far_from_its_goal_it_is(arm):
    scenario, recording = arm
    told = dict(scenario.readings(recording))
    assert int(told["goal"]) == scenario.goals.index(recording.states[-1][0] - scenario.began) + 1
    assert float(told["from it [m]"]) < 0.02
    scenario.began = math.nan
    assert scenario.readings(recording) == []


def test_an_arm_that_touches_jumps_or_misses_is_none(arm):
    scenario, recording = arm
    scenario.has_touched = True
    recording.first = recording.first[0], recording.first[0] + 0.2
    scenario.goals = ArmScenario(0).goals
    _, problems = scenario.evaluate(recording, 3.0)
    assert "m from a goal 1 s after it came" in problems[0]
    assert problems[1] == "it touched something"
    assert "first command was 0.200 rad" in problems[2]


def test_commands_that_are_late_are_a_problem_where_a_scenario_says_so():
    recording = DemoRecording()
    statistics = {"plan_ms": 1.0, "state_age_ms": 1.0, "interval_ms": 20.0, "status": 0.0}
    for index in range(100):
        recording.actions.append((0.02 * index, np.zeros(1)))
        recording.statistics.append(
            (0.02 * index, {**statistics, "late": float(index < 3), "missing": 0.0})
        )
    found = timing(recording, 0.02)
    assert (found["late"], found["missing"], found["commands"]) == (3, 0, 100)
    assert lateness(found, 0.05) == []
    assert "3.0 % of the commands late" in lateness(found, 0.01)[0]
    assert lateness({**found, "commands": 0}, 0.01) == ["no commands"]
