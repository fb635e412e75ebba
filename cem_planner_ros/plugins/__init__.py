"""What a plugin is: its declared parameters, and how it is found by name and loaded."""
