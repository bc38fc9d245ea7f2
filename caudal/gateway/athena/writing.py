"""CREATE TABLE AS, INSERT INTO and UNLOAD: objects first, then the Data Catalog."""

import io
import re
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caudal.errors import QueryError
from caudal.gateway.athena.assign import assigned
from caudal.gateway.athena.ddl import FORMATS, cut, name_of
from caudal.gateway.athena.executions import NOTHING, OPEN_PARTITIONS, Outcome
from caudal.gateway.athena.external import DEFAULT_PARTITION
from caudal.gateway.athena.grammar import parsed
from caudal.gateway.athena.hive import arrow_type, hive_type
from caudal.gateway.athena.results import as_texts
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.glue.entries import is_iceberg
from caudal.gateway.s3.objects import split_url
from caudal.lake.query.check import tokens_of

_MISMATCH = "Insert query has mismatched column types"

_CODECS = {"parquet": {"": "gzip", "gzip": "gzip", "snappy": "snappy", "zstd": "zstd", "none": "none", "lz4": "lz4"},
           "text": {"": "gzip", "gzip": "gzip", "none": "none", "zstd": "zstd", "bzip2": "bz2"}}
_ENDINGS = {"gzip": ".gz", "zstd": ".zst", "bz2": ".bz2"}


