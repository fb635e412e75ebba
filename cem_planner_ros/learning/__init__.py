"""Models and policies from data: what a robot did, or what a simulation says."""
