"""Episodes in lockstep, workers that run them, and studies of parameters over them."""
