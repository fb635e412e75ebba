"""The algorithm: Cross-Entropy search over action sequences. Knows no ROS, clock or thread."""
