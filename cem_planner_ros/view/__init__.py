"""The page in a browser: scene, panel and plots, drawn from plain data."""
