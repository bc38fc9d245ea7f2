"""What every place for objects promises. `caudal.testing.FilesSuite` checks each promise."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from hashlib import blake2b
from typing import NamedTuple, Self

from caudal.errors import UsageError


class FileInfo(NamedTuple):
    """An object that exists."""

    path: str
    bytes: int


_PART = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.=%+,@~-]{0,254}\Z")
_UNSAFE = re.compile(r"[^A-Za-z0-9_.+,@~-]")


_LONGEST = 120
"""Bytes of a folder's value: with its key, it must fit in a name's 255, and several in a path's 1,024."""


def check_path(path: str) -> str:
    """The path, if it is a plain relative one: no empty part, no `..`, no hidden name, nothing to escape with.

    Raises UsageError. A file's own name may not start with `_` or `.`, for Athena does not see such objects.
    """
    parts = path.split("/")
    if not all(_PART.match(part) for part in parts) or parts[-1].startswith("_") or len(path) > 1024:
        raise UsageError(f"{path!r} is not a path for an object of the lake", hint="use a/b/name without .., _name or .name")
    return path


def check_prefix(prefix: str) -> str:
    """The prefix, if a path could start with it. Raises UsageError."""
    *folders, start = prefix.split("/")
    if not all(_PART.match(part) for part in folders) or (start and not _PART.match(start)):
        raise UsageError(f"{prefix!r} is not the start of a path in the lake", hint="use a/b/ or a/b/start, without .. or .name")
    return prefix


def folder_value(value: str) -> str:
    """A partition value as part of a folder's name: unsafe characters as %XX of their UTF-8, as Hive does.

    A value too long for a name is cut, and ends in `=` and its BLAKE2b: still one folder a value.
    """
    safe = _UNSAFE.sub(lambda match: "".join(f"%{byte:02X}" for byte in match.group().encode()), value)
    if len(safe) <= _LONGEST:
        return safe
    return f"{safe[:_LONGEST - 33]}={blake2b(value.encode(), digest_size=16).hexdigest()}"


class Files(ABC):
    """Objects by path, written once.

    An object is there whole or not at all, and once `put` returned it survives a crash. Paths are relative, parts
    separated by `/`: see `check_path`. A path is an object or a folder of others, never both.
    """

    @classmethod
    @abstractmethod
    def open(cls, url: str) -> Self:
        """Open the place that `url` names, creating it if it is missing."""

    @abstractmethod
    def put(self, path: str, data: bytes | memoryview) -> None:
        """Write an object durably. Raises AlreadyExists if there is one of that path: of many at once, one wins."""

    @abstractmethod
    def get(self, path: str) -> bytes:
        """The bytes of an object. Raises NotFound."""

    @abstractmethod
    def list(self, prefix: str = "") -> Iterator[FileInfo]:
        """Objects whose path starts with `prefix`, sorted by path."""

    @abstractmethod
    def delete(self, path: str) -> None:
        """Remove an object; nothing happens if there is none."""

    @abstractmethod
    def written(self, path: str) -> int | None:
        """When an object was put, microseconds since 1970, UTC; None if there is none."""

    @abstractmethod
    def location(self, path: str) -> str | None:
        """The file in which an engine on this machine can read the object itself; None if only `get` reaches it."""
