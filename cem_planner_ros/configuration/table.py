"""The table of the node's parameters that do not depend on model and costs."""

from cem_planner_ros.compile.choose import BACKEND
from cem_planner_ros.fields import COMMAND_TYPES, STATE_TYPES
from cem_planner_ros.planning.planner_arguments import ARGUMENTS, PERIOD
from cem_planner_ros.planning.settings import SETTINGS
from cem_planner_ros.plugins.parameter import INACTIVE, READ_ONLY, Parameter

TABLE = (
    Parameter(
        "autostart",
        True,
        "Whether the node configures and activates itself when it starts.",
        when=READ_ONLY,
    ),
    Parameter(
        *("control_rate", 50.0, "Number of commands sent per second."),
        **{"unit": "Hz", "low": 1.0 / PERIOD.high, "high": 1.0 / PERIOD.low, "when": INACTIVE},
    ),
    Parameter(
        "budget_fraction",
        0.8,
        "Share of the control period that planning may use. An iteration that would not end "
        "within it is not begun.",
        low=0.05,
        high=0.9,
    ),
    Parameter(
        "command_phase",
        0.0,
        "Share of the control period that must pass before the command is sent; 0 sends it as"
        " soon as it is planned. A larger share makes the commands more evenly spaced and the"
        " state they are planned from older.",
        low=0.0,
        high=0.7,
    ),
    Parameter(
        "max_state_age",
        0.2,
        "Largest age of a state that is planned from. With an older state the node does not plan.",
        unit="s",
        low=0.0,
    ),
    Parameter(
        "actuation_delay",
        0.0,
        "Time from sending a command until it acts on the robot. The state is predicted over "
        "this time before planning.",
        unit="s",
        low=0.0,
        high=1.0,
    ),
    Parameter(
        "max_plan_age",
        0.2,
        "Largest age of a plan that is used when no new plan is ready (status previous_plan).",
        unit="s",
        low=0.0,
        high=60.0,
    ),
    Parameter(
        "fallback",
        "ramp_to_safe",
        "What is commanded for hold_time when no usable plan is left (status fallback). "
        "ramp_to_safe moves evenly to the safe action, keep_last repeats the last command, "
        "policy follows policy.file while the state is recent and else ramps to the safe "
        "action. The safe action follows (status stopped).",
        choices=("ramp_to_safe", "keep_last", "policy"),
    ),
    Parameter(
        "hold_time",
        0.3,
        "Longest time in status fallback, before status stopped.",
        unit="s",
        low=0.0,
        high=60.0,
    ),
    Parameter(
        "recover_periods",
        3,
        "Number of good plans in a row that end the statuses fallback and stopped. The first "
        "plans after a reset are still rough.",
        low=1,
        high=1000,
    ),
    *(p for p in SETTINGS.values() if p.name.startswith("planner.")),
    BACKEND,
    *ARGUMENTS,
    Parameter(
        "dynamics.plugin",
        "cartpole",
        "Name of the model: an installed plugin, or package.module:Class.",
        when=INACTIVE,
    ),
    Parameter(
        "randomisation.samples",
        1,
        "Number of variants of the model, P, through which each candidate is simulated. Their"
        " parameters differ by randomisation.spread, and planner.risk combines their costs.",
        low=1,
        high=1000,
        when=INACTIVE,
    ),
    Parameter(
        "policy.file",
        "",
        "YAML file of a policy, as the command search-policy writes it: a path, or a name in "
        "the folder models. Empty for no policy.",
        when=INACTIVE,
    ),
    SETTINGS["proposals"],
    Parameter(
        "costs",
        ["tracking"],
        "Names of the cost terms, whose costs are added. NAME.plugin says which plugin each "
        "term is.",
        when=INACTIVE,
    ),
    Parameter("state.topic", "joint_states", "Topic of the state messages.", when=INACTIVE),
    Parameter(
        "state.type",
        "sensor_msgs/msg/JointState",
        "Message type of the state.",
        choices=tuple(STATE_TYPES),
        when=INACTIVE,
    ),
    Parameter("command.topic", "commands", "Topic of the command messages.", when=INACTIVE),
    Parameter(
        "command.type",
        "std_msgs/msg/Float64MultiArray",
        "Message type of the command.",
        choices=tuple(COMMAND_TYPES),
        when=INACTIVE,
    ),
    Parameter(
        "command.frame_id",
        "",
        "Frame of a stamped command, that of the robot's body; empty for the child_frame_id of the "
        "odometry, or base_link where the state has none.",
    ),
    Parameter(
        "frame_id",
        "odom",
        "Frame of the state, of ~/path and of ~/markers. Goal, path and costmap are "
        "transformed into it.",
        when=INACTIVE,
    ),
    Parameter(
        "plan_rate",
        5.0,
        "Publishing rate of ~/plan and, for models with the states x and y, of ~/path; 0 "
        "publishes neither.",
        unit="Hz",
        low=0.0,
        high=100.0,
    ),
    Parameter(
        "marker_rate",
        0.0,
        "Publishing rate of ~/markers, for models with the states x and y: the plan, elites "
        "and other candidates coloured by cost, the braking path, and the footprint. 0 "
        "publishes none.",
        unit="Hz",
        low=0.0,
        high=100.0,
    ),
    Parameter("marker_count", 50, "Number of candidates shown in ~/markers.", low=0, high=64),
    Parameter(
        "allow_rebuild",
        False,
        "Whether planner.* may be set while the node controls. The new planner is built in "
        "the background, while the old one controls; then it continues with the plan of the "
        "old one.",
    ),
    Parameter(
        "allow_cpu_fallback",
        False,
        "Whether the node continues on the CPU, with fewer candidates, when the GPU is lost "
        "or out of memory.",
    ),
    Parameter(
        "realtime.priority",
        0,
        "SCHED_FIFO priority of the planner thread; the watchdog thread has one more. 0 keeps"
        " the default scheduler.",
        low=0,
        high=98,
        when=INACTIVE,
    ),
    Parameter(
        "realtime.cpus",
        "",
        "CPUs that the planner thread may run on, such as '2 3'; empty for all.",
        when=INACTIVE,
    ),
    Parameter(
        "realtime.lock_memory",
        False,
        "Whether the memory of the process is locked against swapping (mlockall).",
        when=INACTIVE,
    ),
    Parameter(
        "realtime.freeze_garbage",
        True,
        "Whether Python's garbage collector is frozen while the node controls.",
        when=INACTIVE,
    ),
    Parameter(
        "realtime.switch_interval",
        0.0005,
        "Time after which a Python thread has to let another one run. Python's default is 0.005 s.",
        unit="s",
        low=1e-5,
        high=0.1,
        when=INACTIVE,
    ),
    Parameter(
        "publish_statistics",
        False,
        "Whether ~/statistics is published with every command.",
    ),
)
"""The parameters that do not depend on the model. Those of plugins, fields and bounds are added."""

OCCUPANCY_GRID = "nav_msgs/msg/OccupancyGrid"
RAW_COSTMAP = "nav2_msgs/msg/Costmap"

DRIVING = (
    Parameter("drive.goal_topic", "goal_pose", "Topic of the goal pose.", when=INACTIVE),
    Parameter("drive.path_topic", "plan", "Topic of the reference path.", when=INACTIVE),
    Parameter("drive.costmap_topic", "costmap", "Topic of the costmap.", when=INACTIVE),
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
        "Time without a usable state, costmap or plan after which a goal of follow_path is "
        "aborted; -1 for never.",
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
        "Nav2's name of the goal checker. With the stopped one, speeds have limits of its own, "
        "and else drive.speed_tolerance and drive.yaw_rate_tolerance.",
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
        "Whether the distance to the goal does not count any more once it was within tolerance.",
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

ROS_PARAMETERS = ("use_sim_time", "start_type_description_service", "qos_overrides")
"""Parameters, or their first names, that rclpy declares on every node."""

RENAMED = {
    "hold": "fallback, whose values are ramp_to_safe (was brake), keep_last (was hold), policy"
}
"""New names of renamed parameters, for messages about the old names."""
