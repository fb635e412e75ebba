# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Mocap bodies of a MuJoCo file: where they stand, and how they follow a reference."""

import numpy as np
import pytest
import torch

from cem_planner_ros.configuration import configure
from cem_planner_ros.costs.quadratic import Quadratic
from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.navigation.references import Reference
from cem_planner_ros.navigation.surroundings import Surroundings
from cem_planner_ros.planning.planner import Planner

pytest.importorskip("mujoco")

from cem_planner_ros.dynamics.mujoco import Mujoco
from cem_planner_ros.simulation.plants import MujocoPlant

GOAL = """<mujoco><worldbody>
  <body name="goal" mocap="true" pos="1 2 3"><site name="goal"/></body>
  <body name="wall" mocap="true"><geom type="box" size="0.1 0.1 0.1"/></body>
  <body name="arm" pos="0 0 9"><joint name="x" type="slide" axis="1 0 0"/><geom size="0.1"/>
    <site name="tip"/></body></worldbody>
  <actuator><motor joint="x" name="push" ctrlrange="-1 1"/></actuator>
  <sensor><framepos name="goal" objtype="site" objname="goal"/></sensor></mujoco>"""


def test_a_goal_in_the_file_stands_where_it_is_told(tmp_path):
    file = tmp_path / "goal.xml"
    file.write_text(GOAL)
    given = torch.zeros(2, 2), torch.zeros(1, 1, 2), torch.tensor([0.02])
    for mocap, expected in (([], [1.0, 2.0, 3.0]), (["goal: 0.5 0 -1"], [0.5, 0.0, -1.0])):
        model = Mujoco({"file": str(file), "mocap": mocap, "threads": 2})
        for _ in range(2):
            assert model.rollout(*given)[0, 2:, 1].tolist() == expected
    turned = Mujoco(
        {
            "file": str(file),
            "mocap": ["goal: 0 0 0 0 1 0 0"],
            "outputs": ["axis: framezaxis site goal"],
        }
    )
    torch.testing.assert_close(turned.rollout(*given)[0, -1, 0], torch.tensor(-1.0))


@pytest.mark.parametrize(
    ("mocap", "text"),
    [
        ("gaol: 0 0 0", "which has goal, wall, did you mean 'goal'"),
        ("arm: 0 0 0", "which has goal, wall"),
        ("goal: 0 0", "allowed: BODY: X Y Z or BODY"),
        ("goal: 0 0 up", "allowed: BODY: X Y Z or BODY"),
        ("goal: 0 0 0 0 0 0 0", "allowed: BODY: X Y Z or BODY"),
    ],
)
def test_a_pose_of_a_mocap_body_that_is_written_wrongly_is_explained(tmp_path, mocap, text):
    file = tmp_path / "goal.xml"
    file.write_text(GOAL)
    with pytest.raises(ConfigurationError, match=f"parameter 'mocap' has '{mocap}', .*{text}"):
        Mujoco({"file": str(file), "mocap": [mocap]})


PATH = "nav_msgs/msg/Path"
NOW = 1.7e9
"""ROS time, s, which float32 cannot resolve."""


@pytest.fixture
def file(tmp_path):
    made = tmp_path / "goal.xml"
    made.write_text(GOAL)
    return made


def pose(x, half_turn=0.0):
    return [x, 2.0, 3.0, 1.0 - half_turn, half_turn, 0.0, 0.0]


def goals(model, state=(0.0, 0.0), durations=(0.03, 0.02, 0.02), samples=2):
    """Where the goal is (H, 3) after each step of a rollout, and that it is the same for all."""
    start = torch.tensor(state)[:, None].expand(-1, samples)
    found = model.rollout(start, torch.zeros(len(durations), 1, samples), torch.tensor(durations))
    assert torch.equal(found[..., 0], found[..., -1])
    return found[:, 2:5, 0]


