"""What a mobile robot needs besides costs: goal, path, costmap, footprint, stop guard."""
