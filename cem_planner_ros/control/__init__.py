"""The control loop: schedule, budget, what goes out when there is no plan. Knows time, no ROS."""
