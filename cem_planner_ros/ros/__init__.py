"""The ROS room: rclpy lives here and in `simulation`, and nowhere else but the demo."""