class Writing:
    """Runs what writes rows."""

    def __init__(self, cloud: Cloud, query: Callable[[str, str], Outcome]) -> None:
        self._cloud, self._query = cloud, query

    def run(self, sql: str, sub: str, database: str, execution: Document, stopped: Callable[[], bool]) -> Outcome:
        """Raises QueryError."""
        work = {"CREATE_TABLE_AS_SELECT": self._create, "INSERT": self._insert, "UNLOAD": self._unload}[sub]
        try:
            return work(sql, database, execution, stopped)
        except AwsError as error:
            raise QueryError(f"FAILED: {error}", hint=error.hint or "see SHOW TABLES") from None

    @property
    def _glue(self) -> Any:
        return self._cloud.service("glue")

    def _create(self, sql: str, database: str, execution: Document, stopped: Callable[[], bool]) -> Outcome:
        header, query = cut(sql)
        empty = re.search(r"\s+WITH\s+NO\s+DATA\s*$", query, re.IGNORECASE)
        query = query[: empty.start()] if empty else query
        _, parts = parsed(header)
        settings = parts.get("settings", {})
        schema, name = name_of(parts["name"], database)
        self._glue._refuse_declared(schema)
        if name in self._glue.tables(schema):
            if parts.get("lenient"):
                return Outcome(NOTHING, written=[], rows=0)
            raise QueryError(f"TABLE_ALREADY_EXISTS: Table '{schema}.{name}' already exists", hint="drop it, or use INSERT INTO")
        iceberg = str(settings.get("table_type", "hive")).lower() == "iceberg"
        keys = settings.pop("partitioned_by", []) if not iceberg else []
        given = settings.pop("location" if iceberg else "external_location", "")
        location = given or f"{execution['Folder']}/tables/{execution['Id']}/"
        if not iceberg:
            _check_hive(settings)
        form = None if iceberg else _Form(settings)
        bucket, prefix = split_url(location)
        if any(True for _ in self._cloud.objects.list(bucket, f"{prefix.rstrip('/')}/")):
            raise QueryError(f"HIVE_PATH_ALREADY_EXISTS: Target directory for table '{schema}.{name}' already exists",
                             hint="choose a folder without objects")
        outcome = self._query(query, database)
        rows = outcome.table.slice(0, 0) if empty else outcome.table
        names = [column.lower() for column in rows.column_names]
        if len(set(names)) < len(names):
            raise QueryError("DUPLICATE_COLUMN_NAME: two columns of the query have one name", hint="name them with AS")
        rows = rows.rename_columns(names)
        if form is None:
            from caudal.gateway.athena.iceberg.ddl import create_as

            return create_as(self._cloud, settings, schema, name, location, Outcome(rows, outcome.scanned))
        if names[len(names) - len(keys):] != [key.lower() for key in keys]:
            raise QueryError("HIVE_COLUMN_ORDER_MISMATCH: Partition keys must be the last columns in the table and in the same"
                             " order as the table properties", hint=f"select {', '.join(keys)} last")
        written, places = self._write(rows, names[len(names) - len(keys):], location, form, execution, stopped)
        columns = [{"Name": field.name, "Type": hive_type(field.type)} for field in rows.schema]
        descriptor = {**form.descriptor(), "Location": location, "Columns": columns[: len(columns) - len(keys)]}
        self._glue.create_table(DatabaseName=schema, TableInput={
            "Name": name, "TableType": "EXTERNAL_TABLE", "PartitionKeys": columns[len(columns) - len(keys):],
            "Parameters": {"EXTERNAL": "TRUE", "has_encrypted_data": "false"}, "StorageDescriptor": descriptor})
        self._add(self._glue.table(schema, name), places)
        return Outcome(NOTHING, outcome.scanned, written, len(rows))

    def _insert(self, sql: str, database: str, execution: Document, stopped: Callable[[], bool]) -> Outcome:
        parts, chosen, query = _insert_parts(sql)
        schema, name = name_of(parts, database)
        self._glue._refuse_declared(schema)
        table = self._glue.table(schema, name)
        if is_iceberg(table):
            from caudal.gateway.athena.iceberg.changing import insert

            return insert(self._cloud, table, chosen, self._query(query, database), stopped)
        form = _Form.of(table)
        keys = [key["Name"] for key in table.get("PartitionKeys", [])]
        columns = [*table["StorageDescriptor"]["Columns"], *table.get("PartitionKeys", [])]
        known = pa.schema([(column["Name"], arrow_type(column["Type"])) for column in columns])
        outcome = self._query(query, database)
        chosen = chosen or known.names
        if len(chosen) != outcome.table.num_columns or not set(chosen) <= set(known.names):
            raise QueryError("TYPE_MISMATCH: Insert query has mismatched columns", hint=f"the table has {', '.join(known.names)}")
        given = outcome.table.rename_columns(chosen)
        rows = pa.table([assigned(given[field.name], field, _MISMATCH) if field.name in chosen
                         else pa.nulls(len(given), field.type) for field in known], schema=known)
        written, places = self._write(rows, keys, table["StorageDescriptor"]["Location"], form, execution, stopped)
        self._add(table, places)
        return Outcome(NOTHING, outcome.scanned, written, len(rows))

    def _unload(self, sql: str, database: str, execution: Document, stopped: Callable[[], bool]) -> Outcome:
        sql = sql[len("UNLOAD") :]
        tokens, depth = tokens_of(sql), 0
        for token in tokens:
            depth += {"(": 1, ")": -1}.get(token.text, 0)
            if depth == 0:
                break
        query, rest = sql[tokens[0].end + 1 : token.start], sql[token.end + 1 :]
        found = re.fullmatch(r"\s*TO\s+'([^']+)'\s*WITH\s*(\(.*\))\s*", rest, re.IGNORECASE | re.DOTALL)
        if found is None:
            raise QueryError("syntax error: UNLOAD (query) TO 's3://…' WITH (format = '…')", hint="write it so")
        settings = parsed(f"CREATE TABLE t WITH {found[2]}")[1]["settings"]
        keys = [key.lower() for key in settings.pop("partitioned_by", [])]
        if "format" not in settings:
            raise QueryError("INVALID_TABLE_PROPERTY: UNLOAD needs a format", hint="WITH (format = 'PARQUET')")
        settings.setdefault("compression", "gzip")
        bucket, prefix = split_url(found[1])
        if any(True for _ in self._cloud.objects.list(bucket, f"{prefix.rstrip('/')}/")):
            raise QueryError("HIVE_PATH_ALREADY_EXISTS: Target directory for UNLOAD is not empty", hint="choose an empty folder")
        outcome = self._query(query, database)
        form = _Form(settings, text=",")
        written, _ = self._write(outcome.table, keys, found[1], form, execution, stopped)
        return Outcome(NOTHING, outcome.scanned, written, len(outcome.table))

    def _write(
        self, rows: pa.Table, keys: list[str], location: str, form: "_Form", execution: Document, stopped: Callable[[], bool],
    ) -> tuple[list[str], list[list[str]]]:
        """URLs of the objects, one a partition, and the partitions' values."""
        bucket, prefix = split_url(location)
        prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        if stopped():
            raise QueryError("QUERY_CANCELLED: the query was stopped", hint="start it again")
        parts = _parted(rows, keys) if len(rows) else []
        written: list[str] = []
        try:
            for values, part in parts:
                folder = "".join(f"{key}={value}/" for key, value in zip(keys, values, strict=True))
                written.append(f"{prefix}{folder}{execution['Id'].replace('-', '_')}_{uuid.uuid4()}{form.ending}")
                self._cloud.objects.put(bucket, written[-1], form.encode(part))
        except Exception:
            for key in written:  # half a statement's rows are nobody's
                self._cloud.objects.delete(bucket, key)
            raise
        return [f"s3://{bucket}/{key}" for key in written], [values for values, _ in parts]

    def _add(self, table: Document, places: list[list[str]]) -> None:
        """Make partitions known that were not."""
        keys = [key["Name"] for key in table.get("PartitionKeys", [])]
        if not keys:
            return
        base, found = table["StorageDescriptor"]["Location"].rstrip("/"), []
        for values in places:
            folder = "/".join(f"{key}={value}" for key, value in zip(keys, values, strict=True))
            found.append({"Values": values, "StorageDescriptor": {**table["StorageDescriptor"], "Location": f"{base}/{folder}/"}})
        self._glue.batch_create_partition(DatabaseName=table["DatabaseName"], TableName=table["Name"], PartitionInputList=found)


