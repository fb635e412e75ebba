# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""The table of the node's parameters that do not depend on model and costs."""

from cem_planner_ros.compile.choose import BACKEND
from cem_planner_ros.control.control_settings import FALLBACKS, RAMP_TO_SAFE
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
        "control_rate",
        50.0,
        "Number of commands sent per second.",
        unit="Hz",
        low=1.0 / PERIOD.high,
        high=1.0 / PERIOD.low,
        when=INACTIVE,
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
        " soon as it is planned. With a larger share, commands are more evenly spaced, and they"
        " are planned from older states.",
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
        RAMP_TO_SAFE,
        "What is commanded for hold_time when no usable plan is left (status fallback). "
        "ramp_to_safe moves evenly to the safe action, keep_last repeats the last command, "
        "policy follows policy.file while the state is recent and else ramps to the safe "
        "action. The safe action follows (status stopped).",
        choices=FALLBACKS,
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
        "YAML file of a policy, as the command search-policy writes it, or of a gait for a robot "
        "with legs: a path, or a name in the folder models. Empty for neither.",
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
    Parameter(
        "state.sources",
        [],
        "Names of several topics that each have a part of the state. Each NAME has the parameters "
        "state.NAME.topic, type, fields and so on, in place of state.topic, state.type and "
        "state.fields. Empty for one topic.",
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
    Parameter(
        "state.body",
        "",
        "Name of the free joint of a MuJoCo model that an Odometry or PoseStamped measures, or of "
        "the ball joint that an Imu measures; empty for the only one. Its states need no "
        "state.fields.",
        when=INACTIVE,
    ),
    Parameter(
        "state.delay",
        0.0,
        "Time from the measurement to the stamp of the state message, or to its arrival if it has "
        "no stamp.",
        unit="s",
        low=0.0,
        high=10.0,
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
        "command.rate",
        0.0,
        "Number of commands sent per second, if more than control_rate: between two periods the "
        "plan is read again, with all limits. A spline is read as a spline, and other plans are "
        "held over a model step. 0 sends one command in each period.",
        unit="Hz",
        low=0.0,
        high=1.0 / PERIOD.low,
        when=INACTIVE,
    ),
    Parameter(
        "command.preview",
        0,
        "Number of later points of the plan that a JointTrajectory has after the command itself. "
        "A robot that gets no further command follows them.",
        low=0,
        high=1000,
        when=INACTIVE,
    ),
    Parameter(
        "command.max_lead",
        0.2,
        "Time by which a joint may be behind its position of command.integrate, beside a period, "
        "actuation_delay and action.lag, at the bound of its speed. A position that is farther "
        "ahead waits.",
        unit="s",
        low=0.0,
        high=60.0,
    ),
    Parameter(
        "command.frame_id",
        "",
        "Frame of a stamped command, that of the robot's body; empty for the child_frame_id of the "
        "odometry, or base_link where the state has none. A PoseStamped is in frame_id.",
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
        10.0,
        "Publishing rate of ~/plan, of ~/candidates and, for models with the states x and y, of "
        "~/path; 0 publishes none.",
        unit="Hz",
        low=0.0,
        high=100.0,
    ),
    Parameter(
        "marker_rate",
        0.0,
        "Publishing rate of ~/markers, for models with the states x and y: the plan, elites "
        "and other candidates coloured by cost, the braking path, the footprint, and moving "
        "obstacles. 0 publishes none.",
        unit="Hz",
        low=0.0,
        high=100.0,
    ),
    Parameter(
        "marker_count",
        50,
        "Number of candidates shown in ~/markers and, up to 24, in ~/candidates.",
        low=0,
        high=64,
    ),
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

RENAMED = {
    "hold": "fallback, whose values are ramp_to_safe (was brake), keep_last (was hold), policy"
}
"""New names of renamed parameters, for messages about the old names."""
