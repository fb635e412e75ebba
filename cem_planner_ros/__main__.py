# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""python -m cem_planner_ros: see `--help`."""

import os
import signal
import sys


def run() -> int:
    """Run a command and return its exit status."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:
        # Imports take seconds, and Ctrl-C in an import may become another error.
        signal.signal(signal.SIGINT, lambda number, _: os._exit(130))
    from cem_planner_ros import cli

    cli.load()
    signal.signal(signal.SIGINT, before)
    return cli.main()


if __name__ == "__main__":
    sys.exit(run())
