"""What every query engine promises. `caudal.testing.QuerySuite` checks each promise."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Self

import pyarrow as pa

from caudal.config import QueryConfig
from caudal.lake.catalog.port import Catalog
from caudal.lake.files.port import Files


class Query(ABC):
    """SQL in Athena's dialect over the tables of one catalog, read-only by construction.

    `<table>` is the latest state of each key, `<table>_history` every change with the columns of
    `caudal.contract.SYSTEM`; a table without a key shows its events, with these columns, under both names. A query
    sees each table at one snapshot, and reaches nothing outside the lake: no file, no network, no setting.
    """

    @classmethod
    @abstractmethod
    def open(cls, url: str, catalog: Catalog, files: Files, settings: QueryConfig) -> Self:
        """Open the engine that `url` names."""

    @abstractmethod
    def execute(
        self, sql: str, *, versions: Mapping[str, int] | None = None, tables: Mapping[str, pa.Table] | None = None
    ) -> pa.Table:
        """The result of one SELECT.

        `versions` fixes tables at a snapshot. `tables` lets Arrow tables stand in for tables of the lake, by name.
        Raises QueryError, with line, column and nearest name, for SQL that is wrong or may not run.
        """

    @abstractmethod
    def close(self) -> None:
        """Release what was opened."""
