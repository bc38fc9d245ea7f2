"""The command line: one file a verb, each importing what it needs when it runs."""

import atexit
import os
import sys


def main() -> None:
    """Run the command `caudal`, and leave with its exit code."""
    from caudal.cli.endings import run

    code = 1

    def leave() -> None:
        sys.stderr.flush()
        os._exit(code)

    # First in, last out: the process ends before the interpreter is taken apart. Threads of native libraries that still
    # hold Python's objects would abort it then, and turn a 0 into a 134.
    atexit.register(leave)
    code = run(sys.argv[1:])
    sys.exit(code)
