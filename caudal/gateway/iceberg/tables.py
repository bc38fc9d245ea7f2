"""Load, make and change Iceberg tables: each change is one commit, made again from the start if another came first."""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from typing import Any, NamedTuple

import pyarrow as pa
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchIcebergTableError,
    NoSuchNamespaceError,
    NoSuchPropertyException,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.expressions import AlwaysTrue, BooleanExpression
from pyiceberg.io.pyarrow import ArrowScan, _dataframe_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC, PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import DataScan, FileScanTask, Table, Transaction
from pyiceberg.table.update import RemoveSnapshotsUpdate

from caudal.errors import AlreadyExists, BackendError, Conflict, NotFound, UsageError
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.iceberg.catalog import Catalog
from caudal.gateway.iceberg.files import S3Files
from caudal.gateway.iceberg.upkeep import expired, locations_of, named_by, unnamed
from caudal.gateway.s3.objects import split_url
from caudal.lake.iceberg.replacing import Change, replace_files

TRIES = 20
"""Times that a change is made before whoever asked for it is told to try again."""

TOKEN = "caudal.token"
"""In a snapshot's summary: what it was made for."""

PROPERTIES = {"format-version": "2", "write.parquet.compression-codec": "zstd"}
"""Of every table that is made here, unless the maker says otherwise."""


ALL: BooleanExpression = AlwaysTrue()


class Making(NamedTuple):
    """A change that is being made."""

    table: Table
    tx: Transaction

    def files(self, where: BooleanExpression = ALL) -> list[FileScanTask]:
        """The data files that may hold rows for which that is true, each with the deletes that are of it."""
        return planned(self.table, self.table.scan(row_filter=where))

    def rows(self, file: FileScanTask, columns: Sequence[str] = ()) -> pa.Table:
        """The rows of a file, without the deleted ones, as the table's schema has them now; all columns, or some."""
        schema = self.table.schema()
        return read(self.table, schema.select(*columns) if columns else schema, [file])

    def write(self, rows: pa.Table) -> list[DataFile]:
        """Rows as new data files, which are not the table's yet."""
        return list(_dataframe_to_data_files(self.tx.table_metadata, rows, self.table.io)) if len(rows) else []

    def swap(
        self, added: Sequence[DataFile], removed: Sequence[DataFile] = (), note: Mapping[str, str] = {}, *,
        same_rows: bool = False,
    ) -> None:
        """Put data files in the place of others; `note` goes into the snapshot's summary."""
        if added or removed or note:
            replace_files(self.tx, Change(list(added), list(removed)), note, same_rows=same_rows)

    def replace(self, rows: pa.Table, removed: Sequence[DataFile] = (), note: Mapping[str, str] = {}) -> list[DataFile]:
        """Put rows in the place of data files; returns those that hold them."""
        added = self.write(rows)
        self.swap(added, removed, note)
        return added


def planned(table: Table, scan: DataScan) -> list[FileScanTask]:
    """The files of a scan. Raises UsageError if their rows cannot be told."""
    try:
        return list(scan.plan_files())
    except ValueError as error:
        if "equality deletes" not in str(error):
            raise
        told = f"NOT_SUPPORTED: {'.'.join(table.name())} has equality deletes, which caudal does not read"
        raise UsageError(told, hint="let the engine that wrote them compact the table") from None


def read(table: Table, schema: Schema, files: Sequence[FileScanTask]) -> pa.Table:
    """The rows of some files, without the deleted ones, as a schema of the table's has them."""
    rows = ArrowScan(table.metadata, table.io, schema, AlwaysTrue()).to_table(files)
    wanted = schema.as_arrow()
    return rows.cast(pa.schema([pa.field(field.name, small(field.type)) for field in wanted]))


