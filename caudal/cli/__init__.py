"""The command line: one file a verb, each importing what it needs when it runs."""

import sys


def main() -> None:
    """Run the command `caudal`, and leave with its exit code."""
    from caudal.cli.endings import run

    sys.exit(run(sys.argv[1:]))
