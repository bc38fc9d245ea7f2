"""What it takes for a file to be private, and to be there after a crash."""

import os
from pathlib import Path


def private(path: str, flags: int) -> int:
    """An opener of files that nobody else may read."""
    return os.open(path, flags, 0o600)


def sync_folder(folder: Path) -> None:
    """Have on disk what a folder lists."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
