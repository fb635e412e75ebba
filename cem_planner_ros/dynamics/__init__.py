"""Dynamics plugins: one file a model, the interface in `base`."""
