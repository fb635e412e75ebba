"""Simulated plants, for tests, benchmarks and the simulator node."""