@pytest.mark.parametrize("threads", [1, 2])
def test_a_goal_is_at_every_step_where_its_trajectory_is_then(file, threads):
    model = Mujoco({"file": str(file), "mocap_topics": [f"goal: way {PATH}"], "threads": threads})
    assert goals(model).tolist() == [[1.0, 2.0, 3.0]] * 3
    (name, source), *others = model.reference_sources.items()
    assert (name, source.topic, source.type, others) == ("mocap goal", "way", PATH, [])
    times = NOW + np.array([-1.0, 1.0])
    way = Reference(source, times, np.array([pose(0.0), pose(20.0)]), is_trajectory=True)
    model.set_references({name: way}, NOW)
    expected = 10.0 + 10.0 * np.cumsum((0.03, 0.02, 0.02))
    np.testing.assert_allclose(goals(model)[:, 0], expected, rtol=1e-6)
    # It ends within the horizon.
    model.set_references({name: way}, NOW + 0.95)
    np.testing.assert_allclose(goals(model)[:, 0], [19.8, 20.0, 20.0], rtol=1e-6)
    model.set_references({}, NOW)
    assert goals(model)[:, 0].tolist() == [1.0] * 3


def test_a_goal_turns_with_its_set_point_and_others_stay(file):
    outputs = ["axis: framezaxis site goal", "wall: framepos body wall"]
    topics = {"mocap": ["wall: 7 8 9"], "mocap_topics": ["goal: where"], "outputs": outputs}
    model = Mujoco({"file": str(file)} | topics)
    source = model.reference_sources["mocap goal"]
    assert source.type == "geometry_msgs/msg/PoseStamped"
    for half_turn, axis in ((0.0, 1.0), (1.0, -1.0)):
        values = np.array([pose(4.0, half_turn)])
        model.set_references({"mocap goal": Reference(source, np.array([NOW]), values)}, NOW)
        found = model.rollout(torch.zeros(2, 1), torch.zeros(1, 1, 1), torch.tensor([0.02]))
        named = dict(zip(model.signal_names, found[0, :, 0].tolist(), strict=True))
        assert named["goal_x"] == pytest.approx(4.0)
        assert named["axis_z"] == pytest.approx(axis, abs=1e-6)
        assert [named[f"wall_{axis}"] for axis in "xyz"] == [7.0, 8.0, 9.0]


def test_a_plan_sees_where_a_goal_will_be(file):
    model = Mujoco({"file": str(file), "mocap_topics": ["goal: way nav_msgs/msg/Path"]})
    cost = Quadratic(model, {"weight.goal_x": 1.0})
    settings = {"samples": 8, "elites": 2, "iterations": 1, "horizon": 4, "dt": 0.02}
    planner = Planner(model, [cost], backend="eager", **settings)
    source = model.reference_sources["mocap goal"]
    values = np.array([pose(0.0), pose(1.0)])
    way = Reference(source, NOW + np.array([0.0, 1.0]), values, is_trajectory=True)
    known = Surroundings(references={"mocap goal": way})
    plan = planner.plan(np.zeros(2), 5.0, surroundings=known, stamp=NOW)
    expected = (np.array([0.02, 0.04, 0.06, 0.08]) ** 2).sum()
    assert plan.cost == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("topic", "text"),
    [
        ("gaol: way", "which has goal, wall, did you mean 'goal'"),
        ("arm: way", "which has goal, wall"),
        ("goal:", "allowed: BODY: TOPIC or BODY"),
        ("goal: 1st", "allowed: BODY: TOPIC or BODY"),
        ("goal: way nav_msgs/msg/Pth", "did you mean 'nav_msgs/msg/Path'"),
        ("goal: way nav_msgs/msg/Path now", "allowed: BODY: TOPIC or BODY"),
    ],
)
def test_a_topic_of_a_mocap_body_that_is_written_wrongly_is_explained(file, topic, text):
    with pytest.raises(ConfigurationError, match=f"'mocap_topics' has '{topic}', .*{text}"):
        Mujoco({"file": str(file), "mocap_topics": [topic]})
    twice = {"file": str(file), "mocap_topics": ["goal: one", "goal: two"]}
    with pytest.raises(ConfigurationError, match="two topics of 'goal', allowed: one"):
        Mujoco(twice)


