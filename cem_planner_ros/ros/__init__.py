"""The ROS room: the nodes, and translation between ROS and the other rooms."""
