"""python -m cem_planner_ros: see `--help`."""

import sys

from cem_planner_ros.cli import main

if __name__ == "__main__":
    sys.exit(main())
