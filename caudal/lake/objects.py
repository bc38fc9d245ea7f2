"""Objects of the lake as files of a table: written before a commit names them, and read as they were committed."""

import hashlib
import os

from caudal.errors import BackendError
from caudal.lake.files import Files
from caudal.records import DataFile

PREFIX = "part-"
"""Start of every name that `new_name` makes: nothing else is ever taken for an object that was left behind."""


def new_name(epoch: int, suffix: str) -> str:
    """A name for an object: the writer's epoch, 0 for whoever needs no lease, and chance."""
    return f"{PREFIX}{epoch:06d}-{os.urandom(8).hex()}{suffix}"


def put_object(
    files: Files, path: str, partition: tuple[tuple[str, str], ...], data: bytes | memoryview, rows: int
) -> DataFile:
    """Write one object, and describe it."""
    files.put(path, data)
    return DataFile(path, partition, rows, len(data), checksum(data))


def read_object(files: Files, file: DataFile) -> bytes:
    """The bytes of a committed file. Raises BackendError if they are not those that were committed."""
    data = files.get(file.path)
    if len(data) != file.bytes or (file.checksum and checksum(data) != file.checksum):
        raise BackendError(f"{file.path} is not as it was committed", hint="run `caudal verify`, and restore it from a copy")
    return data


def checksum(data: bytes | memoryview) -> str:
    """BLAKE2b of an object's bytes, hexadecimal."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def table_folders(database: str, table: str) -> tuple[str, ...]:
    """Where a table's objects lie: its rows, its quarantine, its base."""
    return f"lake/{database}/{table}/", f"quarantine/{database}/{table}/", base_folder(database, table)


def base_folder(database: str, table: str) -> str:
    """Where the latest rows of each key lie: outside the table's own folder, for engines read whatever lies there."""
    return f"current/{database}/{table}/"
