"""Cost plugins: one file for each kind of cost, and the interface in `base`."""
