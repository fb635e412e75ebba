"""A skid-steered robot and a place to keep out of."""
