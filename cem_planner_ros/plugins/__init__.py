"""Plugins: declared parameters, loading by name, and trying out."""
