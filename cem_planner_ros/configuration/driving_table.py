# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The table of the node's parameters that only a robot that drives has."""

from cem_planner_ros.plugins.parameter import INACTIVE, Parameter

OCCUPANCY_GRID = "nav_msgs/msg/OccupancyGrid"
RAW_COSTMAP = "nav2_msgs/msg/Costmap"

DRIVING = (
    Parameter("drive.goal_topic", "goal_pose", "Topic of the goal pose.", when=INACTIVE),
    Parameter("drive.path_topic", "plan", "Topic of the reference path.", when=INACTIVE),
    Parameter("drive.costmap_topic", "costmap", "Topic of the costmap.", when=INACTIVE),
    Parameter(
        "drive.footprint_topic",
        "",
        "Topic of the robot's outline (geometry_msgs/msg/PolygonStamped), such as "
        "local_costmap/published_footprint of Nav2. It replaces the footprint of the costs; empty "
        "for no topic.",
        when=INACTIVE,
    ),
    Parameter(
        "drive.moving_obstacles_topic",
        "moving_obstacles",
        "Topic of the moving obstacles (sensor_msgs/msg/PointCloud2 with the fields x, y, vx, vy "
        "and radius), for a cost obstacles whose moving_obstacles is more than 0.",
        when=INACTIVE,
    ),
    Parameter(
        "drive.costmap_type",
        OCCUPANCY_GRID,
        "Message type of the costmap. The raw costmap of Nav2 has the values 254 for an obstacle, "
        "253 for the inscribed radius and 255 for unknown; they count as 100, 99 and -1.",
        choices=(OCCUPANCY_GRID, RAW_COSTMAP),
        when=INACTIVE,
    ),
    Parameter(
        "drive.follow_path",
        False,
        "Whether paths come from the action follow_path (nav2_msgs/action/FollowPath), as in "
        "Nav2's controller_server, and not from drive.goal_topic and drive.path_topic.",
        when=INACTIVE,
    ),
    Parameter(
        "drive.xy_tolerance",
        0.1,
        "Largest distance to the goal at which it counts as reached.",
        unit="m",
        low=1e-3,
    ),
    Parameter(
        "drive.yaw_tolerance",
        0.2,
        "Largest error of the heading at which the goal counts as reached.",
        unit="rad",
        low=1e-3,
        high=4.0,
    ),
    Parameter(
        "drive.speed_tolerance",
        0.1,
        "Measured and commanded speed below which the goal counts as reached.",
        unit="m/s",
        low=1e-3,
    ),
    Parameter(
        "drive.yaw_rate_tolerance",
        0.25,
        "Measured and commanded yaw rate below which the goal counts as reached.",
        unit="rad/s",
        low=1e-3,
    ),
    Parameter(
        "drive.max_costmap_age",
        0.5,
        "Largest age of a costmap. With an older costmap the robot stops.",
        unit="s",
        low=0.0,
    ),
    Parameter(
        "drive.max_moving_obstacles_age",
        0.5,
        "Largest age of a message with moving obstacles. With an older message the robot stops.",
        unit="s",
        low=0.0,
    ),
    Parameter(
        "drive.moving_obstacles_padding",
        0.1,
        "Distance from a moving obstacle within which occupied cells of the costmap belong to the "
        "moving obstacle. They are no obstacles of their own.",
        unit="m",
        low=0.0,
        high=10.0,
    ),
    Parameter(
        "drive.lethal",
        100,
        "Smallest value of a costmap cell that is an obstacle. Unknown cells are no obstacles.",
        low=1,
        high=100,
        when=INACTIVE,
    ),
    Parameter(
        "drive.acceleration",
        1.0,
        "Largest acceleration of the robot along and across its heading.",
        unit="m/s^2",
        low=1e-3,
    ),
    Parameter(
        "drive.deceleration",
        0.8,
        "Deceleration that the robot reaches with certainty. The stop guard sends no command "
        "after which the robot could not stop with it.",
        unit="m/s^2",
        low=1e-3,
    ),
    Parameter(
        "drive.yaw_acceleration",
        4.0,
        "Largest angular acceleration of the robot.",
        unit="rad/s^2",
        low=1e-3,
    ),
    Parameter(
        "drive.yaw_deceleration",
        3.0,
        "Angular deceleration that the robot reaches with certainty.",
        unit="rad/s^2",
        low=1e-3,
    ),
    Parameter(
        "drive.reaction",
        0.1,
        "Time from sending a command until the robot begins to brake, in addition to "
        "actuation_delay.",
        unit="s",
        low=0.0,
        high=10.0,
    ),
    Parameter(
        "drive.margin",
        0.0,
        "Smallest clearance to obstacles that the robot must keep when it brakes.",
        unit="m",
        low=0.0,
        high=10.0,
    ),
)
"""The parameters of a mobile robot: of a node whose costs use the surroundings."""

