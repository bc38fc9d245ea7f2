"""Tables of the Data Catalog whose objects are in S3: which objects a query reads, and their rows."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from caudal.errors import NotFound, QueryError
from caudal.gateway.athena.hive import arrow_type
from caudal.gateway.athena.projection import is_projected, projected
from caudal.gateway.athena.serdes import decode, typed_texts
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Document
from caudal.gateway.s3.cache import Cache
from caudal.gateway.s3.objects import Object, split_url

DEFAULT_PARTITION = "__HIVE_DEFAULT_PARTITION__"


class Part(NamedTuple):
    """One object of a table."""

    bucket: str
    object: Object
    descriptor: Document
    values: tuple[Any, ...]
    """Of the partition keys, typed."""


class Reader:
    """Finds and reads objects; those that it has read are on disk, by their ETag."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._cache = Cache(cloud.objects, cloud.folder / "athena-cache")

    def source(self, table: Document, wanted: set[str] | None, tests: Sequence[str | None]) -> "Source":
        """What a query reads of a table. Raises QueryError."""
        keys = table.get("PartitionKeys", [])
        places = [(table["StorageDescriptor"], ())] if not keys else self._places(table, keys, tests)
        parts = [Part(bucket, found, descriptor, values) for descriptor, values in places
                 for bucket, found in self.objects(descriptor.get("Location", ""))]
        return Source(self, table, parts, wanted)

    def objects(self, location: str) -> list[tuple[str, Object]]:
        """The objects below a location, but for hidden ones. Raises QueryError."""
        bucket, prefix = split_url(location)
        prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        try:
            found = list(self._cloud.objects.list(bucket, prefix))
        except NotFound:
            raise QueryError(f"HIVE_METASTORE_ERROR: there is no bucket {bucket}", hint="make it, or change LOCATION") from None
        return [(bucket, each) for each in found
                if not any(part[:1] in ("_", ".") for part in each.key[len(prefix):].split("/"))]

    def _places(
        self, table: Document, keys: list[Document], tests: Sequence[str | None]
    ) -> list[tuple[Document, tuple[Any, ...]]]:
        """Descriptor and key values of each partition that the tests choose."""
        if is_projected(table):
            found = [({**table["StorageDescriptor"], "Location": where}, values) for values, where in projected(table, tests)]
        else:
            entries = self._cloud.service("glue").entries.partitions(table["DatabaseName"], table["Name"])
            found = [(part.get("StorageDescriptor") or table["StorageDescriptor"], part["Values"]) for part in entries]
        columns = []
        for number, key in enumerate(keys):
            texts = pa.array([None if v[number] == DEFAULT_PARTITION else v[number] for _, v in found], pa.string())
            columns.append(typed_texts(texts, arrow_type(key.get("Type", "string")), f"partition key {key['Name']}"))
        rows = list(zip(*(column.to_pylist() for column in columns), strict=True))
        chosen = range(len(found))
        if found and tests and None not in tests:
            listed = pa.table([*columns, pa.array(chosen)], names=[*(key["Name"] for key in keys), "caudal_n"])
            sql = f"SELECT caudal_n FROM caudal_partitions WHERE ({') OR ('.join(str(test) for test in tests)})"
            try:
                fits = self._cloud.stages.query.execute(sql, tables={"caudal_partitions": listed})
                chosen = fits["caudal_n"].to_pylist()
            except QueryError:
                pass  # what is wrong with the query is said when it runs
        return [(found[n][0], rows[n]) for n in chosen]

    def file(self, part: Part) -> Path:
        """The object as a file."""
        return self._cache.file(part.bucket, part.object.key, part.object.etag)


class Source:
    """What a query reads of one table."""

    def __init__(self, reader: Reader, table: Document, parts: list[Part], wanted: set[str] | None) -> None:
        self._reader, self._table, self._parts, self._wanted = reader, table, parts, wanted
        self.size = sum(part.object.size for part in parts)
        self.keys = [key["Name"] for key in table.get("PartitionKeys", [])]

    def read(self) -> pa.Table:
        """The rows, of the columns that the query may name. Raises QueryError."""
        columns = [(column["Name"], arrow_type(column.get("Type", "string")))
                   for column in self._table["StorageDescriptor"].get("Columns", [])]
        keys = [(key["Name"], arrow_type(key.get("Type", "string"))) for key in self._table.get("PartitionKeys", [])]
        chosen = [name for name, _ in [*columns, *keys] if self._wanted is None or name in self._wanted]
        chosen = chosen or [columns[0][0]]
        schema = pa.schema([(name, kind) for name, kind in [*columns, *keys] if name in chosen])
        inside = [name for name in chosen if name in dict(columns)]
        tables = []
        for part in self._parts:
            rows = decode(self._reader.file(part), part.object.key, {**self._table, "StorageDescriptor": part.descriptor},
                          columns, inside or [columns[0][0]])
            made = {name: rows[name] for name in inside}
            for (name, kind), value in zip(keys, part.values, strict=True):
                if name in chosen:
                    made[name] = pa.repeat(pa.scalar(value, kind), len(rows))
            tables.append(pa.table([made[name] for name in schema.names], schema=schema))
        return pa.concat_tables(tables) if tables else schema.empty_table()
