"""DDL: databases, tables, partitions and views of the Data Catalog."""

import base64
import contextlib
import json
import re
from typing import Any

from caudal.errors import QueryError
from caudal.gateway.athena.grammar import parsed
from caudal.gateway.athena.hive import arrow_type
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.glue.entries import is_iceberg
from caudal.gateway.s3.objects import split_url
from caudal.lake.query.check import tokens_of

LAZY = "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
TEXT = {"InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat"}
FORMATS: dict[str, tuple[dict[str, str], str]] = {
    "textfile": (TEXT, LAZY), "json": (TEXT, "org.apache.hive.hcatalog.data.JsonSerDe"),
    "parquet": ({"InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
                 "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat"},
                "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"),
}
"""STORED AS, in lower case, to Glue's input and output formats and the SerDe."""
_SEPARATORS = {"fields": "field.delim", "escaped": "escape.delim", "items": "collection.delim", "map_keys": "mapkey.delim",
               "lines": "line.delim", "nulls": "serialization.null.format"}


def name_of(parts: list[str], database: str) -> tuple[str, str]:
    """Database and table of a name. Raises QueryError."""
    if len(parts) == 3 and parts[0] == "awsdatacatalog":
        parts = parts[1:]
    if len(parts) > 2:
        raise QueryError(f"no database {'.'.join(parts[:-1])}", hint="write database.table")
    return (parts[0], parts[1]) if len(parts) == 2 else (database, parts[0])


def cut(sql: str) -> tuple[str, str]:
    """What stands before the AS of CREATE … AS, and the query behind it. Raises QueryError."""
    depth = 0
    for token in tokens_of(sql):
        depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(token.text, 0)
        if depth == 0 and token.text.upper() == "AS":
            query = re.sub(r"\s+WITH\s+DATA\s*$", "", sql[token.end + 1 :], flags=re.IGNORECASE).strip()
            return sql[: token.start], query
    raise QueryError("syntax error: the statement has no AS with a query", hint="CREATE … AS SELECT …")


