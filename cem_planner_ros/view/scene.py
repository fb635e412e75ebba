# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The scene: robot, plan, candidates and surroundings, in three dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import viser

from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.footprint import Footprint
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.surroundings import NOTHING, Surroundings
from cem_planner_ros.view.pictures import FAR, distance_image, map_image

if TYPE_CHECKING:
    from cem_planner_ros.view.robots import Robot

GHOSTS = 4
"""Number of poses of the robot that are shown along a plan."""

FOOTPRINTS = 6
"""Number of footprints along a plan."""

CAMERA, LOOK_AT = np.array([1.2, -3.2, 1.8]), np.array([0.0, 0.0, 0.4])
"""Where the camera is for a robot as large as LARGE, and the point that it looks at, m."""

LARGE, NEAREST_CAMERA = 2.0, 0.5
"""Extent of a robot, m, and the share of the distance at which the camera is for small ones."""

PLAN, OTHER, PATH = (25, 100, 255), (255, 127, 14), (120, 120, 120)
GOAL, OUTLINE = (200, 30, 160), (60, 60, 60)
BRAKING, MOVING, PREDICTED = (230, 60, 0), (200, 25, 150), (235, 160, 215)
"""Red, green, blue."""

AHEAD_TIMES = (0.5, 1.0, 1.5)
"""Times ahead at which the places of a moving obstacle are predicted, s."""

AHEAD = 1.0
"""Distance of a goal that is offered, m."""

FLOOR = 0.01
"""Height above the costmap of what is drawn on it, m."""

WORLD = "/world"
"""Name of the frame in which everything is drawn."""

VISUAL_GROUPS = 3
"""Geoms of a group below it are shown; files put what only collides into group 3."""


