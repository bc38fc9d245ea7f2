"""DDL of Iceberg tables: what Athena allows, by its names of properties."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from pyiceberg.exceptions import ValidationError
from pyiceberg.types import NestedField

from caudal.errors import AlreadyExists, NotFound, QueryError
from caudal.gateway.athena.executions import NOTHING, Outcome
from caudal.gateway.athena.hive import arrow_type, hive_type
from caudal.gateway.athena.iceberg.changing import checked, commit, refused
from caudal.gateway.athena.iceberg.reading import load
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.iceberg.schema import engine_schema, parts_of, schema_of, spec_of, type_of
from caudal.gateway.iceberg.tables import Making, fitted

_CODECS = ("zstd", "gzip", "snappy", "lz4", "none")
_NUMBERS = {
    "optimize_rewrite_data_file_threshold", "optimize_rewrite_delete_file_threshold", "vacuum_min_snapshots_to_keep",
    "vacuum_max_snapshot_age_seconds", "vacuum_max_metadata_files_to_keep", "write_target_data_file_size_bytes",
}
_OWN = {"vacuum_max_metadata_files_to_keep": "write.metadata.previous-versions-max",
        "write_target_data_file_size_bytes": "write.target-file-size-bytes"}
"""Athena's names of properties that Iceberg has one of its own for."""


def properties_of(given: dict[str, str]) -> dict[str, str]:
    """Table properties as Athena takes them, as the table keeps them. Raises QueryError."""
    made = {}
    for name, value in given.items():
        if name == "format":
            if value.lower() != "parquet":
                raise QueryError(f"NOT_SUPPORTED: format {value.upper()} of Iceberg tables is not served", hint="use PARQUET")
            made["write.format.default"] = "parquet"
        elif name in ("write_compression", "compression"):
            if value.lower() not in _CODECS:
                raise QueryError(f"NOT_SUPPORTED: compression {value.upper()} is not served", hint=f"use {', '.join(_CODECS)}")
            made["write.parquet.compression-codec"] = "uncompressed" if value.lower() == "none" else value.lower()
        elif name in _NUMBERS:
            if not value.isdecimal():
                raise QueryError(f"INVALID_TABLE_PROPERTY: {name} is no whole number", hint="write '5'")
            made[name] = value
        elif name != "table_type":
            raise QueryError(f"Unsupported table property key: {name}", hint=f"there is format, write_compression, "
                             f"{', '.join(sorted(_NUMBERS))}")
        if name in _OWN:
            made[_OWN[name]] = value
    if "vacuum_max_metadata_files_to_keep" in made:
        made["write.metadata.delete-after-commit.enabled"] = "true"
    return made


def create(cloud: Cloud, parts: Document, schema: str, name: str) -> None:
    """CREATE TABLE. Raises QueryError."""
    if parts.get("external"):
        raise QueryError("FAILED: External keyword not supported for table type ICEBERG", hint="leave EXTERNAL out")
    refused = next((word for word in ("serde", "delimited", "stored", "formats", "serde_properties") if word in parts), "")
    if refused:
        raise QueryError("FAILED: ROW FORMAT and STORED AS are not for table type ICEBERG", hint="use TBLPROPERTIES ('format'=…)")
    location = parts.get("location", "")
    if not location.startswith("s3://"):
        raise QueryError("FAILED: no LOCATION in S3", hint="add LOCATION 's3://bucket/folder/'")
    given = parts.get("partitioned", [])
    if any(isinstance(part, dict) for part in given):
        raise QueryError("FAILED: partition columns of an Iceberg table are among its columns", hint="PARTITIONED BY (column)")
    columns = pa.schema([_field(column) for column in parts["columns"]])
    made = schema_of(columns)
    properties = properties_of(parts.get("table_properties", {}))
    if "comment" in parts:
        properties["comment"] = parts["comment"]
    _unless(lambda: cloud.iceberg.create(schema, name, made, location, spec_of(made, given), properties), parts, schema, name)


