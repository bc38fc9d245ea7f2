"""The lake's objects: written once, read by path."""

from caudal.lake.files.port import FileInfo, Files, check_path, folder_value
from caudal.registry import open_backend

__all__ = ["BACKENDS", "FileInfo", "Files", "check_path", "folder_value", "open_files"]

BACKENDS = {
    "file": "caudal.lake.files.local:LocalFiles",
    "memory": "caudal.lake.files.memory:MemoryFiles",
    "s3": "caudal.lake.files.s3:S3Files",
}


def open_files(url: str) -> Files:
    """Open the place that `url` names."""
    return open_backend(Files, BACKENDS, url)  # type: ignore[type-abstract]
