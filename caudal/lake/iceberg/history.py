"""Every change, or every event: the lake's own Parquet files, named by the Iceberg table and not copied."""

from collections.abc import Iterable

import pyarrow.parquet as pq
from pyiceberg.io import FileIO
from pyiceberg.io.pyarrow import (
    compute_statistics_plan,
    data_file_statistics_from_parquet_metadata,
    parquet_path_to_id_mapping,
)
from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
from pyiceberg.partitioning import partition_record_value
from pyiceberg.table.metadata import TableMetadata
from pyiceberg.typedef import Record

from caudal.lake.files import Files
from caudal.lake.iceberg.mark import Publication
from caudal.lake.iceberg.replacing import Change
from caudal.records import DataFile as LakeFile


class History:
    """Brings the Iceberg table to the same files as the lake's; costs what has changed."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def bring(self, publication: Publication) -> Change:
        """Files that the lake's table has gained and lost."""
        if publication.mark is None:
            return self._difference(publication)
        changed = publication.changed
        gone = {self._location(one.file) for one in changed if one.added <= publication.mark.version}
        live = publication.live() if gone else {}
        if not gone <= live.keys():  # another engine rewrote them
            return self._difference(publication)
        came = [one.file for one in changed if one.added > publication.mark.version and one.removed is None]
        change = Change(self._described(publication, came), [live[location] for location in gone])
        return change if _adds_up(publication, change) else self._difference(publication)

    def _difference(self, publication: Publication) -> Change:
        """Whatever the Iceberg table has, against all that the lake's has."""
        live = publication.live()
        wanted = {self._location(file): file for file in publication.snapshot.files}
        came = [file for location, file in wanted.items() if location not in live]
        return Change(self._described(publication, came), [file for location, file in live.items() if location not in wanted])

    def _described(self, publication: Publication, files: Iterable[LakeFile]) -> list[DataFile]:
        metadata, io = publication.tx.table_metadata, publication.table.io
        return [_describe(io, metadata, self._location(file)) for file in files if file.rows]

    def _location(self, file: LakeFile) -> str:
        return f"file://{self._files.location(file.path)}"


def _adds_up(publication: Publication, change: Change) -> bool:
    """Whether the Iceberg table will have as many rows as the lake's: other engines write to it, and the lake forgets."""
    snapshot = publication.table.current_snapshot()
    summary = snapshot.summary.additional_properties if snapshot is not None and snapshot.summary is not None else {}
    had = int(summary.get("total-records", 0))
    has = had + sum(file.record_count for file in change.added) - sum(file.record_count for file in change.removed)
    return has == sum(file.rows for file in publication.snapshot.files)


def _describe(io: FileIO, metadata: TableMetadata, location: str) -> DataFile:
    """A Parquet file without field ids as a data file: its columns are found by name, also by an older one."""
    schema, mapping = metadata.schema(), metadata.name_mapping()
    ids = parquet_path_to_id_mapping(schema)
    ids |= {name: field.field_id for field in mapping or () for name in field.names if field.field_id is not None}
    file = io.new_input(location)
    with file.open() as stream:
        parquet = pq.ParquetFile(stream)
        partition = _partition(parquet, metadata, ids)
    statistics = data_file_statistics_from_parquet_metadata(
        parquet_metadata=parquet.metadata, stats_columns=compute_statistics_plan(schema, metadata.properties),
        parquet_column_mapping=ids,
    )
    return DataFile.from_args(
        content=DataFileContent.DATA, file_path=location, file_format=FileFormat.PARQUET,
        partition=partition, file_size_in_bytes=len(file), sort_order_id=None,
        spec_id=metadata.default_spec_id, equality_ids=None, key_metadata=None, **statistics.to_serialized_dict(),
    )


def _partition(parquet: pq.ParquetFile, metadata: TableMetadata, ids: dict[str, int]) -> Record:
    """The partition of a file, from its first row: Parquet keeps no bounds of a long value, and all rows share it."""
    spec, schema = metadata.spec(), metadata.schema()
    if not spec.fields:
        return Record()
    names = {id: name for name, id in ids.items() if name in parquet.schema_arrow.names}
    columns = [names[field.source_id] for field in spec.fields]
    row = next(parquet.iter_batches(1, columns=sorted(set(columns)))).to_pylist()[0]
    return Record(*(
        field.transform.transform(schema.find_type(field.source_id))(partition_record_value(field, row[name], schema))
        for field, name in zip(spec.fields, columns, strict=True)
    ))
