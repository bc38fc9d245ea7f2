"""A query's rows as a file for somebody else: whole or not there, in bounded memory."""

import errno
import os
import secrets
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa
import pyarrow.compute as pc

from caudal.errors import UsageError
from caudal.lake.formats.json import write_json_lines
from caudal.lake.formats.parquet import write_parquet
from caudal.lake.formats.people import write_people, write_tools
from caudal.lake.formats.sagemaker import write_sagemaker

Form = Literal["people", "tools", "sagemaker", "parquet", "jsonl"]

MASK = "***"

_OPEN = "/proc/self/fd"
"""Where Linux shows files that have no name."""

_WRITERS: dict[str, Callable[[Iterable[pa.Table], BinaryIO], int]] = {
    "people": write_people, "tools": write_tools, "parquet": write_parquet, "jsonl": write_json_lines,
}


def export(
    parts: Iterable[pa.Table], path: Path, form: Form, *, label: str = "", masked: Collection[str] = (), force: bool = False,
) -> int:
    """Write the parts of a result to a file; returns the number of rows.

    Values of columns in `masked`, by lower-case name, are written as `***`. Until the last byte is on disk, nothing has
    the file's name, and however the process ends, nothing of it is left. Raises UsageError if the file is there already,
    unless `force` says to replace it.
    """
    if path.exists() and not force:
        raise _there(path)
    parts = (_mask(part, masked) for part in _checked(parts))
    with _whole(path, force) as out:
        if form == "sagemaker":
            return write_sagemaker(parts, out, label)
        return _WRITERS[form](parts, out)


def masked_columns(names: Iterable[str], personal: Collection[str]) -> list[str]:
    """Those of a result's columns that are masked."""
    return [name for name in names if name.lower() in personal]


def _checked(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    for part in parts:
        twice = [name for name, times in Counter(part.column_names).items() if times > 1]
        if twice:
            raise UsageError(f"two columns are called {twice[0]}", hint="give one another name: … AS other_name")
        yield part


def _mask(part: pa.Table, masked: Collection[str]) -> pa.Table:
    for name in masked_columns(part.column_names, masked):
        hidden = pc.if_else(part[name].is_valid(), pa.scalar(MASK), pa.scalar(None, pa.string()))
        part = part.set_column(part.column_names.index(name), name, hidden)
    return part


def _there(path: Path) -> UsageError:
    return UsageError(f"{path}: is there already", hint="give another name, or --force to replace it")


@contextmanager
def _whole(path: Path, force: bool) -> Iterator[BinaryIO]:
    """A file without a name, which gets it once it is written."""
    try:
        os.stat(_OPEN)  # noqa: PTH116
        handle = os.open(path.parent, os.O_TMPFILE | os.O_RDWR, 0o600)
    except (OSError, AttributeError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOENT, errno.EACCES, errno.EROFS, errno.ENOTDIR):
            raise UsageError(f"{path.parent}: {error.strerror}", hint="give a folder that may be written to") from None
        with _named(path, force) as out:  # a file system, or a system, that has no such files
            yield out
        return
    with os.fdopen(handle, "wb", 1 << 20) as out:
        yield out
        out.flush()
        os.fsync(out.fileno())
        # With a folder's descriptor, though an absolute path ignores it: only then does Python follow the link.
        _name(path, force, lambda to: os.link(f"{_OPEN}/{out.fileno()}", to, src_dir_fd=out.fileno(), follow_symlinks=True))


@contextmanager
def _named(path: Path, force: bool) -> Iterator[BinaryIO]:
    half = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb", 1 << 20) as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        _name(path, force, lambda to: os.link(half, to))
    finally:
        half.unlink(missing_ok=True)


def _name(path: Path, force: bool, link: Callable[[Path], None]) -> None:
    """Give the file its name; another of that name is replaced at once, or not at all."""
    try:
        if force:
            other = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
            link(other)
            other.replace(path)
        else:
            link(path)
    except FileExistsError:
        raise _there(path) from None
    with suppress(OSError):
        folder = os.open(path.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)
