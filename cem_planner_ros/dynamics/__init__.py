"""Dynamics plugins: one file for each family of models, and the interface in `base`."""
