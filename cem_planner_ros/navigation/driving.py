"""What a robot that drives must not do, whatever was planned: collide, drive blind or aimlessly."""

from __future__ import annotations

import math

import numpy as np

from cem_planner_ros.configuration import Configuration
from cem_planner_ros.control.tick import (
    GOAL_REACHED,
    NO_GOAL,
    OUTSIDE_COSTMAP,
    STALE_COSTMAP,
    StateSample,
)
from cem_planner_ros.costs.motion import FORWARD, SIDEWAYS, TURNING
from cem_planner_ros.navigation.surroundings import NOTHING, Pose, Surroundings

STEP = 0.04
"""s between two poses of braking that are looked at."""

WORSE = 0.002
"""m that a clearance below the margin may shrink without getting worse: look-ups are not exact."""


SHARES = (1.0, 0.75, 0.5, 0.25)
"""Of a command, tried in turn until the robot could stop after one."""


class Driving:
    """
    Says when not to drive, and whether the robot could still stop after a command.

    It uses no PyTorch; whoever sends a command asks it.

    Args:
        configuration: of the node; its costs say what has to be known of the surroundings.
    """

    def __init__(self, configuration: Configuration):
        self.surroundings: Surroundings = NOTHING
        """Replaced whole, by any thread."""
        self.reached: Pose | None = None
        """The goal that was reached last."""
        self.is_imminent = False
        """Whether the last command was refused because the robot could not have stopped."""
        self.stop: np.ndarray | None = None
        """Poses (n, 3) on the way to where it stands if it brakes after the last command."""
        self.standing = 0.0
        """s for which it has stood though there is somewhere to drive to."""
        self._moved = math.inf
        self._ways = sorted(configuration.inputs & {"goal", "path"})
        """What there is to drive to or along, of which one has to be known."""
        self._needs_map = "costmap" in configuration.inputs
        shapes = [cost.shape for cost in configuration.costs.values() if "costmap" in cost.inputs]
        self.footprint = shapes[0] if shapes else None
        dynamics = configuration.dynamics
        self._states = {name: i for i, name in enumerate(dynamics.state_names)}
        self._actions = {name: i for i, name in enumerate(dynamics.action_names)}
        self.use(configuration)

    def use(self, configuration: Configuration) -> None:
        """Use other values from now on."""
        values = configuration.values
        self._values = {
            name: values[f"drive.{name}"]
            for name in (
                *("xy_tolerance", "yaw_tolerance", "speed_tolerance", "max_costmap_age"),
                *("reaction", "margin"),
                *("acceleration", "deceleration", "yaw_acceleration", "yaw_deceleration"),
            )
        }
        self._period = 1.0 / values["control_rate"]
        self._delay = values["actuation_delay"]

    @property
    def is_reached(self) -> bool:
        """Whether the robot has reached the goal that there is."""
        return self.reached is not None and self.reached is self.surroundings.goal

    def refuses(self, sample: StateSample, before: np.ndarray, now: float) -> tuple[str, str]:
        """
        Return a cause of `tick.CAUSES` and a reason not to drive, "" for none.

        Args:
            sample: the newest state.
            before: (nu,), the command in force.
            now: s.
        """
        speed = math.hypot(*(self._speed(n, sample, before) for n in (FORWARD, SIDEWAYS)))
        cause, reason = self._refuses(sample, speed, now)
        rests = cause in (NO_GOAL, GOAL_REACHED) or speed >= self._values["speed_tolerance"]
        self._moved = now if rests else min(self._moved, now)
        self.standing = now - self._moved
        return cause, reason

    def _refuses(self, sample: StateSample, speed: float, now: float) -> tuple[str, str]:
        around = self.surroundings
        x, y, yaw = (sample.state[self._states[name]] for name in ("x", "y", "yaw"))
        goal = around.goal
        if self._ways:
            # What no cost looks at leads nowhere: all candidates would cost the same.
            if all(getattr(around, name) is None for name in self._ways):
                return NO_GOAL, f"no {' and no '.join(self._ways)}"
            if goal is not None and goal is not self.reached:
                off, turned = math.hypot(x - goal.x, y - goal.y), _wrapped(yaw - goal.yaw)
                is_there = off < self._values["xy_tolerance"]
                is_slow = speed < self._values["speed_tolerance"]
                if is_there and is_slow and abs(turned) < self._values["yaw_tolerance"]:
                    self.reached = goal
            if goal is not None and goal is self.reached:
                return GOAL_REACHED, ""
        if self._needs_map:
            costmap = around.costmap
            if costmap is None:
                return STALE_COSTMAP, "no costmap yet"
            age = now - costmap.time
            # Also one from the future, as after a clock was set back, and one without a time.
            if not abs(age) <= self._values["max_costmap_age"]:
                return STALE_COSTMAP, f"the costmap is {age:.2f} s old"
            if not costmap.contains((x, y)):
                return OUTSIDE_COSTMAP, f"({x:.2f}, {y:.2f}) m is not on the costmap"
        return "", ""

    def bounded(
        self,
        sample: StateSample,
        before: np.ndarray,
        action: np.ndarray,
        safe: np.ndarray,
        now: float,
    ) -> np.ndarray | None:
        """
        Return the first command on the way from one to the safe one after which it can stop.

        None if it could not even stop after the last of those tried. Arguments as for `can_stop`.
        """
        for share in SHARES:
            tried = safe + share * (action - safe)
            if self.can_stop(sample, before, tried, now):
                self.is_imminent = False
                return tried
        self.is_imminent = True
        return None

    def can_stop(
        self, sample: StateSample, before: np.ndarray, action: np.ndarray, now: float
    ) -> bool:
        """
        Return whether the robot can brake before it touches anything, after one more command.

        Until the command takes effect it goes on as it moves, or gains the speed that the command
        in force may still give it; then it goes over to the command for a period, no faster than it
        can, and brakes evenly. Where it touches something already, what is no worse is no reason to
        stand still: out of a place that is too narrow it may drive.

        Args:
            sample: the newest state.
            before: (nu,), the command in force.
            action: (nu,), the next command.
            now: s.
        """
        costmap = self.surroundings.costmap
        if not self._needs_map or costmap is None:
            return True
        value = self._values
        x, y, yaw = (float(sample.state[self._states[name]]) for name in ("x", "y", "yaw"))
        begin = max(now - sample.time, 0.0) + self._delay + value["reaction"]
        end = begin + self._period
        profiles, longest = [], end
        for names, kind in ((FORWARD, ""), (SIDEWAYS, ""), (TURNING, "yaw_")):
            faster, slower = value[f"{kind}acceleration"], value[f"{kind}deceleration"]
            first = self._speed(names, sample, before)
            second = first
            wanted = self._speed(names, None, before)
            if abs(wanted) > abs(first) and wanted * first >= 0.0:
                second = _towards(wanted, first, faster * begin)
            wanted = self._speed(names, None, action)
            if wanted * second < 0.0:  # First to a stop, no faster than it surely brakes.
                wanted = 0.0
            rate = faster if abs(wanted) > abs(second) else slower
            third = _towards(wanted, second, rate * self._period)
            stands = end + abs(third) / slower
            profiles.append(((0.0, begin, end, stands), (first, second, third, 0.0)))
            longest = max(longest, stands)
        times = np.arange(0.0, longest + STEP, STEP)
        along, across, turning = (np.interp(times, *profile) for profile in profiles)
        heading = yaw + np.concatenate(([0.0], np.cumsum(STEP * turning[:-1])))
        cos, sin = np.cos(heading), np.sin(heading)
        steps = STEP * np.stack((cos * along - sin * across, sin * along + cos * across))
        way = np.concatenate((np.zeros((2, 1)), np.cumsum(steps[:, :-1], 1)), 1)
        self.stop = np.column_stack((x + way[0], y + way[1], heading))
        discs = self.footprint.discs_at(*self.stop.T)
        clearance = costmap.clearance(discs) - self.footprint.radius
        # What a disc touches now may slide along the outline, to the next disc, but not press in:
        # to touch something on one side excuses nothing on another.
        present = clearance[0]
        present = np.minimum(present, np.minimum(np.roll(present, 1), np.roll(present, -1)))
        allowed = np.minimum(present - WORSE, value["margin"])
        return bool((clearance >= allowed).all())

    def _speed(
        self, names: tuple[str, ...], sample: StateSample | None, action: np.ndarray
    ) -> float:
        """Return the speed of a state by one of the names, or else that of an action."""
        for name in names:
            if sample is not None and name in self._states:
                return float(sample.state[self._states[name]])
        for name in names:
            if name in self._actions:
                return float(action[self._actions[name]])
        return 0.0


def _towards(wanted: float, speed: float, reach: float) -> float:
    """Return the speed that is nearest to the wanted one, within reach."""
    return speed + min(max(wanted - speed, -reach), reach)


def _wrapped(angle: float) -> float:
    return math.remainder(angle, 2.0 * math.pi)
