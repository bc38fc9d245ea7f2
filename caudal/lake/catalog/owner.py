"""Who holds a lease: host, process and a number, so that a dead holder on this machine is known at once."""

import os
import platform
from itertools import count
from pathlib import Path

_serial = count(1)


def new_owner() -> str:
    """A name for a writer of this process, never used before."""
    return f"{platform.node()}/{os.getpid()}/{_started(os.getpid())}/{next(_serial)}"


def is_dead(owner: str) -> bool:
    """Whether the owner was a process of this machine and is no more; False when that cannot be told."""
    node, pid, started, _ = ([*owner.split("/"), "", "", "", ""])[:4]
    if node != platform.node() or not pid.isdigit() or not Path("/proc/self").exists():
        return False
    return _started(int(pid)) != started


def _started(pid: int) -> str:
    """When the kernel started the process: pids are used again."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