class Scene:
    """
    What is where.

    Every method may be called again with newer data, by one thread at a time. Nothing is drawn that
    was not given. Its switches are made in the container that is open.

    Args:
        server: the server of the page.
        on_goal: called with x, y and yaw (m, rad) when the goal was dragged; None if it cannot be.
    """

    def __init__(
        self,
        server: viser.ViserServer,
        on_goal: Callable[[float, float, float], None] | None = None,
    ):
        self._server, self._scene, self._on_goal = server, server.scene, on_goal
        self._scene.set_up_direction("+z")
        self._scene.configure_default_lights(enabled=True, cast_shadow=False)
        self._world = self._scene.add_frame(WORLD, show_axes=False)
        self._scene.add_grid(
            f"{WORLD}/grid", 200.0, 200.0, cell_color=(225, 225, 225), fade_distance=40.0
        )
        self._extent = 0.0
        self._aim(LARGE)
        self._robot: Robot | None = None
        self._bodies: dict[int, viser.SceneNodeHandle] = {}
        self._ghosts: dict[int, viser.BatchedMeshHandle] = {}
        self._lines: dict[str, viser.LineSegmentsHandle] = {}
        self._map: viser.ImageHandle | None = None
        self._costmap: Costmap | None = None
        self._known = NOTHING
        self._goal: viser.TransformControlsHandle | None = None
        self._is_dragged = False
        self._follows = server.gui.add_checkbox(
            "Follow the robot",
            False,
            hint="The robot stays in the middle of the picture, and the world moves.",
        )
        self._shows_distance = server.gui.add_checkbox(
            "Distance field in place of the costmap",
            False,
            visible=False,
            hint=f"The distance to the nearest obstacle: red at an obstacle, white from {FAR:g} m.",
        )
        self._shows_distance.on_update(lambda _: self._draw_map())
        server.on_client_disconnect(self._on_disconnect)

    def _on_disconnect(self, client: viser.ClientHandle) -> None:
        self._is_dragged = False  # A browser that is gone drops nothing.

    def _aim(self, extent: float) -> None:
        """Put the cameras of all browsers where a robot of this extent, m, is well seen."""
        if extent == self._extent:  # Somebody may have moved a camera since.
            return
        self._extent = extent
        share = min(max(extent / LARGE, NEAREST_CAMERA), 1.0)
        clients = self._server.get_clients().values()
        for camera in (self._server.initial_camera, *(client.camera for client in clients)):
            camera.position, camera.look_at = share * CAMERA, share * LOOK_AT

    def use(self, robot: Robot | None) -> None:
        """Draw another robot, or none."""
        with self._server.atomic():
            for handle in (*self._bodies.values(), *self._ghosts.values(), *self._lines.values()):
                handle.remove()
            self._bodies, self._ghosts, self._lines = {}, {}, {}
            self._robot = robot
            if robot is not None:
                self._add(robot)
                # Of a robot that drives, the way to its goal is to be seen too.
                self._aim(LARGE if robot.is_planar else robot.model.stat.extent)

    def _add(self, robot: Robot) -> None:
        # Imported with the first robot: it takes a good part of a second.
        import mujoco
        from mjviser import conversions

        model = robot.model
        for body in range(model.nbody):
            geoms = [
                geom
                for geom in range(model.ngeom)
                if model.geom_bodyid[geom] == body
                and model.geom_group[geom] < VISUAL_GROUPS
                and model.geom_rgba[geom][3] > 0.0
                and model.geom_type[geom] != mujoco.mjtGeom.mjGEOM_PLANE
            ]
            if not geoms:
                continue
            mesh = conversions.merge_geoms(model, geoms)
            self._bodies[body] = self._scene.add_mesh_trimesh(
                f"{WORLD}/robot/{body}", mesh, visible=body == 0
            )
            if body:
                self._ghosts[body] = self._scene.add_batched_meshes_simple(
                    f"{WORLD}/ghosts/{body}",
                    np.asarray(mesh.vertices, np.float32),
                    np.asarray(mesh.faces, np.uint32),
                    batched_wxyzs=np.tile([1.0, 0.0, 0.0, 0.0], (GHOSTS, 1)),
                    batched_positions=np.zeros((GHOSTS, 3)),
                    batched_colors=PLAN,
                    opacity=0.15,
                    lod="off",
                    cast_shadow=False,
                    visible=False,
                )

    def show_state(self, state: np.ndarray) -> None:
        """Move the robot to a state (nx,)."""
        if self._robot is None or not np.isfinite(state).all():
            return
        poses = self._robot.poses(state[None])
        with self._server.atomic():
            if self._follows.value:  # By the first body, as a tip may swing.
                x, y, _ = poses.positions[0, min(1, self._robot.model.nbody - 1)]
                self._world.position = (-x, -y, 0.0)
            for body, handle in self._bodies.items():
                handle.position = poses.positions[0, body]
                handle.wxyz = poses.quaternions[0, body]
                handle.visible = True

    def show_plan(self, states: np.ndarray) -> None:
        """Show the states (H + 1, nx) that a plan predicts: the way of the tip, and ghosts."""
        if self._robot is None or not np.isfinite(states).all():
            return
        poses = self._robot.poses(states)
        chosen = np.linspace(0, len(states) - 1, GHOSTS + 1).round().astype(int)[1:]
        with self._server.atomic():
            self._draw("plan", segments(poses.tips[None]), PLAN, 4.0)
            for body, handle in self._ghosts.items():
                handle.batched_positions = poses.positions[chosen, body].astype(np.float32)
                handle.batched_wxyzs = poses.quaternions[chosen, body].astype(np.float32)
                handle.visible = True

    def hide_plans(self) -> None:
        """Show no plan and no candidates, until they are given again."""
        with self._server.atomic():
            for name in ("plan", "footprints", "other_plan", "elites", "samples"):
                if name in self._lines:
                    self._draw(name, np.zeros((0, 2, 3)), PLAN, 1.0)
            for handle in self._ghosts.values():
                handle.visible = False

    def show_other_plan(self, states: np.ndarray) -> None:
        """Show the way of the tip in the states (H + 1, nx) of another plan, beside the first."""
        if self._robot is not None and np.isfinite(states).all():
            self._draw("other_plan", segments(self._robot.poses(states).tips[None]), OTHER, 4.0)

    def show_candidates(self, states: np.ndarray, costs: np.ndarray, elites: int) -> None:
        """
        Show candidates (n, H + 1, nx) with costs (n,), the first `elites` of which are elites.

        By rank of the cost, the cheapest is green and the most expensive red; elites are thicker.
        """
        if self._robot is None:
            return
        valid = np.isfinite(states).all((1, 2))
        count, steps = states.shape[:2]
        tips = np.zeros((count, steps, 3))
        for index in np.flatnonzero(valid):
            tips[index] = self._robot.poses(states[index]).tips
        colours = cost_colours(costs)
        with self._server.atomic():
            for name, part, width in (
                ("elites", slice(0, elites), 2.0),
                ("samples", slice(elites, None), 1.0),
            ):
                kept = valid[part]
                points = segments(tips[part][kept])
                colour = np.repeat(colours[part][kept], steps - 1, axis=0)
                self._draw(name, points, np.repeat(colour[:, None], 2, axis=1), width)

    def show_footprints(self, footprint: Footprint, poses: np.ndarray) -> None:
        """Show where the footprint is at poses (k, 3) along a plan, the last one included."""
        chosen = np.linspace(0, len(poses) - 1, FOOTPRINTS).round().astype(int)
        points = np.concatenate([outline(footprint, pose) for pose in poses[chosen]])
        self._draw("footprints", points, OUTLINE, 1.5)

    def show_path(self, points: np.ndarray) -> None:
        """Show the reference path (k, 2), m; none if k < 2."""
        self._draw("path", segments(on_floor(points)[None]), PATH, 3.0)

    def show_braking(self, poses: np.ndarray, footprint: Footprint) -> None:
        """
        Show the way (k, 3), m and rad, on which the robot brakes to a standstill; none if k is 0.

        It has the footprint of its begin and of its end.
        """
        lines = [segments(on_floor(poses[:, :2])[None])]
        lines += [outline(footprint, pose) for pose in (*poses[:1], *poses[-1:])]
        self._draw("braking", np.concatenate(lines), BRAKING, 3.0)

    def show_moving_obstacles(self, obstacles: MovingObstacles | None) -> None:
        """Show moving obstacles, and paler where they are predicted to be; None for none."""
        now, later = np.zeros((0, 2, 3)), np.zeros((0, 2, 3))
        if obstacles is not None and len(obstacles.radii):
            ahead = [obstacles.after(seconds) for seconds in AHEAD_TIMES]
            ways = np.stack((obstacles.positions, ahead[-1].positions), 1)
            now = circles(obstacles)
            later = np.concatenate([*map(circles, ahead), segments(on_floor(ways))])
        with self._server.atomic():
            self._draw("moving_obstacles", now, MOVING, 3.0)
            self._draw("moving_obstacles_predicted", later, PREDICTED, 1.5)

    def show_surroundings(self, known: Surroundings) -> None:
        """Show costmap, path, goal and moving obstacles; what has not changed is not drawn anew."""
        before, self._known = self._known, known
        if known.costmap is not None and known.costmap is not before.costmap:
            self.show_costmap(known.costmap)
        if known.path is not before.path:
            self.show_path(np.zeros((0, 2)) if known.path is None else known.path.points)
        if known.goal is not None and known.goal is not before.goal:
            self.show_goal(known.goal)
        if known.moving_obstacles is not before.moving_obstacles:
            self.show_moving_obstacles(known.moving_obstacles)

    def show_costmap(self, costmap: Costmap) -> None:
        """Show a costmap, or its distance field, on the floor, in place of the last one."""
        self._costmap, self._shows_distance.visible = costmap, True
        self._draw_map()

    def _draw_map(self) -> None:
        costmap = self._costmap
        if costmap is None:
            return
        rows, columns = costmap.cells.shape
        width, height = columns * costmap.resolution, rows * costmap.resolution
        x, y, yaw = costmap.origin
        cos, sin = math.cos(yaw), math.sin(yaw)
        centre = (
            x + 0.5 * (cos * width - sin * height),
            y + 0.5 * (sin * width + cos * height),
            -FLOOR,
        )
        turn = (math.cos(0.5 * yaw), 0.0, 0.0, math.sin(0.5 * yaw))
        if self._shows_distance.value:
            image = distance_image(costmap.distance)
        else:
            image = map_image(costmap.cells)
        with self._server.atomic():
            if self._map is None:
                self._map = self._scene.add_image(
                    f"{WORLD}/costmap", image, width, height, format="png"
                )
            self._map.image, self._map.position, self._map.wxyz = image, centre, turn
            self._map.render_width, self._map.render_height = width, height

    def show_goal(self, pose: tuple[float, float, float] | None) -> None:
        """Show the goal (x, y, yaw), unless it is being dragged."""
        if pose is None or self._is_dragged:
            return
        if self._goal is None:
            self._goal = self._add_goal()
        x, y, yaw = pose
        with self._server.atomic():
            self._goal.position = (x, y, FLOOR)
            self._goal.wxyz = (math.cos(0.5 * yaw), 0.0, 0.0, math.sin(0.5 * yaw))

    def offer_goal(self, pose: tuple[float, float, float]) -> None:
        """Put a goal before the robot at a pose, to be dragged, if there is none yet."""
        if self._goal is None and self._on_goal is not None:
            x, y, yaw = pose
            self.show_goal((x + AHEAD * math.cos(yaw), y + AHEAD * math.sin(yaw), yaw))

    def _add_goal(self) -> viser.TransformControlsHandle:
        goal = self._scene.add_transform_controls(
            f"{WORLD}/goal",
            0.7,
            active_axes=(True, True, False),
            disable_rotations=self._on_goal is None,
            disable_axes=self._on_goal is None,
            disable_sliders=self._on_goal is None,
        )
        arrow = np.array(
            [
                [[-0.3, 0.0, 0.0], [0.3, 0.0, 0.0]],
                [[0.3, 0.0, 0.0], [0.1, 0.12, 0.0]],
                [[0.3, 0.0, 0.0], [0.1, -0.12, 0.0]],
            ]
        )
        self._scene.add_line_segments(
            f"{WORLD}/goal/arrow", arrow, GOAL, thickness=4.0, thickness_units="screen"
        )
        if self._on_goal is None:
            return goal

        @goal.on_update
        def _(event: viser.TransformControlsEvent) -> None:
            self._is_dragged = event.phase != "end"
            if event.phase == "end":
                w, _, _, z = goal.wxyz
                x, y, _ = map(float, goal.position)
                self._on_goal(x, y, 2.0 * math.atan2(z, w))

        return goal

    def _draw(
        self, name: str, points: np.ndarray, colours: np.ndarray | Sequence[int], width: float
    ) -> None:
        """Draw segments (n, 2, 3), m; `width` is in pixels."""
        if name in self._lines:
            line = self._lines[name]
            line.points = points.astype(np.float32)
            line.colors = colours_of(colours, len(points))
        else:
            self._lines[name] = self._scene.add_line_segments(
                f"{WORLD}/{name}",
                points.astype(np.float32),
                colours_of(colours, len(points)),
                thickness=width,
                thickness_units="screen",
            )


