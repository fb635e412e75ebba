"""The one table of parameters that the node has whatever the model and the costs."""

from cem_planner_ros.fields import COMMAND_TYPES, STATE_TYPES
from cem_planner_ros.planning.arguments import ARGUMENTS, PERIOD
from cem_planner_ros.planning.settings import SETTINGS
from cem_planner_ros.plugins.parameter import INACTIVE, READ_ONLY, Parameter

TABLE = (
    Parameter("autostart", True, "Configure and activate without being told to.", when=READ_ONLY),
    Parameter(
        *("control_rate", 50.0, "Commands per second."),
        **{"unit": "Hz", "low": 1.0 / PERIOD.high, "high": 1.0 / PERIOD.low, "when": INACTIVE},
    ),
    Parameter(
        "budget_fraction",
        0.8,
        "Share of the control period that planning may use; iterations that would not fit are left "
        "out.",
        low=0.05,
        high=0.9,
    ),
    Parameter(
        "command_phase",
        0.0,
        "Share of the period before which no command goes out; 0 for as soon as it is planned. The "
        "later, the more evenly commands come, and the older their state is.",
        low=0.0,
        high=0.7,
    ),
    Parameter(
        "max_state_age",
        0.2,
        "A state older than this is not planned from.",
        unit="s",
        low=0.0,
    ),
    Parameter(
        "actuation_delay",
        0.0,
        "From sending a command to its effect. States are predicted to the time at which the "
        "command planned from them takes effect.",
        unit="s",
        low=0.0,
        high=1.0,
    ),
    Parameter(
        "max_plan_age",
        0.2,
        "Without a good plan the one before is read on until it is this old (status shifted).",
        unit="s",
        low=0.0,
        high=60.0,
    ),
    Parameter(
        "hold",
        "brake",
        "What follows for hold_time (status hold): brake moves evenly to the safe action, hold "
        "repeats the last command, policy does what policy.file says in a state that is not too "
        "old, else it brakes. The safe action comes next (status stopped).",
        choices=("brake", "hold", "policy"),
    ),
    Parameter(
        "hold_time", 0.3, "How long status hold lasts at most.", unit="s", low=0.0, high=60.0
    ),
    Parameter(
        "recover_periods",
        3,
        "Good plans in a row that end hold and stopped; the first after a reset are still rough.",
        low=1,
        high=1000,
    ),
    *(p for p in SETTINGS.values() if p.name.startswith("planner.")),
    *ARGUMENTS,
    Parameter(
        "dynamics.plugin",
        "cartpole",
        "The model: an installed plugin or package.module:Class.",
        when=INACTIVE,
    ),
    Parameter(
        "randomisation.samples",
        1,
        "Variants of the model that each candidate runs through, P, whose costs planner.risk makes "
        "one; their numbers differ by randomisation.spread.",
        low=1,
        high=1000,
        when=INACTIVE,
    ),
    Parameter(
        "policy.file",
        "",
        "YAML of a policy, as `search-policy` writes it; a path or a name in `models`.",
        when=INACTIVE,
    ),
    SETTINGS["proposals"],
    Parameter(
        "costs",
        ["tracking"],
        "Names of the cost terms, which add up; NAME.plugin says which plugin each one is.",
        when=INACTIVE,
    ),
    Parameter("state.topic", "joint_states", "Where the state comes from.", when=INACTIVE),
    Parameter(
        "state.type",
        "sensor_msgs/msg/JointState",
        "Type of the state message.",
        choices=tuple(STATE_TYPES),
        when=INACTIVE,
    ),
    Parameter("command.topic", "commands", "Where the command goes.", when=INACTIVE),
    Parameter(
        "command.type",
        "std_msgs/msg/Float64MultiArray",
        "Type of the command message.",
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
        "Frame of the state, of ~/path and ~/markers, and into which goal, path and costmap are "
        "transformed.",
        when=INACTIVE,
    ),
    Parameter(
        "plan_rate",
        5.0,
        "How often ~/plan, and for models with x and y ~/path, is published; 0 for never.",
        unit="Hz",
        low=0.0,
        high=100.0,
    ),
    Parameter(
        "marker_rate",
        0.0,
        "How often ~/markers, of models with x and y, is published: the plan, elites and other "
        "candidates coloured by cost, where a robot would stop, and its footprint; 0 for never.",
        unit="Hz",
        low=0.0,
        high=100.0,
    ),
    Parameter("marker_count", 50, "Candidates in ~/markers.", low=0, high=64),
    Parameter(
        "allow_rebuild",
        False,
        "Whether planner.* may change while the node controls: a new planner is made beside the "
        "old one, which controls until then, and goes on with its plan.",
    ),
    Parameter(
        "allow_cpu_fallback",
        False,
        "Whether to go on with fewer candidates on the CPU when the planning device is out of "
        "memory or lost.",
    ),
    Parameter(
        "realtime.priority",
        0,
        "Of the planner's thread under SCHED_FIFO, its watchdog being one above it; 0 for the "
        "ordinary scheduler.",
        low=0,
        high=98,
        when=INACTIVE,
    ),
    Parameter(
        "realtime.cpus",
        "",
        "CPUs that the planner's thread runs on, such as '2 3'; all if empty.",
        when=INACTIVE,
    ),
    Parameter(
        "realtime.lock_memory",
        False,
        "Keep the memory of the process from being swapped out (mlockall).",
        when=INACTIVE,
    ),
    Parameter(
        "realtime.freeze_garbage",
        True,
        "Python's garbage collector does not start by itself while the node controls.",
        when=INACTIVE,
    ),
    Parameter(
        "realtime.switch_interval",
        0.0005,
        "After this a Python thread has to let another run; Python's own is 0.005 s.",
        unit="s",
        low=1e-5,
        high=0.1,
        when=INACTIVE,
    ),
    Parameter(
        "publish_statistics",
        False,
        "Publish ~/statistics with every command; twice a second it says anew what each cost makes "
        "of the plan.",
    ),
)
"""The parameters that the node has whatever the model; those of plugins, fields and bounds join."""

