# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The worlds: what the path goes through, and what stands on it."""

import functools
import math
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.simulation import worlds

mujoco = pytest.importorskip("mujoco")

ROOT = Path(__file__).parents[2]
NAMES = ("rooms", "pillars", "clutter")
SEEDS = range(30)
PIXEL = 0.02  # m
CORNER = (-1.2, -3.2)  # of the drawn map, m
DOORWAY = (3.0, 1.0)


def load(name, seed=0):
    return worlds.load(str(ROOT / "worlds" / f"{name}.xml"), seed)


@functools.cache
def all_seeds(name):
    """Return a world with each seed; loading them takes longer than what is done with them."""
    return [load(name, seed) for seed in SEEDS]


def standing(model):
    """Return (name, x, y, yaw, size, is box) of what stands in a model, read from MuJoCo."""
    data = mujoco.MjData(model)
    mujoco.mj_kinematics(model, data)
    for index in range(model.ngeom):
        kind = model.geom_type[index]
        if model.geom_bodyid[index] == 0 and kind != mujoco.mjtGeom.mjGEOM_PLANE:
            rotation = data.geom_xmat[index].reshape(3, 3)
            assert rotation[2, 2] == pytest.approx(1.0), "stands upright"
            yaw = math.atan2(rotation[1, 0], rotation[0, 0])
            is_box = kind == mujoco.mjtGeom.mjGEOM_BOX
            assert is_box or kind == mujoco.mjtGeom.mjGEOM_CYLINDER
            height = model.geom_size[index][2 if is_box else 1]
            assert model.geom_pos[index][2] == pytest.approx(height), "stands on the ground"
            yield (
                model.geom(index).name,
                *data.geom_xpos[index][:2],
                yaw,
                model.geom_size[index],
                is_box,
            )


def draw(model):
    """Return the map (rows, columns) of what is occupied, and the pixels' places (..., 2)."""
    x, y = CORNER[0] + PIXEL * np.arange(620), CORNER[1] + PIXEL * np.arange(320)
    places = np.stack(np.meshgrid(x, y), axis=-1)
    occupied = np.zeros(places.shape[:2], bool)
    for _, cx, cy, yaw, size, is_box in standing(model):
        reach = np.hypot(*size[:2]) if is_box else size[0]
        rows, columns = np.abs(y - cy) <= reach, np.abs(x - cx) <= reach
        near = np.ix_(rows, columns)
        dx, dy = np.moveaxis(places[near] - (cx, cy), -1, 0)
        along = dx * math.cos(yaw) + dy * math.sin(yaw)
        across = dy * math.cos(yaw) - dx * math.sin(yaw)
        if is_box:
            occupied[near] |= (np.abs(along) <= size[0]) & (np.abs(across) <= size[1])
        else:
            occupied[near] |= np.hypot(along, across) <= size[0]
    return occupied, places


def has_way(world, doorway=None):
    """Return whether a way 1.3 times as wide as the robot leads from start to goal."""
    occupied, places = draw(world.model)
    # To the next pixel that is occupied it may be a diagonal farther than to the surface.
    distance = PIXEL * (ndimage.distance_transform_edt(~occupied) - math.sqrt(2.0))
    needed = np.full(distance.shape, 0.5 * 1.3 * 0.4)
    if doorway:  # It is just as wide as that.
        needed[np.linalg.norm(places - doorway, axis=-1) < 0.5] -= 2.0 * PIXEL
    labels, _ = ndimage.label(distance >= needed)
    start, goal = (
        labels[tuple(np.round((pose[:2] - CORNER) / PIXEL).astype(int)[::-1])]
        for pose in (world.start, world.goal)
    )
    return start == goal != 0


@pytest.mark.parametrize("name", NAMES)
def test_a_way_wide_enough_for_the_robot_remains_whatever_the_seed(name):
    doorway = DOORWAY if name == "rooms" else None
    assert all(has_way(world, doorway) for world in all_seeds(name))