class Tables:
    """The Iceberg tables of one endpoint."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._locks: dict[str, Any] = {}

    @cached_property
    def catalog(self) -> Catalog:
        """PyIceberg's view of the Data Catalog."""
        return Catalog(self._cloud)

    def load(self, database: str, name: str) -> Table:
        """A table as it is now. Raises NotFound, BackendError."""
        with _translated(database, name):
            return self.catalog.load_table((database, name))

    def create(
        self, database: str, name: str, schema: Schema | pa.Schema, location: str,
        spec: PartitionSpec = UNPARTITIONED_PARTITION_SPEC, properties: Mapping[str, str] = {}, rows: pa.Table | None = None,
        check: Callable[[list[DataFile]], object] = len,
    ) -> list[DataFile]:
        """Make a table, with rows if there are some; returns their files. Raises AlreadyExists, NotFound, what `check` does."""
        with _translated(database, name):
            self.catalog.load_namespace_properties(database)
            if self.catalog.table_exists((database, name)):
                raise TableAlreadyExistsError
            tx = self.catalog.create_table_transaction(
                (database, name), schema, location.rstrip("/"), spec, properties={**PROPERTIES, **properties})
            making = Making(tx._table, tx)
            try:
                added = making.replace(fitted(rows, making.table)) if rows is not None else []
                check(added)
                tx.commit_transaction()
            except BaseException:
                self._forget(making.table.io)
                raise
            return added

    def change(self, database: str, name: str, work: Callable[[Making], Any], token: str = "") -> Any:
        """Commit what `work` puts into a transaction; returns what it returns.

        It is called again, on the table as it then is, when somebody else committed first. A change whose token a snapshot of
        the table has is not made again, and None is returned. Raises NotFound, Conflict, and what `work` raises.
        """
        with self._lock(database, name), _translated(database, name):
            for attempt in range(TRIES):
                table = self.catalog.load_table((database, name))
                if token and any(_note(snapshot).get(TOKEN) == token for snapshot in table.snapshots()):
                    return None
                io, tx = table.io, table.transaction()
                try:
                    result = work(Making(table, tx))
                except BaseException:
                    self._forget(io)
                    raise
                tx._snapshot_producers.clear()  # else PyIceberg repeats the commit on what is there then, and asks nobody
                try:
                    tx.commit_transaction()
                    return result
                except (CommitFailedException, ValidationException):  # these say that nothing was committed
                    self._forget(io)
                    time.sleep(random.uniform(0, min(0.5, 0.01 * 2**attempt)))
            told = f"ICEBERG_COMMIT_ERROR: Failed to commit to table {database}.{name}: others committed first {TRIES} times"
            raise Conflict(told, hint="try again")

    def append(self, database: str, name: str, rows: pa.Table, token: str = "") -> None:
        """Add rows, whose columns are the table's. Raises NotFound, Conflict."""
        note = {TOKEN: token} if token else {}
        self.change(database, name, lambda making: making.replace(fitted(rows, making.table), note=note), token)

    def evolve(self, database: str, name: str, schema: pa.Schema) -> None:
        """Add the columns that the table has not, at its end. Raises NotFound, Conflict."""
        def work(making: Making) -> None:
            known = set(making.table.schema().column_names)
            missing = pa.schema([field for field in schema if field.name not in known])
            if len(missing):
                with making.tx.update_schema() as update:
                    update.union_by_name(missing)

        self.change(database, name, work)

    def expire(self, database: str, name: str, keep: int, seconds: float) -> int:
        """Drop snapshots past an age, but for the newest `keep`, and the files that only they need; returns how many files."""
        def work(making: Making) -> set[str]:
            table, seen = making.table, dict[str, set[str]]()
            ids = set(expired(table, keep, seconds))
            if not ids:
                return set()
            from_then = [one for one in table.snapshots() if one.snapshot_id in ids]
            rest = [one for one in table.snapshots() if one.snapshot_id not in ids]
            gone = named_by(table, from_then, seen) - named_by(table, rest, seen)
            making.tx._apply((RemoveSnapshotsUpdate.model_validate({"action": "remove-snapshots", "snapshot-ids": sorted(ids)}),))
            return gone

        gone: set[str] = self.change(database, name, work)
        self.remove(gone)
        return len(gone)

    def remove_orphans(self, database: str, name: str, seconds: float) -> int:
        """Delete files of the table's folder that are past an age and that its metadata does not name; returns how many."""
        before = time.time() - seconds
        with self._lock(database, name):  # so that nothing that is being written here is taken for left behind
            listed = list(self._objects(database, name, self.load(database, name)))
            gone = unnamed(self.load(database, name), listed, before)
            self.remove(gone)
        return len(gone)

    def rename(self, database: str, name: str, to: tuple[str, str]) -> None:
        """Give a table another name. Raises NotFound, AlreadyExists."""
        with self._lock(database, name):
            with _translated(*to):
                self.catalog.load_namespace_properties(to[0])
            with _translated(database, name):
                try:
                    self.catalog.rename_table((database, name), to)
                except TableAlreadyExistsError:
                    raise AlreadyExists(f"Table {'.'.join(to)} already exists.") from None
                except ValueError as error:  # the old entry could not be removed, and stays
                    raise Conflict(str(error), hint="try again") from None

    def drop(self, database: str, name: str) -> None:
        """Remove a table with its files. Raises NotFound."""
        with self._lock(database, name), _translated(database, name):
            table = self.load(database, name)
            gone = locations_of(table) | {location for location, _ in self._objects(database, name, table)}
            others = {other.get("Parameters", {}).get("metadata_location") for other in self._others(database, name)}
            if table.metadata_location in others:
                gone = set()  # it is there by another name too
            self.catalog.drop_table((database, name))
        self.remove(gone)

    def _objects(self, database: str, name: str, table: Table) -> Iterator[tuple[str, float]]:
        """What lies in a table's folder, and since when; nothing if another table of the Data Catalog lies there too."""
        folder = _place(table.location())
        for other in self._others(database, name):
            place = _place(other.get("StorageDescriptor", {}).get("Location", ""))
            if place.startswith(folder) or folder.startswith(place):
                return
        bucket, _, prefix = folder.partition("/")
        for inside in ("data", "metadata"):
            for each in self._cloud.objects.list(bucket, f"{prefix}{inside}/"):
                yield f"s3://{bucket}/{each.key}", each.modified.timestamp()

    def _others(self, database: str, name: str) -> Iterator[Document]:
        """All other tables of the Data Catalog."""
        glue = self._cloud.service("glue")
        for each in glue.databases():
            with suppress(AwsError):  # it was dropped just now
                yield from (one for one in glue.tables(each).values()
                            if (one.get("DatabaseName"), one["Name"]) != (database.lower(), name.lower()))

    def remove(self, locations: set[str]) -> None:
        """Delete files, if they are there."""
        for location in sorted(locations):
            self._cloud.objects.delete(*split_url(location))

    def _lock(self, database: str, name: str) -> Any:
        """Changes of one table that are made here wait for each other, rather than be made again and again."""
        return self._locks.setdefault(f"{database}.{name}", threading.RLock())

    def _forget(self, io: Any) -> None:
        """Delete what a change wrote that is not to be."""
        if isinstance(io, S3Files):
            self.remove(set(io.written))


