"""kill -9 of a part of `caudal up`, again and again, at any moment once it works."""

import subprocess
import sys
import time


def kill_again_and_again(part, pipeline, rounds, works, longest, chance, seed):
    """Start the part; once `works()` says that this life has done something, kill it within `longest` seconds; and again.

    `works` is called once before each life, and gives the question.
    """
    for _ in range(rounds):
        has_worked = works()
        process = subprocess.Popen([sys.executable, "-m", "caudal.parts", part, str(pipeline)], stdin=subprocess.PIPE)
        until = time.monotonic() + 60
        while not has_worked():
            assert process.poll() is None and time.monotonic() < until, f"the {part} does nothing; CAUDAL_FAULT_SEED={seed}"
            time.sleep(0.005)
        time.sleep(chance.uniform(0, longest))  # the moment is left to chance
        process.kill()
        process.wait()
        process.stdin.close()