def test_obstacles_leave_a_way_all_together(tmp_path):
    """Of two ways around a block, on both of which the path is, one remains."""
    file = tmp_path / "block.xml"
    file.write_text("""<mujoco>
      <custom><numeric name="start" data="0 0 0"/><numeric name="goal" data="8 0 0"/>
        <numeric name="path" data="0 0  1 2.5  7 2.5  7 -2.5  1 -2.5  0 0  1 2.5  7 2.5  8 0"/>
        <numeric name="obstacles" data="2"/></custom>
      <worldbody>
        <geom type="box" size="2.5 2.1 0.25" pos="4 0 0.25"/>
        <geom type="box" size="6 0.05 0.25" pos="4 -2.9 0.25"/>
        <geom type="box" size="6 0.05 0.25" pos="4 2.9 0.25"/>
      </worldbody></mujoco>""")
    seen = [worlds.load(str(file), seed) for seed in range(20)]
    assert all(has_way(world) for world in seen)
    # One of the two ways is blocked now and then.
    middles = [np.concatenate([part[:, :2] for part in world.obstacles]) for world in seen]
    in_the_way = [((np.abs(m[:, 0] - 4) < 2.5) & (np.abs(m[:, 1]) > 2.1)).any() for m in middles]
    assert any(in_the_way)


@pytest.mark.parametrize("name", NAMES)
def test_three_obstacles_stand_on_the_path_and_away_from_start_goal_and_doorway(name):
    places = []
    for world in all_seeds(name):
        obstacles = {
            entry[0]: entry[1:] for entry in standing(world.model) if "obstacle" in entry[0]
        }
        assert sorted(obstacles) == ["obstacle_1", "obstacle_2", "obstacle_3"]
        arc = np.concatenate(([0], np.cumsum(np.linalg.norm(np.diff(world.path, axis=0), axis=1))))
        along = np.linspace(0.0, arc[-1], 2000)
        path = np.stack([np.interp(along, arc, world.path[:, i]) for i in (0, 1)], axis=1)
        keep = [world.start[:2], world.goal[:2]] + ([DOORWAY] if name == "rooms" else [])
        for x, y, _, size, is_box in obstacles.values():
            sides = 2 * size[:2] if is_box else 2 * size[:1]
            assert (sides >= 0.15).all()
            assert (sides <= 0.4).all()
            assert np.linalg.norm(path - (x, y), axis=1).min() < 0.5 * sides.min() + 0.005
            assert np.linalg.norm(np.array(keep) - (x, y), axis=1).min() >= 1.0 + 0.5 * sides.min()
            places.append((x, y))
    # Seeds differ, and obstacles are found all along the path.
    places = np.array(places)
    assert len(np.unique(places.round(3), axis=0)) == len(places)
    assert np.ptp(places[:, 0]) > 4.0


@pytest.mark.parametrize("name", [*NAMES, "crossing"])
def test_path_start_and_goal_fit_together_and_are_free_of_what_is_known(name):
    world = load(name)
    np.testing.assert_allclose(world.path[0], world.start[:2])
    np.testing.assert_allclose(world.path[-1], world.goal[:2])
    steps = np.diff(world.path, axis=0)
    lengths = np.linalg.norm(steps, axis=1)
    assert 9.0 <= lengths.sum() < 12.0
    assert lengths.max() <= 1.01
    for pose, step in ((world.start, steps[0]), (world.goal, steps[-1])):
        heading = math.atan2(step[1], step[0])
        assert abs(math.remainder(pose[2] - heading, math.tau)) < 0.3
    share = np.linspace(0.0, 1.0, 50)[:, None]
    points = np.concatenate([a + share * step for a, step in zip(world.path, steps, strict=False)])
    assert worlds.clearance(points, world.fixed).min() >= 0.26 - 1e-9
    for pose in (world.start, world.goal):
        assert worlds.clearance(pose[:2], world.fixed) >= 0.5


def test_the_doorway_of_the_rooms_is_a_third_wider_than_the_robot_and_on_the_path():
    world = load("rooms")
    edges = {entry[0]: entry for entry in standing(world.model) if "doorway" in entry[0]}
    low = edges["doorway_south"][2] + edges["doorway_south"][4][1]
    high = edges["doorway_north"][2] - edges["doorway_north"][4][1]
    wheel = world.model.body("left_wheel").pos[1] + world.model.geom("left_wheel").size[1]
    assert 2.0 * wheel == pytest.approx(worlds.ROBOT_WIDTH)
    assert high - low == pytest.approx(1.3 * worlds.ROBOT_WIDTH)
    assert [3.0, 0.5 * (low + high)] in world.path.tolist()