def test_a_configuration_names_the_references_of_mocap_bodies(file, drive):
    values = {"dynamics.plugin": "mujoco", "dynamics.file": str(file), "costs": ["stay"]}
    values |= {"stay.plugin": "quadratic", "planner.device": "cpu"}
    configuration = configure(
        values
        | {"dynamics.mocap_topics": ["wall: a", "goal: b"], "state.type": drive["state.type"]}
    )
    assert list(configuration.reference_sources) == ["mocap wall", "mocap goal"]
    # Such a model belongs to one planner.
    assert configuration.with_plugins_of(configuration) is None


def test_sensors_and_bodies_may_be_given_as_sections(file, drive):
    """As a YAML file has them; entries of the lists stay, but for those of the same name."""
    values = {
        "planner.device": "cpu",
        "costs": ["stay"],
        "stay.plugin": "quadratic",
        "state.type": drive["state.type"],
        "dynamics.plugin": "mujoco",
        "dynamics.file": str(file),
        "dynamics.outputs": ["axis: framezaxis site goal", "tip: framepos site goal"],
        "dynamics.outputs.tip": "framepos site tip",
        "dynamics.mocap.goal": [0.5, 0.0, -1.0],
        "dynamics.mocap.wall": "1 1 1",
        "dynamics.mocap_topics.goal": "goal_pose",
    }
    configuration = configure(values)
    model = configuration.dynamics
    assert model.outputs == ["axis: framezaxis site goal", "tip: framepos site tip"]
    assert model.mocap_bodies.held[:, :3].tolist() == [[0.5, 0.0, -1.0], [1.0, 1.0, 1.0]]
    assert configuration.reference_sources["mocap goal"].topic == "goal_pose"
    # The values that come of it, which a node declares, say the same.
    assert configure(configuration.values).dynamics.outputs == model.outputs
    with pytest.raises(
        ConfigurationError, match=r"'dynamics\.outputs' has 'tip: framepos sit tip'"
    ):
        configure(values | {"dynamics.outputs.tip": "framepos sit tip"})
    with pytest.raises(ConfigurationError, match="NAME: TEXT, or a section of them"):
        configure(values | {"dynamics.outputs": 3})


def test_the_plant_moves_its_mocap_bodies(tmp_path):
    file = tmp_path / "carried.xml"
    file.write_text(
        """<mujoco><worldbody><body name="hand" mocap="true" pos="0 0 1"/>
        <body name="box" pos="0 0 1"><freejoint/><geom size="0.1" mass="0.1"/></body></worldbody>
        <equality><weld body1="hand" body2="box"/></equality>
        <keyframe><key name="up" mpos="0 0 2" qpos="0 0 2 1 0 0 0"/></keyframe></mujoco>"""
    )
    plant = MujocoPlant(file, "up", mocap_topics=["hand: hand_pose"])
    (joint,) = plant.free_joints

    def box():
        for _ in range(100):
            plant.step(plant.idle, 0.02)
        return plant.odometry(joint)[:3]

    plant.move({}, 0.0)
    np.testing.assert_allclose(box(), [0.0, 0.0, 2.0], atol=0.02)
    values = np.array([[0.5, 0.0, 1.5, 1.0, 0.0, 0.0, 0.0]])
    source = plant.reference_sources["mocap hand"]
    plant.move({"mocap hand": Reference(source, np.array([0.0]), values)}, 0.0)
    np.testing.assert_allclose(box(), [0.5, 0.0, 1.5], atol=0.02)
    placed = MujocoPlant(file, "up", ["hand: 0 0 3"])
    placed.step(placed.idle, 2.0)
    assert placed.odometry(joint)[2] == pytest.approx(3.0, abs=0.02)