FOLLOW_PATH = (
    Parameter(
        "controller_plugins",
        ["FollowPath"],
        "Values of controller_id that a goal of follow_path may have. All of them mean this "
        "planner.",
        when=INACTIVE,
    ),
    Parameter(
        "goal_checker_plugins",
        ["goal_checker"],
        "Names of the goal checkers, which a goal of follow_path chooses by goal_checker_id.",
        when=INACTIVE,
    ),
    Parameter(
        "progress_checker_plugins",
        ["progress_checker"],
        "Names of the progress checkers, which a goal of follow_path chooses by "
        "progress_checker_id. Without any, progress is not checked.",
        when=INACTIVE,
    ),
    Parameter(
        "failure_tolerance",
        0.3,
        "Time without a usable state, transform, costmap or plan after which a goal of "
        "follow_path is aborted; -1 for never.",
        unit="s",
        low=-1.0,
    ),
    Parameter(
        "speed_limit_topic",
        "speed_limit",
        "Topic of the speed limit (nav2_msgs/msg/SpeedLimit).",
        when=INACTIVE,
    ),
)
"""The parameters of `drive.follow_path`, named as those of Nav2's controller_server."""

SIMPLE_GOAL_CHECKER = "nav2_controller::SimpleGoalChecker"
STOPPED_GOAL_CHECKER = "nav2_controller::StoppedGoalChecker"
SIMPLE_PROGRESS_CHECKER = "nav2_controller::SimpleProgressChecker"
POSE_PROGRESS_CHECKER = "nav2_controller::PoseProgressChecker"

GOAL_CHECKER = (
    Parameter(
        "plugin",
        SIMPLE_GOAL_CHECKER,
        "Nav2's name of the goal checker. The StoppedGoalChecker has its own limits of speed; "
        "the other one uses drive.speed_tolerance and drive.yaw_rate_tolerance.",
        choices=(SIMPLE_GOAL_CHECKER, STOPPED_GOAL_CHECKER),
        when=INACTIVE,
    ),
    Parameter(
        "xy_goal_tolerance",
        0.25,
        "Largest distance to the goal at which it counts as reached.",
        unit="m",
        low=1e-3,
    ),
    Parameter(
        "yaw_goal_tolerance",
        0.25,
        "Largest error of the heading at which the goal counts as reached.",
        unit="rad",
        low=1e-3,
    ),
    Parameter(
        "stateful",
        True,
        "Whether the position counts as reached from the first time that it is within tolerance.",
    ),
    Parameter(
        "trans_stopped_velocity",
        0.25,
        "Speed below which the goal counts as reached, for the stopped goal checker.",
        unit="m/s",
        low=1e-3,
    ),
    Parameter(
        "rot_stopped_velocity",
        0.25,
        "Yaw rate below which the goal counts as reached, for the stopped goal checker.",
        unit="rad/s",
        low=1e-3,
    ),
)
"""The parameters of each goal checker, under its name."""

PROGRESS_CHECKER = (
    Parameter(
        "plugin",
        SIMPLE_PROGRESS_CHECKER,
        "Nav2's name of the progress checker. For the one of poses, turning is progress too.",
        choices=(SIMPLE_PROGRESS_CHECKER, POSE_PROGRESS_CHECKER),
        when=INACTIVE,
    ),
    Parameter(
        "required_movement_radius",
        0.5,
        "Distance that the robot has to come away from where it was, within "
        "movement_time_allowance.",
        unit="m",
        low=0.0,
    ),
    Parameter(
        "required_movement_angle",
        0.5,
        "Angle by which turning is progress, for the progress checker of poses.",
        unit="rad",
        low=0.0,
    ),
    Parameter(
        "movement_time_allowance",
        10.0,
        "Time without progress after which a goal of follow_path is aborted.",
        unit="s",
        low=0.0,
    ),
)
"""The parameters of each progress checker, under its name."""
