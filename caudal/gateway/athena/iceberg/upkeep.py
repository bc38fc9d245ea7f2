"""OPTIMIZE and VACUUM: small files become large ones, and what no snapshot needs goes."""

import math
from collections import defaultdict
from collections.abc import Callable

import pyarrow as pa
import sqlglot
from pyiceberg.expressions import BooleanExpression
from pyiceberg.manifest import DataFile
from pyiceberg.table import FileScanTask
from sqlglot import exp
from sqlglot.errors import SqlglotError

from caudal.errors import QueryError
from caudal.gateway.athena.executions import NOTHING, Outcome
from caudal.gateway.athena.iceberg.changing import commit, refused
from caudal.gateway.athena.iceberg.clauses import Upkeep, upkeep
from caudal.gateway.athena.iceberg.pruning import predicate
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.iceberg.tables import ALL, Making

TARGET_BYTES = 512 << 20
SMALL = 0.75
"""Part of the target size below which a file is to be written anew with others."""
CHUNK_BYTES = 256 << 20
"""Bytes of files that are read at once."""
_HINT = "compare partition columns with constants"
ORPHAN_SECONDS = 3600.0
"""Age from which at the earliest a file that nothing names is taken for left behind: another client may be writing it."""


def run(cloud: Cloud, sql: str, kind: str, place: Callable[[tuple[str, ...]], Document]) -> Outcome:
    """Run an OPTIMIZE or a VACUUM. Raises QueryError."""
    statement = upkeep(sql, kind)
    document = place(statement.table)
    schema, name = document["DatabaseName"], document["Name"]
    if kind == "OPTIMIZE":
        return Outcome(NOTHING, commit(cloud, schema, name, lambda making: _pack(making, statement)))
    with refused():
        properties = cloud.iceberg.load(schema, name).properties
        age = float(properties.get("vacuum_max_snapshot_age_seconds", 432_000))
        cloud.iceberg.expire(schema, name, int(properties.get("vacuum_min_snapshots_to_keep", 1)), age)
        cloud.iceberg.remove_orphans(schema, name, max(age, ORPHAN_SECONDS))
    return Outcome(NOTHING)


def _pack(making: Making, statement: Upkeep) -> int:
    """Write the files of each partition anew that are small or have deletes; returns the bytes that were read."""
    properties = making.table.properties
    data_threshold = int(properties.get("optimize_rewrite_data_file_threshold", 5))
    delete_threshold = int(properties.get("optimize_rewrite_delete_file_threshold", 2))
    target = int(properties.get("write.target-file-size-bytes", TARGET_BYTES))
    parts: dict[str, list[FileScanTask]] = defaultdict(list)
    for file in making.files(_chosen(making, statement) if statement.where else ALL):
        parts[f"{file.file.spec_id} {file.file.partition}"].append(file)
    added: list[DataFile] = []
    removed: list[FileScanTask] = []
    for files in parts.values():
        deleted = [file for file in files if len(file.delete_files) >= delete_threshold]
        rest = [file for file in files if len(file.delete_files) < delete_threshold]
        small = [file for file in rest if file.file.file_size_in_bytes < target * SMALL]
        if len(small) < max(2, data_threshold):
            small = []
        for chunk, must in [*((chunk, True) for chunk in _chunks(deleted)), *((chunk, False) for chunk in _chunks(small))]:
            rows = pa.concat_tables([making.rows(file) for file in chunk])
            if not must and 2 * math.ceil(rows.nbytes / target) > len(chunk):
                continue  # PyIceberg cuts by the size in memory: not half as many files, and again with each OPTIMIZE
            added += making.write(rows)
            removed += chunk
    making.swap(added, [file.file for file in removed], same_rows=True)
    return sum(file.file.file_size_in_bytes for file in removed)


def _chunks(files: list[FileScanTask]) -> list[list[FileScanTask]]:
    made: list[list[FileScanTask]] = []
    size = 0
    for file in files:
        if not made or size + file.file.file_size_in_bytes > CHUNK_BYTES:
            made.append([])
            size = 0
        made[-1].append(file)
        size += file.file.file_size_in_bytes
    return made


def _chosen(making: Making, statement: Upkeep) -> BooleanExpression:
    """The files that the WHERE of an OPTIMIZE chooses, which may speak of partitioned columns only. Raises QueryError."""
    schema = making.table.schema()
    keys = {schema.find_field(field.source_id).name.lower() for field in making.table.spec().fields}
    try:
        columns = {column.name.lower() for column in sqlglot.parse_one(statement.where, read="athena").find_all(exp.Column)}
    except SqlglotError:
        raise QueryError("SYNTAX_ERROR: the WHERE of OPTIMIZE cannot be read", hint=_HINT) from None
    if columns <= keys:
        found = predicate([statement.where], schema, statement.table[-1])
        if found is not ALL:
            return found
    told = "Unexpected FilterNode found in plan; probably connector was not able to handle provided WHERE expression"
    raise QueryError(f"NOT_SUPPORTED: {told}", hint=_HINT)