def _unless(work: Callable[[], Any], parts: Document, schema: str, name: str) -> Any:
    try:
        return work()
    except AlreadyExists:
        if not parts.get("lenient"):
            raise QueryError(f"FAILED: AlreadyExistsException: Table {name} already exists", hint="drop it first") from None
    except NotFound as error:
        raise QueryError(f"FAILED: {error}", hint="see SHOW DATABASES") from None
    return None


def _field(column: Document) -> pa.Field:
    kind = arrow_type(column["Type"])
    if pa.types.is_int8(kind) or pa.types.is_int16(kind):
        raise QueryError(f"NOT_SUPPORTED: {column['Type']} in Iceberg tables", hint="use int")
    comment = column.get("Comment")
    return pa.field(column["Name"], kind, metadata={"doc": comment} if comment else None)


def create_as(cloud: Cloud, settings: Document, schema: str, name: str, location: str, outcome: Outcome) -> Outcome:
    """CREATE TABLE AS: the table and its rows in one commit. Raises QueryError."""
    settings.pop("table_type")
    if str(settings.pop("is_external", "false")).lower() != "false":
        raise QueryError("NOT_SUPPORTED: is_external must be false for Iceberg tables", hint="write is_external = false")
    parts = settings.pop("partitioning", [])
    rows = outcome.table
    made = schema_of(rows.schema)
    properties = properties_of({key: str(value) for key, value in settings.items()})
    spec = spec_of(made, parts)

    def work() -> Any:
        return cloud.iceberg.create(schema, name, made, location, spec, properties, rows, checked)

    added = _unless(work, {}, schema, name)
    return Outcome(NOTHING, outcome.scanned, [file.file_path for file in added], len(rows))


def drop(cloud: Cloud, document: Document) -> None:
    """DROP TABLE, which removes the data too. Raises QueryError."""
    load(cloud, document)
    cloud.iceberg.drop(document["DatabaseName"], document["Name"])


def alter(cloud: Cloud, document: Document, parts: Document) -> None:
    """ALTER TABLE. Raises QueryError."""
    schema, name = document["DatabaseName"], document["Name"]
    if "rename_to" in parts:
        target = parts["rename_to"]
        place = (target[-2] if len(target) > 1 else schema, target[-1])
        load(cloud, document)
        with refused():
            cloud.iceberg.rename(schema, name, place)
        return
    if "unset_properties" in parts:
        _unset(cloud, schema, name, parts["unset_properties"])
        return
    for word in ("add_partitions", "drop_partitions", "set_location", "replace_columns"):
        if word in parts:
            raise QueryError(f"NOT_SUPPORTED: {word.replace('_', ' ').upper()} of an Iceberg table",
                             hint="ADD COLUMNS, DROP COLUMN, CHANGE COLUMN, RENAME TO and SET TBLPROPERTIES are")

    def work(making: Making) -> None:
        if "set_properties" in parts:
            making.tx.set_properties(properties_of(parts["set_properties"]))
            return
        try:
            with making.tx.update_schema() as update:
                _evolve(update, making, parts)
        except (ValidationError, ValueError) as error:
            raise QueryError(f"FAILED: {str(error)[:200]}", hint="see DESCRIBE") from None

    commit(cloud, schema, name, work)


def _evolve(update: Any, making: Making, parts: Document) -> None:
    known = {field.name.lower(): field for field in making.table.schema().fields}

    def field(name: str) -> NestedField:
        if name not in known:
            raise QueryError(f"FAILED: column {name} is not in the table", hint=f"there is {', '.join(known)}")
        return known[name]

    if "add_columns" in parts:
        for column in parts["add_columns"]:
            if column["Name"] in known:
                raise QueryError(f"FAILED: Duplicate column name: {column['Name']}", hint="CHANGE COLUMN changes one")
            update.add_column(column["Name"], type_of(_field(column).type), column.get("Comment"))
    elif "drop_column" in parts:
        update.delete_column(field(parts["drop_column"]).name)
    else:
        old, new, where = parts["change_column"]
        found = field(old).name
        update.update_column(found, type_of(_field(new).type), **({"doc": new["Comment"]} if "Comment" in new else {}))
        if where is not None:
            kind, other = where
            update.move_first(found) if kind == "first" else update.move_after(found, field(other).name)
        if new["Name"] != old:
            update.rename_column(found, new["Name"])


