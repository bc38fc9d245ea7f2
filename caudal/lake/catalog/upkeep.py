"""The part of a catalog that `caudal maintain` uses: files merged, versions expired, objects removed, all beside live writers."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from caudal.errors import Conflict, NotFound
from caudal.records import DataFile


class Versions(NamedTuple):
    """Versions of a table that can be read: these and all between."""

    oldest: int
    newest: int
    """0 before the first commit."""
    since: int
    """When the oldest was committed, microseconds since 1970, UTC; 0 before the first."""


class Base(NamedTuple):
    """The latest row of each key at an earlier version: what came since is all that a reader has to look through."""

    version: int
    files: tuple[DataFile, ...]
    """Parquet; those of deleted keys have the partition `DELETED`."""
    changes: tuple[DataFile, ...]
    """The snapshot's files with rows that came after `version`."""


DELETED = (("_op", "delete"),)


class Totals(NamedTuple):
    """What all versions of a table did together, expired ones too."""

    records: int = 0
    delivered: int = 0
    dropped: int = 0
    quarantined: int = 0
    rows: int = 0
    dropped_by_shard: dict[int, int] = {}


class Expired(NamedTuple):
    """What an expiry took away."""

    versions: int
    files: list[DataFile]
    """Named by no version any more: their objects can go."""


class Upkeep(ABC):
    """What a catalog offers to whoever looks after the lake. None of it moves a position, and none needs the lease."""

    @abstractmethod
    def rewrite(self, table: str, old: Sequence[str], new: list[DataFile]) -> int:
        """Put files in the place of others that hold the same rows, in one step; returns the version.

        Older versions go on naming the old files. Raises Conflict, and changes nothing, if one of `old` is not in the
        newest version any more, or if there would be more or fewer rows.
        """

    @abstractmethod
    def keep_base(self, table: str, version: int, files: list[DataFile]) -> None:
        """Keep the latest row of each key at `version`: see `Base`.

        Raises Conflict if there is one as new already, or an object was disowned; NotFound for a version that cannot be read.
        """

    @abstractmethod
    def expire(self, table: str, keep: int, before: int, pretend: bool = False) -> Expired:
        """Give up the oldest versions, but the newest `keep` (at least 1) and all that were the newest at `before` or later.

        `before` is in microseconds since 1970, UTC. At most `AT_ONCE` versions a call, so that no writer waits long: call
        again until there are none. The newest commit goes on being recognised. `pretend` only says what would go.
        """

    @abstractmethod
    def disown(self, table: str, paths: Iterable[str]) -> list[str]:
        """Those of the objects that no version names, and that none ever will: to commit one from now on is a Conflict."""

    @abstractmethod
    def named(self, table: str) -> list[DataFile]:
        """Every file that a version that can be read names, bases and quarantine with them."""

    @abstractmethod
    def versions(self, table: str) -> Versions:
        """Which versions can be read."""

    @abstractmethod
    def version_at(self, table: str, time: int) -> int:
        """The version that was the newest at a time, microseconds since 1970, UTC. Raises NotFound, saying which there are."""

    @abstractmethod
    def totals(self, table: str) -> Totals:
        """What all commits did together, at the same cost after any number of them."""


AT_ONCE = 2_000
"""Versions that one expiry gives up."""


def no_version(table: str, version: int, there: Versions) -> NotFound:
    """The error for a version that was expired, or never was."""
    expired = 0 <= version < there.oldest
    return NotFound(f"table {table} has no version {version}{', it was expired' if expired else ''}", hint=_hint(there))


def no_version_then(table: str, time: int, there: Versions) -> NotFound:
    """The error for a time before the oldest version."""
    return NotFound(f"table {table} has no version of {moment(time)}", hint=_hint(there))


def _hint(there: Versions) -> str:
    if not there.newest:
        return "it has no commit yet"
    return f"its versions are {max(there.oldest, 1)} to {there.newest}, the oldest of {moment(there.since)}"


def moment(microseconds: int) -> str:
    """A time as text."""
    try:
        return f"{datetime.fromtimestamp(microseconds / 1e6, UTC):%Y-%m-%d %H:%M:%S} UTC"
    except (OverflowError, ValueError):
        return "that time"


def not_in_snapshot(table: str, path: str) -> Conflict:
    """The error of a rewrite that came too late."""
    return Conflict(f"table {table}: {path} is not in its newest version any more", hint="look at the table again")


def other_rows(table: str, old: int, new: int) -> Conflict:
    """The error of a rewrite that would lose or repeat rows."""
    return Conflict(f"table {table}: a rewrite would put {new} rows in the place of {old}", hint="nothing was changed")


def disowned(table: str, path: str) -> Conflict:
    """The error of a commit that names a removed object."""
    return Conflict(f"table {table}: {path} was uncommitted for too long and was removed", hint="write it again")
