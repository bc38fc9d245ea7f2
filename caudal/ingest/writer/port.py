"""What every writer promises. `caudal.testing.WriterSuite` checks each promise."""

from abc import ABC, abstractmethod
from typing import Self

from caudal.config import Config
from caudal.contract import Contract, Delivery
from caudal.ingest.stream import Stream
from caudal.lake.catalog import Catalog, LakeTable
from caudal.lake.files import Files


class Writer(ABC):
    """Delivers one table's records: each exactly once into the lake, or into quarantine.

    Data files and the positions that they reach become visible in one catalog transaction, and the catalog's positions
    are the only cursor: a writer may be killed anywhere, any number of times.
    """

    @classmethod
    @abstractmethod
    def open(
        cls, url: str, config: Config, database: str, source: Contract, delivery: Delivery, table: LakeTable,
        stream: Stream, files: Files, catalog: Catalog,
    ) -> Self:
        """Open the writer of one delivery."""

    @abstractmethod
    def step(self, timeout: float = 1.0) -> int:
        """Deliver the next batch once it is full or old enough; wait for that for at most `timeout` seconds.

        Raises Paused, and commits nothing, if with this batch more records do not fit than the delivery's error budget
        allows, and from then on until the table is resumed in the catalog.
        Returns the number of records committed, 0 if none were due. Raises Unavailable while another writer holds the
        table, Fenced if one took it over; after any error the next step starts from the catalog's positions.
        """

    @abstractmethod
    def flush(self) -> int:
        """Deliver all that the stream holds now, whatever its size or age; returns the number of records."""

    @abstractmethod
    def close(self) -> None:
        """Give the lease up."""
