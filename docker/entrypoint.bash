#!/bin/bash
# Runs a command with ROS 2 and the workspace sourced.
set -e
source "/opt/ros/${ROS_DISTRO}/setup.bash"
source /workspace/install/setup.bash
exec "$@"