def _unset(cloud: Cloud, schema: str, name: str, names: list[str]) -> None:
    def work(making: Making) -> None:
        there = [each for key in names for each in {key, _OWN.get(key, key)} if each in making.table.properties]
        making.tx.remove_properties(*there)

    commit(cloud, schema, name, work)
    glue = cloud.service("glue")
    table = glue.table(schema, name)
    gone = {each for key in names for each in (key, _OWN.get(key, key))} - {"table_type", "metadata_location"}
    kept = {key: value for key, value in table["Parameters"].items() if key not in gone}  # PyIceberg leaves them there
    changed = {key: table[key] for key in ("Name", "TableType", "StorageDescriptor", "Description") if key in table}
    glue.update_table(DatabaseName=schema, TableInput={**changed, "Parameters": kept}, VersionId=table["VersionId"],
                      SkipArchive=True)


def columns_of(cloud: Cloud, document: Document) -> list[tuple[str, str, str]]:
    """Name, type and comment of each column, as the Data Catalog's DDL writes them."""
    table = load(cloud, document)
    shape = engine_schema(fitted(pa.table({}), table).schema)
    return [(field.name.lower(), hive_type(kind.type), field.doc or "")
            for field, kind in zip(table.schema().fields, shape, strict=True)]


def described(cloud: Cloud, document: Document) -> list[tuple[str, str, str]]:
    """The lines of DESCRIBE."""
    table = load(cloud, document)
    lines = [("# Table schema:", "", ""), ("# col_name", "data_type", "comment"), *columns_of(cloud, document)]
    parts = parts_of(table.schema(), table.spec())
    return [*lines, ("", "", ""), ("# Partition spec:", "", ""), ("# field_name", "field_transform", "column_name"), *parts]


def shown(cloud: Cloud, document: Document) -> list[str]:
    """The statement that makes the table, line by line."""
    table, columns = load(cloud, document), columns_of(cloud, document)
    lines = [f"CREATE TABLE {document['DatabaseName']}.{document['Name']} ("]
    for n, (name, kind, comment) in enumerate(columns):
        told = f" COMMENT '{comment}'" if comment else ""
        lines.append(f"  `{name}` {kind}{told}{')' if n == len(columns) - 1 else ','}")
    parts = [_written(transform, column) for _, transform, column in parts_of(table.schema(), table.spec())]
    if parts:
        lines.append(f"PARTITIONED BY ({', '.join(parts)})")
    pairs = properties(cloud, document)
    lines += [f"LOCATION '{table.location()}'", "TBLPROPERTIES ("]
    return [*lines, *(f"  '{key}'='{value}'{',' if n < len(pairs) - 1 else ''}" for n, (key, value) in enumerate(pairs)), ")"]


def properties(cloud: Cloud, document: Document) -> list[tuple[str, str]]:
    """Athena's names and values of a table's properties."""
    kept = load(cloud, document).properties
    codec = kept.get("write.parquet.compression-codec", "zstd")
    made = {"table_type": "iceberg", "format": "parquet", "write_compression": "none" if codec == "uncompressed" else codec}
    return [*made.items(), *sorted((name, kept[name]) for name in _NUMBERS if name in kept)]


def _written(transform: str, column: str) -> str:
    function, _, number = transform.rstrip("]").partition("[")
    if function == "identity":
        return f"`{column}`"
    return f"{function}({number}, `{column}`)" if number else f"{function}(`{column}`)"
