"""The one table of parameters that the node has whatever the model and the costs."""

from cem_planner_ros.compile.executor import BACKENDS
from cem_planner_ros.fields import COMMAND_TYPES, STATE_TYPES
from cem_planner_ros.planning.cross_entropy import WEIGHTINGS
from cem_planner_ros.planning.particles import PROPAGATIONS, RISKS
from cem_planner_ros.planning.search import EXECUTE, INJECT_MEAN, SAMPLINGS, Search
from cem_planner_ros.plugins.parameter import INACTIVE, READ_ONLY, Parameter

TABLE = (
    Parameter("autostart", True, "Configure and activate without being told to.", when=READ_ONLY),
    Parameter(
        "control_rate", 50.0, "Commands per second.", unit="Hz", low=0.1, high=2000.0, when=INACTIVE
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
    Parameter(
        "planner.samples",
        Search.samples,
        "Candidates per iteration, N, over all modes.",
        low=1,
        high=10_000_000,
        when=INACTIVE,
    ),
    Parameter(
        "planner.elites",
        Search.elites,
        "Candidates of each mode refitted to, K, at most N / modes.",
        low=1,
        when=INACTIVE,
    ),
    Parameter(
        "planner.iterations",
        Search.iterations,
        "Iterations per period, I.",
        low=1,
        high=10_000,
        when=INACTIVE,
    ),
    Parameter(
        "planner.horizon",
        Search.horizon,
        "Model steps per plan, H.",
        low=1,
        high=10_000,
        when=INACTIVE,
    ),
    Parameter(
        "planner.dt",
        Search.dt,
        "Length of a model step.",
        unit="s",
        low=1e-4,
        high=10.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.modes",
        Search.modes,
        "Distributions searched side by side, M; the one with the cheapest candidate acts.",
        low=1,
        high=64,
        when=INACTIVE,
    ),
    Parameter(
        "planner.weighting",
        Search.weighting,
        "How candidates count: elites equally (CEM), by rank (CMA-ES), or all by softmax (MPPI).",
        choices=WEIGHTINGS,
        when=INACTIVE,
    ),
    Parameter(
        "planner.temperature",
        Search.temperature,
        "Of softmax, in units of the cost: the lower, the fewer candidates count.",
        low=1e-6,
        high=1e9,
    ),
    Parameter(
        "planner.std_initial",
        Search.std_initial,
        "Std of the candidates at the start of a period, as a share of half the action's range "
        "(iCEM: 0.5).",
        low=1e-6,
        high=10.0,
    ),
    Parameter(
        "planner.std_min",
        Search.std_min,
        "The std never falls below this share of half the action's range.",
        low=1e-6,
        high=10.0,
    ),
    Parameter(
        "planner.std_carry",
        Search.std_carry,
        "Share of the last period's std, moved in time, in that at the start of a period; 0 begins "
        "with std_initial (iCEM).",
        low=0.0,
        high=1.0,
    ),
    Parameter(
        "planner.momentum",
        Search.momentum,
        "Share of the old mean and std that stays in each iteration (iCEM, PETS: 0.1).",
        low=0.0,
        high=0.99,
    ),
    Parameter(
        "planner.noise_beta",
        Search.noise_beta,
        "Exponent of the noise's power spectrum f^-beta: 0 is white, larger is smoother (iCEM: "
        "0.25 to 3.5).",
        low=0.0,
        high=8.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.keep",
        Search.keep,
        "Share of the elites that are candidates again, in the next iteration and, moved in time, "
        "in the next period (iCEM: 0.3).",
        low=0.0,
        high=1.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.decay",
        Search.decay,
        "Each iteration has this many times fewer candidates, at least 2 K (iCEM: 1.25).",
        low=1.0,
        high=10.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.explore",
        Search.explore,
        "Share of the candidates that are drawn with std_initial in every iteration.",
        low=0.0,
        high=1.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.inject_mean",
        Search.inject_mean,
        "In which iteration the mean is a candidate too (iCEM: last).",
        choices=INJECT_MEAN,
        when=INACTIVE,
    ),
    Parameter(
        "planner.inject_best",
        Search.inject_best,
        "Whether the best candidate so far is a candidate in each iteration.",
        when=INACTIVE,
    ),
    Parameter(
        "planner.execute",
        Search.execute,
        "What is sent: the mean, or the best candidate (iCEM). The best overfits learned models.",
        choices=EXECUTE,
        when=INACTIVE,
    ),
    Parameter(
        "planner.sampling",
        Search.sampling,
        "How candidates stay within bounds: clip, or truncate the normal distribution.",
        choices=SAMPLINGS,
        when=INACTIVE,
    ),
    Parameter(
        "planner.knot_spacing",
        Search.knot_spacing,
        "Model steps from knot to knot of the splines that candidates are; 1 is no spline.",
        low=1,
        when=INACTIVE,
    ),
    Parameter(
        "planner.order",
        Search.order,
        "Of the splines: 0 holds, 1 is linear, 3 is cubic.",
        low=0,
        high=3,
        when=INACTIVE,
    ),
    Parameter(
        "planner.propagation",
        Search.propagation,
        "How candidates run through a model with members: each through all of them, or as "
        "particles that each stay with a member (ts_inf) or get another one in each step (ts_1; "
        "PETS).",
        choices=PROPAGATIONS,
        when=INACTIVE,
    ),
    Parameter(
        "planner.particles",
        Search.particles,
        "Of each candidate with ts_inf and ts_1, evenly over the members (PETS: 20).",
        low=1,
        high=10_000,
        when=INACTIVE,
    ),
    Parameter(
        "planner.risk",
        Search.risk,
        "What makes one cost of those under members or particles: mean, worst, cvar (mean of the "
        "worst share cvar_alpha) or mean_std (mean and std_factor times the std).",
        choices=RISKS,
        when=INACTIVE,
    ),
    Parameter(
        "planner.cvar_alpha",
        Search.cvar_alpha,
        "Share of the members or particles that risk cvar looks at, rounded up; 1 is the mean.",
        low=1e-3,
        high=1.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.std_factor",
        Search.std_factor,
        "How much the std counts with risk mean_std; below 0 it is sought.",
        low=-100.0,
        high=100.0,
        when=INACTIVE,
    ),
    Parameter(
        "planner.backend",
        "auto",
        "How iterations run: auto and compile take the fastest that works, and the log says why "
        "nothing faster does.",
        choices=BACKENDS,
        when=INACTIVE,
    ),
    Parameter(
        "planner.device",
        "auto",
        "Where to plan: auto, cpu, cuda or cuda:INDEX. auto takes a GPU where there is one.",
        when=INACTIVE,
    ),
    Parameter(
        "planner.threads",
        1,
        "CPU threads of a compiled rollout, and of one through the members of an ensemble.",
        low=1,
        high=256,
        when=INACTIVE,
    ),
    Parameter("planner.seed", 0, "Seed of the noise.", low=0, when=INACTIVE),
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
    Parameter(
        "policy.candidates",
        Search.proposals,
        "Candidates that the policy of policy.file proposes in each period, by driving the model.",
        low=0,
        high=1000,
        when=INACTIVE,
    ),
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
    Parameter("frame_id", "odom", "Frame of the state, of ~/path and of stamped commands."),
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
    Parameter("publish_statistics", False, "Publish ~/statistics with every command."),
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
    Parameter("drive.speed_tolerance", 0.1, "How slow it is reached.", unit="m/s", low=1e-3),
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
