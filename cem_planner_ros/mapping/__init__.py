"""What is around the robot, made of what its sensors saw; knows no ROS."""
