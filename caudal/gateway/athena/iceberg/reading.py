"""What a query reads of an Iceberg table: its rows now or then, or what its metadata tells."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import pyarrow as pa
from pyiceberg.conversions import from_bytes
from pyiceberg.table import Table
from pyiceberg.transforms import IdentityTransform

from caudal.errors import BackendError, NotFound, QueryError, UsageError
from caudal.gateway.athena.iceberg.pruning import predicate
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.iceberg.schema import engine_rows
from caudal.gateway.iceberg.tables import ALL, planned, read

Time = Callable[[], int]
"""Microseconds since 1970."""


def load(cloud: Cloud, document: Document) -> Table:
    """The table of an entry of the Data Catalog. Raises QueryError."""
    try:
        table: Table = cloud.iceberg.load(document["DatabaseName"], document["Name"])
        return table
    except (NotFound, BackendError) as error:
        raise QueryError(f"ICEBERG_INVALID_METADATA: {error}", hint=error.hint) from None


def source(
    cloud: Cloud, document: Document, wanted: set[str] | None, tests: Sequence[str | None],
    asked: tuple[Literal["version", "timestamp"], int] | None = None, table: Table | None = None,
) -> "Rows | Told":
    """What a query reads of a table: now, at a snapshot, or at a time in microseconds. Raises QueryError."""
    table = table or load(cloud, document)
    if kind := document.get("caudal.about"):
        return Told(table, kind)
    return Rows(table, wanted, tests, _snapshot(table, asked) if asked else None)


def _snapshot(table: Table, asked: tuple[Literal["version", "timestamp"], int]) -> int:
    kind, value = asked
    if kind == "version":
        if table.snapshot_by_id(value) is None:
            raise QueryError(f"INVALID_ARGUMENTS: Iceberg snapshot ID does not exists: {value}", hint="see its $snapshots")
        return value
    found = table.snapshot_as_of_timestamp(value // 1000)
    if found is None:
        at = datetime.fromtimestamp(value / 1e6, UTC)
        name = ".".join(f'"{part}"' for part in table.name())
        moment = f"{at:%Y-%m-%dT%H:%M:%S}.{value // 1000 % 1000:03}Z"
        raise QueryError(f"INVALID_ARGUMENTS: No version history table {name} at or before {moment}", hint="see its $history")
    return found.snapshot_id


class Rows:
    """Rows of a table."""

    def __init__(self, table: Table, wanted: set[str] | None, tests: Sequence[str | None], snapshot: int | None) -> None:
        self._table = table
        now = snapshot is None
        scan = table.scan(row_filter=predicate(tests, table.schema()) if now else ALL, snapshot_id=snapshot, case_sensitive=False)
        schema = scan.projection()
        chosen = [field.name for field in schema.fields if wanted is None or field.name.lower() in wanted]
        self._schema = schema.select(*(chosen or [schema.fields[0].name]))
        try:
            self._files = planned(table, scan)
        except UsageError as error:
            raise QueryError(str(error), hint=error.hint) from None
        self.size = sum(
            each.file_size_in_bytes for file in self._files for each in (file.file, *file.delete_files))
        self.keys = sorted({table.schema().find_field(part.source_id).name for part in table.spec().fields})

    def read(self) -> pa.Table:
        """The rows, of the columns that the query may name. Raises QueryError."""
        try:
            rows = engine_rows(read(self._table, self._schema, self._files))
        except FileNotFoundError:
            raise QueryError(f"ICEBERG_CANNOT_OPEN_SPLIT: a file of {'.'.join(self._table.name())} is gone",
                             hint="was it deleted from S3?") from None
        return rows.rename_columns([name.lower() for name in rows.column_names])


class Told:
    """A metadata table."""

    keys: list[str] = []
    size = 0

    def __init__(self, table: Table, kind: str) -> None:
        self._table, self._kind = table, kind

    def read(self) -> pa.Table:
        """Its rows."""
        rows = getattr(self, f"_{self._kind}")()
        kept = [field.name for field in rows.schema if not (pa.types.is_struct(field.type) and field.type.num_fields == 0)]
        return engine_rows(_small(rows.select(kept)))

    def _snapshots(self) -> pa.Table:
        return self._table.inspect.snapshots()

    def _history(self) -> pa.Table:
        return self._table.inspect.history()

    def _refs(self) -> pa.Table:
        return self._table.inspect.refs()

    def _manifests(self) -> pa.Table:
        return self._table.inspect.manifests().select([
            "path", "length", "partition_spec_id", "added_snapshot_id", "added_data_files_count", "existing_data_files_count",
            "deleted_data_files_count", "partition_summaries"])

    def _partitions(self) -> pa.Table:
        rows = self._table.inspect.partitions()
        named = {"total_data_file_size_in_bytes": "total_size"}
        chosen = [name for name in ("partition", "record_count", "file_count", "total_data_file_size_in_bytes")
                  if name in rows.column_names]
        return rows.select(chosen).rename_columns([named.get(name, name) for name in chosen])

    def _files(self) -> pa.Table:
        rows = self._table.inspect.files()
        plain = ["content", "file_path", "file_format", "record_count", "file_size_in_bytes", "column_sizes", "value_counts",
                 "null_value_counts", "nan_value_counts"]
        made = rows.select(plain)
        for name in ("lower_bounds", "upper_bounds"):
            made = made.append_column(name, self._readable(rows[name]))
        for name in ("key_metadata", "split_offsets", "equality_ids"):
            made = made.append_column(name, rows[name])
        return made

    def _readable(self, bounds: pa.ChunkedArray) -> pa.Array:
        """Bounds as text."""
        def text(id: int, value: bytes) -> str:
            kind = self._table.schema().find_type(id)
            return str(IdentityTransform().to_human_string(kind, from_bytes(kind, value)))  # type: ignore[arg-type]

        known = self._table.schema().field_ids
        rows = [[(id, text(id, value)) for id, value in row or [] if id in known] for row in bounds.to_pylist()]
        return pa.array(rows, pa.map_(pa.int32(), pa.string()))


def _small(rows: pa.Table) -> pa.Table:
    def plain(kind: Any) -> Any:
        return pa.string() if pa.types.is_large_string(kind) else pa.string() if pa.types.is_dictionary(kind) else kind

    return rows.cast(pa.schema([(field.name, plain(field.type)) for field in rows.schema]))
