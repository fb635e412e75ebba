"""What a robot that drives needs besides costs: goal, path, costmap, footprint, stop guard."""
