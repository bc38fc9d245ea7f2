"""The latest state of each key: files that hold a changed key are written anew, and no other."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
from pyiceberg.io.pyarrow import _dataframe_to_data_files
from pyiceberg.manifest import DataFile
from pyiceberg.schema import Schema
from pyiceberg.table.metadata import TableMetadata

from caudal.config import QueryConfig
from caudal.contract import Contract, Partition
from caudal.lake.catalog import Snapshot
from caudal.lake.files import Files
from caudal.lake.iceberg.mark import Mark, Publication
from caudal.lake.iceberg.replacing import Change
from caudal.lake.query.scratch import Scratch
from caudal.lake.query.sources import Sources, quoted, text
from caudal.lake.query.sqltypes import duckdb_type
from caudal.lake.query.views import current
from caudal.records import DataFile as LakeFile

SMALL_BYTES, SMALL_ROWS = 8 << 20, 100_000
"""A file below both is written anew with the rows that its partition gains: at most one stays."""

MEMORY_MB = 1024
"""Memory that DuckDB may use for a publication; past that it goes on on disk."""

CHUNK_BYTES = 128 << 20
"""Rows held in memory as Arrow, and the size of a file before compression."""

_BATCH_ROWS = 1 << 16
_FORMAT = {"year": "%Y", "month": "%Y-%m", "day": "%Y-%m-%d", "hour": "%Y-%m-%d-%H"}


class Current:
    """Brings the Iceberg table to the latest state of each key, by copy on write.

    A publication costs the keys that changed, reading the keys of the current state, and rewriting the files that hold
    one of them; the history is read only if a quarantined record was replayed past a newer change.
    """

    def __init__(self, files: Files, settings: QueryConfig) -> None:
        self._files = files
        self._scratch = Scratch()
        self._sources = Sources(files, self._scratch.folder)
        self._db = duckdb.connect(":memory:", config={
            "memory_limit": f"{min(settings.memory_mb, MEMORY_MB)}MB", "temp_directory": str(self._scratch.folder / "spill"),
            "autoinstall_known_extensions": False, "autoload_known_extensions": False, "python_enable_replacements": False,
            **({"threads": settings.threads} if settings.threads else {}),
        })
        self._db.execute("SET TimeZone = 'UTC'")

    def bring(self, publication: Publication) -> Change:
        """Files with the new state, and those whose place they take."""
        snapshot, contract = publication.snapshot, publication.snapshot.table.contract
        live = list(publication.live().values())
        brought = self._brought(publication)
        metadata = publication.tx.table_metadata
        if brought is None or publication.mark is None:
            rows = current(contract, self._sources.rows(snapshot), True)
            return Change(self._write(publication, rows), live)
        if not brought:
            return Change([], [])
        self._find_latest(snapshot, brought, publication.mark)
        touched = self._touched(contract, metadata, live)
        rows = f"SELECT {_names(contract)} FROM latest"
        if touched:
            base = _read(metadata.schema(), touched, [column.name for column in contract.columns])
            rows += f" UNION ALL SELECT {_names(contract)} FROM {base} ANTI JOIN changed USING ({_key(contract)})"
        change = Change(self._write(publication, rows), touched)
        self._db.execute("DROP TABLE changed; DROP TABLE latest; DROP TABLE IF EXISTS related")  # they may be large
        return change

    def close(self) -> None:
        """Release memory and files."""
        self._db.close()
        self._scratch.close()

    def _brought(self, publication: Publication) -> list[LakeFile] | None:
        """Files that brought rows since the mark; None if one of them is no more.

        A merged file brings none: the files that it took the place of did.
        """
        mark, changed = publication.mark, publication.changed
        if mark is None:
            return None
        merges = {one.removed for one in changed}
        files = [one.file for one in changed if one.added > mark.version and one.added not in merges and one.file.rows]
        locations = [self._files.location(file.path) for file in files]
        return files if all(location and Path(location).exists() for location in locations) else None

    def _find_latest(self, snapshot: Snapshot, brought: list[LakeFile], mark: Mark) -> None:
        """Tables `changed`, the keys of the rows brought, and `latest`, the state of those that are not deleted."""
        contract = snapshot.table.contract
        rows = self._sources.rows(replace(snapshot, files=tuple(brought)))
        self._db.execute(f"CREATE OR REPLACE TEMP TABLE changed AS SELECT DISTINCT {_key(contract)} FROM ({rows})")
        if contract.foreign or self._has_late(rows, mark):  # a change from elsewhere may come after a later one
            rows = f"SELECT * FROM ({self._sources.rows(snapshot)}) SEMI JOIN changed USING ({_key(contract)})"
            self._db.execute(f"CREATE OR REPLACE TEMP TABLE related AS {rows}")  # read once, however often it is looked at
            rows = "SELECT * FROM related"
        self._db.execute(f"CREATE OR REPLACE TEMP TABLE latest AS {current(contract, rows, True)}")

    def _has_late(self, rows: str, mark: Mark) -> bool:
        """Whether a row lies below the mark: replayed, so that what is there already may be newer."""
        if not mark.positions:
            return False
        reached = " ".join(f"WHEN {shard} THEN {offset}" for shard, offset in mark.positions.items())
        late = f"SELECT count(*) FROM ({rows}) WHERE _position < CASE _shard {reached} ELSE 0 END"
        return bool(self._db.execute(late).fetchall()[0][0])

    def _touched(self, contract: Contract, metadata: TableMetadata, live: list[DataFile]) -> list[DataFile]:
        """Files that hold a changed key, and small ones of partitions that gain rows."""
        if not live:
            return []
        base = _read(metadata.schema(), live, contract.key)
        found = self._db.execute(f"SELECT DISTINCT file_index FROM {base} SEMI JOIN changed USING ({_key(contract)})").fetchall()
        chosen = {int(index) for (index,) in found}
        gaining = self._gaining(contract)
        chosen |= {
            index for index, file in enumerate(live) if _is_small(file) and _partition_text(metadata, file) in gaining
        }
        return [live[index] for index in sorted(chosen)]

    def _gaining(self, contract: Contract) -> set[tuple[str, ...]]:
        """Partitions of the rows in `latest`, as text."""
        texts = ", ".join(map(_as_text, contract.partition)) or "''"
        found = self._db.execute(f"SELECT DISTINCT {texts} FROM latest").fetchall()
        return {tuple(row) if contract.partition else () for row in found}

    def _write(self, publication: Publication, rows: str) -> list[DataFile]:
        """Write rows by partition and key, a chunk at a time."""
        contract = publication.snapshot.table.contract
        order = ", ".join([quoted(part.column) for part in contract.partition] + [_key(contract)])
        reader = self._db.sql(f"SELECT {_names(contract)} FROM ({rows}) ORDER BY {order}").to_arrow_reader(_BATCH_ROWS)
        return [
            file for chunk in _chunks(reader, contract.schema)
            for file in _dataframe_to_data_files(publication.tx.table_metadata, chunk, publication.table.io)
        ]


def _is_small(file: DataFile) -> bool:
    return file.file_size_in_bytes < SMALL_BYTES and file.record_count < SMALL_ROWS


def _chunks(reader: pa.RecordBatchReader, schema: pa.Schema) -> Iterator[pa.Table]:
    batches: list[pa.RecordBatch] = []
    for batch in reader:
        batches.append(batch)
        if sum(held.nbytes for held in batches) >= CHUNK_BYTES:
            yield pa.Table.from_batches(batches).cast(schema)
            batches = []
    if batches:
        yield pa.Table.from_batches(batches).cast(schema)


def _read(schema: Schema, files: list[DataFile], columns: tuple[str, ...] | list[str]) -> str:
    """SQL of some columns of an Iceberg table's own files: found by field id, whatever they were called."""
    fields = [schema.find_field(name) for name in columns]
    kinds = {field.name: duckdb_type(field.type) for field in schema.as_arrow()}
    entries = ", ".join(
        f"{field.field_id}: {{name: {text(field.name)}, type: {text(kinds[field.name])}, default_value: NULL}}"
        for field in fields
    )
    paths = ", ".join(text(file.file_path.removeprefix("file://")) for file in files)
    return f"read_parquet([{paths}], schema=MAP {{{entries}}}, hive_partitioning=false)"


def _names(contract: Contract) -> str:
    return ", ".join(quoted(column.name) for column in contract.columns)


def _key(contract: Contract) -> str:
    return ", ".join(map(quoted, contract.key))


def _as_text(part: Partition) -> str:
    """A partition's value as Iceberg writes it for people."""
    if part.unit == "identity":
        return f"CAST({quoted(part.column)} AS VARCHAR)"
    return f"strftime({quoted(part.column)}, {text(_FORMAT[part.unit])})"


def _partition_text(metadata: TableMetadata, file: DataFile) -> tuple[str, ...]:
    schema = metadata.schema()
    return tuple(
        field.transform.to_human_string(schema.find_type(field.source_id), file.partition[n])
        for n, field in enumerate(metadata.specs()[file.spec_id].fields)
    )
