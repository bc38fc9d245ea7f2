"""Rows as objects of the lake: written before a commit makes them visible."""

import pyarrow as pa
import pyarrow.compute as pc

from caudal.ingest.writer.layout import data_folder, quarantine_folder, split
from caudal.ingest.writer.quarantine import to_table
from caudal.lake.catalog import LakeTable
from caudal.lake.files import Files
from caudal.lake.formats import encode, suffix
from caudal.lake.objects import new_name, put_object
from caudal.records import DataFile, Rejected


def put_rows(files: Files, database: str, table: LakeTable, epoch: int, rows: pa.Table) -> list[DataFile]:
    """Write rows as objects of a table, one a partition; they are not visible until committed."""
    made = []
    for folder, part in split(rows, table.contract) if len(rows) else ():
        path = f"{data_folder(database, table.name, folder)}/{new_name(epoch, suffix(table.format, table.compression))}"
        made.append(put_object(files, path, folder, encode(part, table.format, table.compression), len(part)))
    return made


def put_quarantine(files: Files, database: str, table: LakeTable, epoch: int, rejected: list[Rejected]) -> list[DataFile]:
    """Write rejected records as one object of a table's quarantine; it does not count until committed."""
    path = f"{quarantine_folder(database, table.name)}/{new_name(epoch, '.parquet')}"
    return [put_object(files, path, (), encode(to_table(rejected), "parquet", ""), len(rejected))]


def newest(rows: pa.Table) -> int | None:
    """The latest event time, microseconds since 1970, UTC."""
    value: int | None = pc.max(rows["_event_time"].cast(pa.int64())).as_py()
    return value
