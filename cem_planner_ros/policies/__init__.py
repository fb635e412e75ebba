"""Policies: what to do in a state without a search; found by `search-policy`."""
