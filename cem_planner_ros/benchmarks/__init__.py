"""What `python -m cem_planner_ros bench` measures; figures are in docs/benchmarks.md."""