def segments(lines: np.ndarray) -> np.ndarray:
    """Return the segments (n (k - 1), 2, 3) of n lines (n, k, 3)."""
    return np.stack((lines[:, :-1], lines[:, 1:]), 2).reshape(-1, 2, 3)


def on_floor(points: np.ndarray) -> np.ndarray:
    """Return points (..., 3), just above the floor, of points in the plane (..., 2), m."""
    return np.concatenate((points, np.full((*points.shape[:-1], 1), FLOOR)), -1)


def outline(footprint: Footprint, pose: np.ndarray) -> np.ndarray:
    """Return the segments (n, 2, 3), m, of a footprint in a pose (3,), m and rad."""
    return segments(on_floor(footprint.at(*pose))[None])


def circles(obstacles: MovingObstacles) -> np.ndarray:
    """Return the segments (n, 2, 3), m, of the outlines of moving obstacles."""
    return segments(on_floor(obstacles.outlines()))


def colours_of(colours: np.ndarray | Sequence[int], count: int) -> np.ndarray:
    """Return a colour for both ends of `count` segments (count, 2, 3), of one or of all."""
    return np.broadcast_to(np.asarray(colours, np.uint8), (count, 2, 3)).copy()


def cost_colours(costs: np.ndarray) -> np.ndarray:
    """Return (n, 3), uint8: green for the cheapest, red for the most expensive one, by rank."""
    share = np.argsort(np.argsort(costs)) / max(1, len(costs) - 1)
    return (255.0 * np.column_stack((share, 0.85 * (1.0 - share), 0.0 * share))).astype(np.uint8)