@pytest.mark.parametrize("name", NAMES)
def test_outlines_are_what_stands_in_the_model(name):
    world = load(name, 5)
    occupied, points = draw(world.model)
    inside = (worlds.clearance(points, world.fixed) <= 0.0) | (
        worlds.clearance(points, world.obstacles) <= 0.0
    )
    assert (inside != occupied).mean() < 1e-4
    assert len(world.obstacles.boxes) + len(world.obstacles.circles) == 3


def test_pedestrians_cross_the_path_to_and_fro_away_from_start_and_goal():
    seen = [load("crossing", seed) for seed in range(6)]
    for world in seen:
        assert len(world.pedestrians) == 5
        for pedestrian in world.pedestrians:
            states = [pedestrian.at(time) for time in np.arange(0.0, 30.0, 0.05)]
            places, speeds = (np.array(part) for part in zip(*states, strict=True))
            steps = np.linalg.norm(np.diff(places, axis=0), axis=1)
            assert 0.4 * 0.05 - 1e-9 <= np.median(steps) <= 1.2 * 0.05 + 1e-9
            assert steps.max() < 1.001 * np.median(steps)
            moved = (speeds[1:] == speeds[:-1]).all(1)  # It did not turn back.
            np.testing.assert_allclose(
                np.diff(places, axis=0)[moved], 0.05 * speeds[1:][moved], atol=1e-9
            )
            assert 0.2 <= pedestrian.radius <= 0.3
            assert (np.diff(np.sign(places[:, 1])) != 0).sum() >= 2
            assert 2.0 < np.abs(places[:, 1]).max() < 2.5
            crossing = places[np.abs(places[:, 1]).argmin()]
            assert 1.0 < crossing[0] < 8.0
            assert worlds.clearance(places, world.fixed).min() > pedestrian.radius
    starts = [p.at(0.0)[0] for world in seen for p in world.pedestrians]
    assert len(np.unique(np.array(starts).round(3), axis=0)) == len(starts)
    assert load("rooms").pedestrians == ()


def test_a_seed_gives_the_same_world_again():
    one, again, other = load("clutter", 4), load("clutter", 4), load("clutter", 5)
    for first, second in zip(one.obstacles, again.obstacles, strict=True):
        np.testing.assert_array_equal(first, second)
    assert [entry[:3] for entry in standing(one.model)] == [
        entry[:3] for entry in standing(again.model)
    ]
    assert [entry[:3] for entry in standing(one.model)] != [
        entry[:3] for entry in standing(other.model)
    ]


def test_clearance_is_the_distance_from_boxes_and_circles():
    outlines = worlds.Outlines(
        np.array([[1.0, 0.0, math.pi / 2, 2.0, 1.0]]), np.array([[-1.0, 0.0, 0.5]])
    )
    points = np.array([[1.0, 2.0], [2.5, 0.0], [1.8, 1.4], [1.0, 0.9], [-1.0, -2.0], [-1.0, 0.1]])
    expected = [1.0, 1.0, 0.5, -0.1, 1.5, -0.4]
    np.testing.assert_allclose(worlds.clearance(points, outlines), expected, atol=1e-12)


def test_a_world_that_cannot_be_used_is_refused_with_the_reason(tmp_path):
    with pytest.raises(ConfigurationError, match=r"world 'moon' does not exist, allowed: "):
        worlds.load("moon")
    file = tmp_path / "bare.xml"
    file.write_text("<mujoco><worldbody><geom name='g' size='1'/></worldbody></mujoco>")
    with pytest.raises(ConfigurationError, match=r'needs <numeric name="path"/> with 2 numbers'):
        worlds.load(str(file))
    file.write_text("<mujoco><custom><numeric name='path' data='0 0 1'/></custom></mujoco>")
    with pytest.raises(ConfigurationError, match=r'needs <numeric name="path"/> with 2 numbers'):
        worlds.load(str(file))
    file.write_text("<mujoco><worldbodi/></mujoco>")
    with pytest.raises(ConfigurationError, match=r"bare\.xml"):
        worlds.load(str(file))
    file.write_text(
        "<mujoco><custom><numeric name='path' data='0 0 3 0'/><numeric name='start' data='0 0 0'/>"
        "<numeric name='goal' data='3 0 0'/><numeric name='obstacles' data='9'/></custom></mujoco>"
    )
    with pytest.raises(ConfigurationError, match="no room for its obstacles, with seed 7"):
        worlds.load(str(file), 7)