def _parted(rows: pa.Table, keys: list[str]) -> list[tuple[list[str], pa.Table]]:
    """Values of the keys, and the other columns' rows. Raises QueryError."""
    if not keys:
        return [([], rows)]
    if not set(keys) <= set(rows.column_names):
        raise QueryError(f"INVALID_TABLE_PROPERTY: the query has not all of the columns {', '.join(keys)}", hint="select them")
    texts = as_texts(rows.select(keys))
    names = [pc.fill_null(column, DEFAULT_PARTITION) for column in texts.columns]
    joined = pc.binary_join_element_wise(*names, "\x01").combine_chunks().dictionary_encode()
    if len(joined.dictionary) > OPEN_PARTITIONS:
        told = f"HIVE_TOO_MANY_OPEN_PARTITIONS: Exceeded limit of {OPEN_PARTITIONS} open writers for partitions/buckets"
        raise QueryError(told, hint="write the partitions with several INSERT INTO")
    rest = rows.drop_columns(keys)
    return [(text.split("\x01"), rest.filter(pc.equal(joined.indices, number)))
            for number, text in enumerate(joined.dictionary.to_pylist())]


def _check_hive(settings: Document) -> None:
    """Take away what says that a table is none of Iceberg's. Raises QueryError."""
    kind, external = str(settings.pop("table_type", "hive")).lower(), str(settings.pop("is_external", "true")).lower()
    if kind != "hive" or external != "true":
        raise QueryError(f"NOT_SUPPORTED: table_type {kind.upper()}, is_external {external}",
                         hint="HIVE tables are external, ICEBERG tables are not")


def _insert_parts(sql: str) -> tuple[list[str], list[str], str]:
    """The parts of the table's name, the columns if they are given, and the query. Raises QueryError."""
    words = tokens_of(sql)
    texts = [word.text for word in words]
    if len(words) < 4 or texts[1].upper() != "INTO":
        raise QueryError("syntax error: INSERT INTO table SELECT …", hint="write it so")
    parts, at = [texts[2].lower()], 3
    while texts[at] == ".":
        parts.append(texts[at + 1].lower())
        at += 2
    columns: list[str] = []
    if texts[at] == "(" and texts[at + 1].upper() not in ("SELECT", "WITH", "VALUES", "("):
        end = texts.index(")", at)
        columns = [text.lower() for text in texts[at + 1 : end] if text != ","]
        at = end + 1
    return parts, columns, sql[words[at].start :]


