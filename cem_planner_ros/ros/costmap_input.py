"""Costmaps in: whole grids and updates, with their distance fields."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from nav_msgs.msg import OccupancyGrid

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.navigation.poses import compose
from cem_planner_ros.navigation.surroundings import Costmap
from cem_planner_ros.ros.frames import Frames, planar_pose
from cem_planner_ros.ros.messages import MessageError, stamp_of

MAX_CELLS = 1_000_000
"""Of a costmap; its distance field takes 0.1 s for so many."""


class CostmapInput:
    """
    Makes costmaps of messages.

    Messages are checked on the executor's thread. The distance field is made on a thread of its
    own, so that nothing waits for it. A costmap that comes meanwhile is next; one that another
    overtook while it waited is left out.

    Args:
        frames: where the frames of the messages are.
        configuration: when a costmap is too old, and what is an obstacle.
        clock: s, of the control loop.
        stamp_clock: s, on which messages are stamped.
        changed: called with each new costmap that is ready, and with None when it is forgotten; by
            either thread.
        failed: called with what went wrong on the thread that makes distance fields.
    """

    def __init__(
        self,
        frames: Frames,
        configuration: Configuration,
        clock: Callable[[], float],
        stamp_clock: Callable[[], float],
        changed: Callable[[Costmap | None], None],
        failed: Callable[[str], None],
    ):
        self._frames = frames
        self._clock = clock
        self._stamp_clock = stamp_clock
        self._changed = changed
        self._failed = failed
        self._grid: tuple[OccupancyGrid, np.ndarray] | None = None
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="costmap")
        self._lock = threading.Lock()
        self._waiting: Costmap | None = None
        self._is_working = False
        self._epoch = 0  # Counts how often all was forgotten.
        self.use(configuration)

    def use(self, configuration: Configuration) -> None:
        """Use other values from now on."""
        self._lethal = configuration.values["drive.lethal"]
        self._max_age = configuration.values["drive.max_costmap_age"]

    def destroy(self) -> None:
        """End the thread, after the costmap that it has begun; none is told of any more."""
        with self._lock:
            self._epoch += 1
            self._waiting = None
        self._worker.shutdown()

    def forget(self) -> None:
        """Forget the costmap: the clock was set."""
        self._grid = None
        with self._lock:
            self._epoch += 1
            self._waiting = None
            self._changed(None)

    def take(self, message: OccupancyGrid) -> None:
        """Take in a whole grid; raise MessageError if it cannot be used."""
        info = message.info
        is_grid = 0 < info.width * info.height == len(message.data)
        if not (is_grid and 0.0 < info.resolution < math.inf):
            raise MessageError(
                f"it has {len(message.data)} cells of {info.resolution:g} m, expected "
                f"{info.width} x {info.height} of more than 0 m"
            )
        if len(message.data) > MAX_CELLS:
            raise MessageError(f"it has {len(message.data)} cells, allowed: {MAX_CELLS}")
        cells = np.array(message.data, np.int8).reshape(info.height, info.width)
        self._grid = message, cells
        self._take_grid(message.header.frame_id, stamp_of(message))

    def update(self, message) -> None:
        """Take in a map_msgs/OccupancyGridUpdate; raise MessageError if it cannot be used."""
        if self._grid is None:
            raise MessageError("an update came before the whole")
        whole, cells = self._grid
        rows, columns = slice(message.y, message.y + message.height), message.x + message.width
        patch = cells[rows, message.x : columns]
        if patch.shape != (message.height, message.width) or patch.size != len(message.data):
            raise MessageError("an update does not fit into the whole")
        cells = cells.copy()  # What was handed over stays as it is.
        cells[rows, message.x : columns] = np.reshape(message.data, patch.shape)
        self._grid = whole, cells
        self._take_grid(whole.header.frame_id, stamp_of(message))

    def _take_grid(self, frame: str, stamp: float | None) -> None:
        message, cells = self._grid
        age = 0.0 if stamp is None else self._stamp_clock() - stamp
        # An old map is an old map. One from the future is, with clocks that differ a little, new.
        if age < -self._max_age:
            raise MessageError("its stamp is in the future by more than drive.max_costmap_age")
        origin = message.info.origin
        costmap = Costmap(
            cells,
            message.info.resolution,
            compose(self._frames.pose_of(frame), planar_pose(origin.position, origin.orientation)),
            self._clock() - max(age, 0.0),
            self._lethal,
        )
        with self._lock:
            self._waiting = costmap
            if not self._is_working:
                self._is_working = True
                self._worker.submit(self._work)

    def _work(self) -> None:
        """Make distance fields until no costmap waits; on the thread that is there for this."""
        while True:
            with self._lock:
                costmap, epoch, self._waiting = self._waiting, self._epoch, None
                self._is_working = costmap is not None
                if costmap is None:
                    return
            try:
                costmap.distance  # noqa: B018, made here, outside the control period
                with self._lock:
                    if epoch == self._epoch:
                        self._changed(costmap)
            except Exception as error:  # As where there is no SciPy.
                self._failed(f"it cannot be prepared: {type(error).__name__}: {error}")
