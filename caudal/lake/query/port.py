"""What every query engine promises. `caudal.testing.QuerySuite` checks each promise."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, Self, runtime_checkable

import pyarrow as pa

from caudal.config import QueryConfig
from caudal.lake.catalog.port import Catalog, Snapshot
from caudal.lake.files.port import Files


class Tail(Protocol):
    """What has arrived and is not in the lake yet."""

    def rows(self, snapshots: Mapping[str, Snapshot]) -> dict[str, pa.Table]:
        """By name of the snapshot's table, the rows past its positions, with the system columns, all of one moment.

        Leaves out tables that have none, and those that are shown only once they are in the lake. Raises Trimmed if
        what comes after a snapshot is no longer kept, for a later one has it.
        """


class Query(ABC):
    """SQL in Athena's dialect over the tables of one catalog, read-only by construction.

    `<table>` is the latest state of each key, `<table>_history` every change with the columns of
    `caudal.contract.SYSTEM`; a table without a key shows its events, with these columns, under both names. A query
    sees each table at one snapshot and, past that, what its tail has; it reaches nothing else: no file, no network, no
    setting.

    Of a table that another system feeds (`Contract.foreign`) each event shows once, by its id. Its latest state goes by
    event time, chain of images and sequence if its form is DynamoDB's, by event id if it is Debezium's.
    """

    @classmethod
    @abstractmethod
    def open(
        cls, url: str, catalog: Catalog, files: Files, settings: QueryConfig, tail: Tail | None = None, database: str = ""
    ) -> Self:
        """Open the engine that `url` names; queries may write `database.table`."""

    @abstractmethod
    def execute(
        self, sql: str, *, versions: Mapping[str, int] | None = None, tables: Mapping[str, pa.Table] | None = None,
        parameters: Sequence[str] = (),
    ) -> pa.Table:
        """The result of one SELECT; or of SHOW, DESCRIBE or EXPLAIN, or of PREPARE, EXECUTE and DEALLOCATE PREPARE.

        `parameters` are literals of SQL, as text, that stand in for the `?` in their order: `["5", "'tea'"]`. What is
        prepared is known until `close`, and PREPARE and DEALLOCATE give a table without columns.
        `versions` fixes tables at a snapshot, without what came after it. `tables` lets Arrow tables stand in for tables
        of the lake, by name.
        Raises QueryError, with line, column and nearest name, for SQL that is wrong or may not run; and once it is ended
        from outside, by `caudal.lake.query.cancel`.
        """

    @abstractmethod
    def stream(self, sql: str, *, versions: Mapping[str, int] | None = None, rows: int = 65_536) -> Iterator[pa.Table]:
        """The result of one SELECT in parts of about `rows` rows, all of one schema: at least one part, in bounded memory.

        Raises what `execute` raises, some of it only on the way.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what was opened."""


@runtime_checkable
class SupportsStates(Protocol):
    """An engine that can tell the latest row of every key: what the base of a table's current state is made of."""

    def states(self, table: str, version: int, deleted: bool) -> Iterator[pa.RecordBatch]:
        """The latest row of each key that is there, or of each that is deleted, sorted by key.

        With the hidden and the system columns; in batches, so that no more is held than the engine may use.
        """