class Ddl:
    """Runs DDL."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud

    def run(self, sql: str, database: str) -> None:
        """Raises QueryError."""
        query = ""
        if re.match(r"CREATE\s+(OR\s+REPLACE\s+)?VIEW", sql, re.IGNORECASE):
            sql, query = cut(sql)
        kind, parts = parsed(sql)
        try:
            getattr(self, f"_{kind}")(parts, database, query)
        except AwsError as error:
            if not (parts.get("lenient") and error.code in ("AlreadyExistsException", "EntityNotFoundException")):
                raise QueryError(f"FAILED: {error}", hint=error.hint or "see SHOW TABLES") from None

    @property
    def _glue(self) -> Any:
        return self._cloud.service("glue")

    def _create_database(self, parts: Document, database: str, query: str) -> None:
        given = {"Name": parts["name"][-1], "LocationUri": parts.get("location"), "Description": parts.get("comment")}
        self._glue.create_database(DatabaseInput={name: value for name, value in given.items() if value})

    def _drop_database(self, parts: Document, database: str, query: str) -> None:
        name = parts["name"][-1]
        if self._glue.tables(name) and not parts.get("cascade"):
            raise QueryError(f"FAILED: database {name} is not empty", hint="add CASCADE")
        self._glue.delete_database(Name=name)

    def _create_table(self, parts: Document, database: str, query: str) -> None:
        schema, name = name_of(parts["name"], database)
        if str(parts.get("table_properties", {}).get("table_type", "")).upper() == "ICEBERG":
            from caudal.gateway.athena.iceberg.ddl import create

            self._glue._refuse_declared(schema)
            create(self._cloud, parts, schema, name)
            return
        if any(isinstance(key, str) for key in parts.get("partitioned", [])):
            raise QueryError("FAILED: ParseException: a partition column needs a type", hint="PARTITIONED BY (day string)")
        if not parts.get("external"):
            raise QueryError("FAILED: only EXTERNAL tables, and those of CREATE TABLE AS, can be made", hint="add EXTERNAL")
        location = parts.get("location", "")
        if not location.startswith("s3://"):
            raise QueryError("FAILED: no LOCATION in S3", hint="add LOCATION 's3://bucket/folder/'")
        keys = parts.get("partitioned", [])
        for column in [*parts["columns"], *keys]:
            arrow_type(column["Type"])  # refuses what is not served
        self._glue.create_table(DatabaseName=schema, TableInput={
            "Name": name, "TableType": "EXTERNAL_TABLE", "PartitionKeys": keys,
            "Parameters": {"EXTERNAL": "TRUE", **parts.get("table_properties", {})},
            "StorageDescriptor": {**_descriptor(parts), "Columns": parts["columns"], "Location": location},
            **({"Description": parts["comment"]} if "comment" in parts else {}),
        })

    def _drop_table(self, parts: Document, database: str, query: str) -> None:
        schema, name = name_of(parts["name"], database)
        table = self._glue.table(schema, name)
        if table.get("TableType") == "VIRTUAL_VIEW":
            raise QueryError(f"FAILED: {name} is a view", hint="DROP VIEW")
        if is_iceberg(table):
            from caudal.gateway.athena.iceberg.ddl import drop

            drop(self._cloud, table)
            return
        self._glue.delete_table(DatabaseName=schema, Name=name)

    def _create_view(self, parts: Document, database: str, query: str) -> None:
        schema, name = name_of(parts["name"], database)
        shape = self._cloud.service("athena").columns(query, database)
        view = {"originalSql": query, "catalog": "awsdatacatalog", "schema": database,
                "columns": [{"name": column, "type": kind} for column, kind in shape]}
        text = base64.b64encode(json.dumps(view).encode()).decode()
        given = {"Name": name, "TableType": "VIRTUAL_VIEW", "Parameters": {"presto_view": "true", "comment": "Presto View"},
                 "ViewOriginalText": f"/* Presto View: {text} */", "ViewExpandedText": "/* Presto View */",
                 "StorageDescriptor": {"Columns": [{"Name": column.lower(), "Type": kind} for column, kind in shape]}}
        if parts.get("or") and name in self._glue.tables(schema):
            self._glue.update_table(DatabaseName=schema, TableInput=given)
        else:
            self._glue.create_table(DatabaseName=schema, TableInput=given)

    def _drop_view(self, parts: Document, database: str, query: str) -> None:
        schema, name = name_of(parts["name"], database)
        if self._glue.table(schema, name).get("TableType") != "VIRTUAL_VIEW":
            raise QueryError(f"FAILED: {name} is no view", hint="DROP TABLE")
        self._glue.delete_table(DatabaseName=schema, Name=name)

    def _alter(self, parts: Document, database: str, query: str) -> None:
        schema, name = name_of(parts["name"], database)
        table = self._glue.table(schema, name)
        if schema == self._glue.declared.database:
            raise QueryError(f"FAILED: {schema} holds the tables of the pipeline file", hint="change them there")
        if is_iceberg(table):
            from caudal.gateway.athena.iceberg.ddl import alter

            alter(self._cloud, table, parts)
            return
        for word in ("drop_column", "change_column", "rename_to", "unset_properties"):
            if word in parts:
                raise QueryError(f"NOT_SUPPORTED: {word.replace('_', ' ').upper()} of a table that is not Iceberg",
                                 hint="ADD or REPLACE COLUMNS, or make the table anew")
        if "add_partitions" in parts:
            for one in parts["add_partitions"]["parts"]:
                self._add(table, one["partition"], one.get("location", ""), parts["add_partitions"]["lenient"])
            return
        if "drop_partitions" in parts:
            for one in parts["drop_partitions"]["parts"]:
                values = _values(table, one["partition"])
                with contextlib.suppress(*([AwsError] if parts["drop_partitions"]["lenient"] else [])):
                    self._glue.delete_partition(DatabaseName=schema, TableName=name, PartitionValues=values)
            return
        descriptor = dict(table["StorageDescriptor"])
        changed = {key: value for key, value in table.items() if key in _KEPT}
        if "set_location" in parts:
            self._set_location(table, changed, parts["set_location"])
            return
        if "add_columns" in parts:
            descriptor["Columns"] = [*descriptor["Columns"], *parts["add_columns"]]
        elif "replace_columns" in parts:
            descriptor["Columns"] = parts["replace_columns"]
        elif "set_properties" in parts:
            changed["Parameters"] = {**table.get("Parameters", {}), **parts["set_properties"]}
        for column in descriptor["Columns"]:
            arrow_type(column.get("Type", "string"))
        self._glue.update_table(DatabaseName=schema, TableInput={**changed, "StorageDescriptor": descriptor})

    def _set_location(self, table: Document, changed: Document, asked: Document) -> None:
        schema, name = table["DatabaseName"], table["Name"]
        if "partition" not in asked:
            descriptor = {**table["StorageDescriptor"], "Location": asked["location"]}
            self._glue.update_table(DatabaseName=schema, TableInput={**changed, "StorageDescriptor": descriptor})
            return
        values = _values(table, asked["partition"])
        found = self._glue.entries.partition(schema, name, values)
        descriptor = {**(found.get("StorageDescriptor") or table["StorageDescriptor"]), "Location": asked["location"]}
        self._glue.update_partition(DatabaseName=schema, TableName=name, PartitionValueList=values,
                                    PartitionInput={"Values": values, "StorageDescriptor": descriptor})

    def _add(self, table: Document, partition: dict[str, str], location: str, lenient: bool) -> None:
        values = _values(table, partition)
        folder = "/".join(f"{key['Name']}={value}" for key, value in zip(table["PartitionKeys"], values, strict=True))
        where = location or f"{table['StorageDescriptor']['Location'].rstrip('/')}/{folder}/"
        try:
            self._glue.create_partition(DatabaseName=table["DatabaseName"], TableName=table["Name"], PartitionInput={
                "Values": values, "StorageDescriptor": {**table["StorageDescriptor"], "Location": where}})
        except AwsError as error:
            if not (lenient and error.code == "AlreadyExistsException"):
                raise

    def _repair(self, parts: Document, database: str, query: str) -> None:
        """Add the partitions whose folders are there."""
        schema, name = name_of(parts["name"], database)
        table = self._glue.table(schema, name)
        if is_iceberg(table):
            raise QueryError(f"NOT_SUPPORTED: {name} is an Iceberg table, whose metadata has its files", hint="query it")
        keys = [key["Name"] for key in table["PartitionKeys"]]
        bucket, prefix = split_url(table["StorageDescriptor"]["Location"])
        prefix = f"{prefix.rstrip('/')}/"
        found = set()
        for each in self._cloud.objects.list(bucket, prefix):
            folders = [folder.partition("=") for folder in each.key[len(prefix):].split("/")[:-1]][: len(keys)]
            if [folder[0] for folder in folders] == keys:  # Hive's names alone, in lower case
                found.add(tuple(folder[2] for folder in folders))
        for values in sorted(found):
            self._add(table, dict(zip(keys, values, strict=True)), "", lenient=True)


_KEPT = {"Name", "Description", "Owner", "Retention", "PartitionKeys", "TableType", "Parameters"}


def _values(table: Document, partition: dict[str, str]) -> list[str]:
    keys = [key["Name"] for key in table.get("PartitionKeys", [])]
    if set(partition) != set(keys):
        raise QueryError(f"FAILED: the partition keys of {table['Name']} are {', '.join(keys) or '(none)'}",
                         hint="name each of them once")
    return [partition[key] for key in keys]


def _descriptor(parts: Document) -> Document:
    """Formats and SerDe of CREATE TABLE. Raises QueryError."""
    stored = str(parts.get("stored", "textfile")).lower()
    if stored not in FORMATS:
        raise QueryError(f"NOT_SUPPORTED: STORED AS {stored.upper()} is not served", hint="use PARQUET, TEXTFILE or a JSON SerDe")
    formats, library = FORMATS[stored]
    if "formats" in parts:
        formats = dict(zip(("InputFormat", "OutputFormat"), parts["formats"], strict=True))
    parameters = {_SEPARATORS[name]: value for name, value in (parts.get("delimited") or {}).items()}
    if "delimited" in parts and "field.delim" in parameters:
        parameters["serialization.format"] = parameters["field.delim"]
    parameters |= parts.get("serde_properties", {})
    return {**formats, "SerdeInfo": {"SerializationLibrary": parts.get("serde", library), "Parameters": parameters}}