class _Form:
    """How rows become an object."""

    def __init__(self, settings: Document, text: str = "\x01") -> None:
        self.format = str(settings.pop("format", "parquet")).lower()
        if self.format not in FORMATS:
            raise QueryError(f"NOT_SUPPORTED: format {self.format.upper()} is not served", hint="use PARQUET, TEXTFILE or JSON")
        self.delimiter = settings.pop("field_delimiter", text)
        given = [settings.pop(n) for n in ("write_compression", "compression", "parquet_compression") if n in settings]
        asked = str(given[0]).lower() if given else ""
        codecs = _CODECS["parquet" if self.format == "parquet" else "text"]
        if asked not in codecs:
            raise QueryError(f"NOT_SUPPORTED: compression {asked.upper()} of {self.format.upper()} is not served",
                             hint=f"use {', '.join(sorted(filter(None, codecs)))}")
        self.codec = codecs[asked]
        if settings:
            raise QueryError(f"INVALID_TABLE_PROPERTY: table property {next(iter(settings))} is not served", hint="leave it out")
        self.ending = "" if self.format == "parquet" else _ENDINGS.get(self.codec, "")
        self.null = "\\N"

    @classmethod
    def of(cls, table: Document) -> "_Form":
        """That of a table. Raises QueryError."""
        serde = table["StorageDescriptor"].get("SerdeInfo", {})
        name = serde.get("SerializationLibrary", "").rpartition(".")[2]
        formats = {"ParquetHiveSerDe": "parquet", "LazySimpleSerDe": "textfile", "JsonSerDe": "json"}
        if name not in formats:
            raise QueryError(f"NOT_SUPPORTED: INSERT INTO a table of {name}", hint="use Parquet, LazySimpleSerDe or JSON")
        delimiter = serde.get("Parameters", {}).get("field.delim", "\x01")
        return cls({"format": formats[name], "field_delimiter": delimiter})

    def descriptor(self) -> Document:
        """Formats and SerDe for the Data Catalog."""
        formats, library = FORMATS[self.format]
        parameters = {"field.delim": self.delimiter, "serialization.format": self.delimiter} if self.format == "textfile" else {}
        return {**formats, "SerdeInfo": {"SerializationLibrary": library, "Parameters": parameters}}

    def encode(self, rows: pa.Table) -> bytes:
        """An object of those rows."""
        if self.format == "parquet":
            out = io.BytesIO()
            pq.write_table(rows, out, compression=self.codec)
            return out.getvalue()
        if self.format == "json":
            encoder = msgspec.json.Encoder(decimal_format="number")
            data = encoder.encode_lines(_plain(rows).to_pylist())
        else:
            if any(pa.types.is_nested(field.type) for field in rows.schema):
                raise QueryError("NOT_SUPPORTED: arrays, maps and rows in TEXTFILE", hint="use PARQUET or JSON")
            columns = [column.to_pylist() for column in as_texts(rows).columns]
            data = "".join(self.delimiter.join(self.null if value is None else value for value in row) + "\n"
                           for row in zip(*columns, strict=True)).encode()
        if self.codec == "none":
            return data
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, self.codec) as packed:
            packed.write(data)
        packed_data: bytes = sink.getvalue().to_pybytes()
        return packed_data


def _plain(rows: pa.Table) -> pa.Table:
    """Times as Athena writes them, which JSON has no type for."""
    texts = as_texts(rows)
    return pa.table([texts[field.name] if pa.types.is_timestamp(field.type) or pa.types.is_date(field.type) else rows[field.name]
                     for field in rows.schema], names=rows.column_names)