def _place(location: str) -> str:
    """A folder, by bucket and key: the same whatever its scheme."""
    return location.partition("://")[2].rstrip("/") + "/"


def fitted(rows: pa.Table, table: Table) -> pa.Table:
    """Rows as a table has its columns: in their order, missing ones NULL, values exact.

    Raises ArrowInvalid if one does not fit.
    """
    made = []
    for column, field in zip(table.schema().columns, table.schema().as_arrow(), strict=True):
        kind = small(field.type)
        given = rows[field.name] if field.name in rows.column_names else pa.nulls(len(rows), kind)
        if pa.types.is_timestamp(kind) and pa.types.is_timestamp(given.type):
            given = given.cast(pa.timestamp("us", given.type.tz), safe=False)  # nanoseconds are cut
        if column.required and given.null_count:
            raise pa.ArrowInvalid(f"column {field.name} may not be NULL")
        made.append(given if given.type.equals(kind) else given.cast(kind))
    return pa.table(made, names=table.schema().as_arrow().names)


def small(kind: pa.DataType) -> pa.DataType:
    """The type without large offsets, which only PyIceberg needs."""
    if pa.types.is_large_string(kind):
        return pa.string()
    if pa.types.is_large_binary(kind):
        return pa.binary()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(small(kind.value_type))
    if pa.types.is_map(kind):
        return pa.map_(small(kind.key_type), small(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(field.name, small(field.type)) for field in kind])
    return kind


def _note(snapshot: Any) -> Mapping[str, str]:
    return snapshot.summary.additional_properties if snapshot.summary is not None else {}


@contextmanager
def _translated(database: str, name: str) -> Iterator[None]:
    """PyIceberg's errors as caudal's."""
    try:
        yield
    except NoSuchNamespaceError:
        raise NotFound(f"Database {database} not found.") from None
    except NoSuchTableError:
        raise NotFound(f"Table {database}.{name} not found.") from None
    except TableAlreadyExistsError:
        raise AlreadyExists(f"Table {database}.{name} already exists.") from None
    except (NoSuchIcebergTableError, NoSuchPropertyException):
        raise NotFound(f"{database}.{name} is not an Iceberg table", hint="its table_type must be ICEBERG") from None
    except FileNotFoundError as error:
        raise BackendError(f"ICEBERG_MISSING_METADATA: a file of table {database}.{name} is gone",
                           hint="was it deleted from S3?") from error
