"""Plants to control where there is no robot, behind the topics that a robot would have."""
