"""Learning: models from recorded data, and policies from simulated episodes."""