DRIVING = (
    Parameter("drive.goal_topic", "goal_pose", "Where the goal comes from.", when=INACTIVE),
    Parameter("drive.path_topic", "plan", "Where the path comes from.", when=INACTIVE),
    Parameter("drive.costmap_topic", "costmap", "Where the costmap comes from.", when=INACTIVE),
    Parameter("drive.xy_tolerance", 0.1, "How near to the goal it is reached.", unit="m", low=1e-3),
    Parameter(
        "drive.yaw_tolerance", 0.2, "How well turned it is reached.", unit="rad", low=1e-3, high=4.0
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
        "With a costmap older than this the robot stops.",
        unit="s",
        low=0.0,
    ),
    Parameter(
        "drive.lethal",
        100,
        "Cells of the costmap from this value on are obstacles; unknown ones are not.",
        low=1,
        high=100,
        when=INACTIVE,
    ),
    Parameter("drive.acceleration", 1.0, "Largest that the robot can.", unit="m/s^2", low=1e-3),
    Parameter(
        "drive.deceleration",
        0.8,
        "With which the robot surely brakes; no command is sent after which it could not stop.",
        unit="m/s^2",
        low=1e-3,
    ),
    Parameter(
        "drive.yaw_acceleration", 4.0, "Largest that the robot can.", unit="rad/s^2", low=1e-3
    ),
    Parameter(
        "drive.yaw_deceleration",
        3.0,
        "With which it surely stops turning.",
        unit="rad/s^2",
        low=1e-3,
    ),
    Parameter(
        "drive.reaction",
        0.1,
        "From sending a command to braking, beside actuation_delay.",
        unit="s",
        low=0.0,
        high=10.0,
    ),
    Parameter(
        "drive.margin", 0.0, "Clearance that braking has to leave.", unit="m", low=0.0, high=10.0
    ),
)
"""The parameters of a robot that drives: of a node whose costs look at the surroundings."""

ROS_PARAMETERS = ("use_sim_time", "start_type_description_service", "qos_overrides")
"""The parameters, or their first names, that rclpy declares on every node."""
