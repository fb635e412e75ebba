# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The input of costmaps: grids, updates, and distance fields."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.navigation.costmap import Costmap
from cem_planner_ros.navigation.moving_obstacles import MovingObstacles
from cem_planner_ros.navigation.received_grid import ReceivedGrid, without_recent
from cem_planner_ros.readers import age_of, stamp_of
from cem_planner_ros.ros.frames import Frames


class CostmapInput:
    """
    Makes costmaps from messages.

    Messages are checked on the executor's thread. Another thread computes the distance field, so
    nothing waits for it. A costmap that comes meanwhile is computed next. If a newer one comes
    while it waits, the older one is dropped.

    Args:
        frames: transforms of the messages' frames.
        configuration: largest age of a costmap, and the value of obstacles.
        clock: clock of the control loop, s.
        stamp_clock: clock with which messages are stamped, s.
        moving: returns the newest moving obstacles, whose cells are no obstacles.
        changed: called by either thread with each new costmap, and with None when the costmap is
            forgotten.
        failed: called with the error of the thread that computes distance fields.
    """

    def __init__(
        self,
        frames: Frames,
        configuration: Configuration,
        clock: Callable[[], float],
        stamp_clock: Callable[[], float],
        moving: Callable[[], MovingObstacles | None],
        changed: Callable[[Costmap | None], None],
        failed: Callable[[str], None],
    ):
        self._frames = frames
        self._clock = clock
        self._stamp_clock = stamp_clock
        self._moving = moving
        self._changed = changed
        self._failed = failed
        self._grid = ReceivedGrid()
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="costmap")
        self._lock = threading.Lock()
        self._waiting: Costmap | None = None
        self._is_working = False
        self._epoch = 0  # Number of calls of `forget`.
        self._whole = -math.inf  # Stamp of the last whole grid, s.
        self.use(configuration)

    def use(self, configuration: Configuration) -> None:
        """Use other values from now on."""
        self._lethal = configuration.values["drive.lethal"]
        self._max_age = configuration.values["drive.max_costmap_age"]
        self._padding = configuration.values["drive.moving_obstacles_padding"]
        self._max_moving_age = configuration.values["drive.max_moving_obstacles_age"]

    def destroy(self) -> None:
        """End the thread after its present costmap; no more costmaps are reported."""
        with self._lock:
            self._epoch += 1
            self._waiting = None
        self._worker.shutdown()

    def forget(self) -> None:
        """Forget the costmap: the clock was set."""
        self._grid.forget()
        self._whole = -math.inf
        with self._lock:
            self._epoch += 1
            self._waiting = None
            self._changed(None)

    def take(self, message) -> None:
        """
        Receive a whole grid. Raises MessageError if it cannot be used.

        Args:
            message: a nav_msgs/OccupancyGrid or a nav2_msgs/Costmap.
        """
        stamp = stamp_of(message)
        self._grid.take(message)
        self._whole = -math.inf if stamp is None else stamp
        self._take_grid(stamp)

    def update(self, message) -> None:
        """
        Receive an update of a part of the grid. Raises MessageError if it cannot be used.

        Grids and updates have topics of their own, so an update may come after a newer grid. It is
        then a part of that grid already, or of another place, and is ignored.

        Args:
            message: a map_msgs/OccupancyGridUpdate or a nav2_msgs/CostmapUpdate.
        """
        stamp = stamp_of(message)
        if stamp is None or stamp >= self._whole:
            self._grid.update(message)
            self._take_grid(stamp)

    def _take_grid(self, stamp: float | None) -> None:
        age = age_of(stamp, self._stamp_clock(), self._max_age, "drive.max_costmap_age")
        time = self._clock() - age
        costmap = self._grid.costmap(self._frames.pose_of, time, self._lethal)
        with self._lock:
            self._waiting = costmap
            if not self._is_working:
                self._is_working = True
                self._worker.submit(self._work)

    def _work(self) -> None:
        """Compute distance fields until no costmap waits; runs in the costmap thread."""
        while True:
            with self._lock:
                costmap, epoch, self._waiting = self._waiting, self._epoch, None
                self._is_working = costmap is not None
                if costmap is None:
                    return
            try:
                costmap = without_recent(
                    costmap, self._moving(), self._padding, self._max_moving_age
                )
                costmap.distance  # noqa: B018, made here, outside the control period
                with self._lock:
                    if epoch == self._epoch:
                        self._changed(costmap)
            except Exception as error:  # For example if SciPy is missing.
                self._failed(f"it cannot be prepared: {type(error).__name__}: {error}")
