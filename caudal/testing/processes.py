"""Python in processes of its own: what several do together, and what is left of one that is killed."""

import subprocess
import sys
from collections.abc import Sequence

SECONDS = 60.0
"""How long a process may take before it counts as hung."""


def run_together(scripts: Sequence[str], *args: str) -> list[str]:
    """Run the scripts at the same time; what each printed. Raises CalledProcessError if one fails."""
    running = [start(script, *args) for script in scripts]
    outputs = [process.communicate(timeout=SECONDS)[0] for process in running]
    for process in running:
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, process.args)
    return outputs


def run_and_kill(script: str, *args: str, lines: int) -> list[str]:
    """Run the script, kill -9 it once it has printed so many lines; all the lines that it printed."""
    with start(script, *args) as process:
        assert process.stdout is not None
        seen = [process.stdout.readline() for _ in range(lines)]
        process.kill()
        seen += process.stdout.readlines()
    return [line.rstrip("\n") for line in seen if line.endswith("\n")]


def start(script: str, *args: str) -> "subprocess.Popen[str]":
    """Start the script with these arguments; its output is text, to be read by line."""
    return subprocess.Popen([sys.executable, "-u", "-c", script, *args], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
