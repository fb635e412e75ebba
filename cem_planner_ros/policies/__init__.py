"""Policies, which return an action for a state without a search; `search-policy` finds them."""
