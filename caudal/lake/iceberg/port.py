"""What publishing promises."""

from abc import ABC, abstractmethod
from typing import NamedTuple


class Published(NamedTuple):
    """An Iceberg table after a publication."""

    table: str
    """Its name: `<table>`, or `<table>_history`."""
    version: int
    """The version of the lake's table that it shows; 0 before the first commit."""
    snapshot: int | None
    """Its newest snapshot."""
    location: str
    """Its newest metadata: what an engine without the catalog opens."""
    added: int
    """Data files that this publication added."""
    removed: int
    """Data files that this publication took out."""


class Publisher(ABC):
    """Brings Iceberg tables up to the newest version of the lake tables behind them.

    The version and the stream positions that an Iceberg table shows are in its snapshot's summary, and are the only
    cursor: a publisher may be killed anywhere, any number of times, and two may run at once; no row is lost or twice.
    """

    @abstractmethod
    def tables(self) -> list[str]:
        """Lake tables that are delivered as iceberg."""

    @abstractmethod
    def publish(self, table: str) -> list[Published]:
        """Bring the Iceberg tables of a lake table up to date; nothing is written if they are.

        Raises NotFound for an unknown table, UsageError if its format is another, Conflict if somebody else committed to
        the Iceberg table meanwhile: then the next call starts from what they left.
        """

    @abstractmethod
    def expire(self, table: str) -> int:
        """Drop snapshots past the configured number, and files that no other names; the number of files deleted.

        A file younger than an hour stays: a publisher may be about to commit it. Files of the lake itself are the
        lake's, and never deleted here.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what was opened."""
