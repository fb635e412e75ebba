"""Cost plugins: one file a cost, the interface in `base`."""
