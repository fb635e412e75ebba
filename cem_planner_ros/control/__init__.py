"""The control loop: schedule, budget, and commands when there is no plan. Knows time, no ROS."""
