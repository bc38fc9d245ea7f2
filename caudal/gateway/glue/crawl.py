"""One crawl: S3's folders become tables, one a folder; folders named key=value are the partitions of the one above."""

import hashlib
import re
import threading
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from caudal.gateway.documents import Document
from caudal.gateway.glue.entries import Entries
from caudal.gateway.glue.guess import SAMPLE_BYTES, Guess, guess, merged, wider
from caudal.gateway.s3.objects import Object, Objects, split_url

SAMPLE_FILES = 100
"""Files of a folder that are looked into, where the target does not say."""
OWNER = "UPDATED_BY_CRAWLER"
DEPRECATED = "DEPRECATED_BY_CRAWLER"

TEXT = ("org.apache.hadoop.mapred.TextInputFormat", "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat")
_PARQUET = "org.apache.hadoop.hive.ql.io.parquet"

Partition = tuple[tuple[str, str], ...]


class Cancelled(Exception):
    """Somebody stopped the crawl."""


class Folder(NamedTuple):
    """A folder that is to be a table."""

    bucket: str
    path: str
    partitions: dict[Partition, list[Object]]
    """Keys and values to the objects there; one without any where it has no partitions."""


class Crawl:
    """Scans the targets of one crawler, and writes to the catalog what it finds."""

    def __init__(self, crawler: Document, entries: Entries, objects: Objects, stop: threading.Event) -> None:
        self._crawler, self._entries, self._objects, self._stop = crawler, entries, objects, stop
        self._database: str = crawler["DatabaseName"]
        self.counts = {"TablesCreated": 0, "TablesUpdated": 0, "TablesDeleted": 0}
        self.problems: list[str] = []

    def run(self) -> None:
        """Scan everything. Raises Cancelled, CaudalError."""
        if self._database.lower() not in self._entries.databases():
            self._entries.create_database({"Name": self._database})
        seen = set()
        for target in self._crawler["Targets"]["S3Targets"]:
            bucket, prefix = split_url(target["Path"])
            for folder in self._folders(bucket, prefix):
                if (found := self._guess(folder, target.get("SampleSize", SAMPLE_FILES))) is not None:
                    seen.add(self._write(folder, found))
        self._clear(seen)

    def _folders(self, bucket: str, prefix: str) -> Iterator[Folder]:
        if prefix and not prefix.endswith("/"):
            prefix += "/"
        found: dict[str, dict[Partition, list[Object]]] = {}
        for item in self._objects.list(bucket, prefix):
            parts = item.key.removeprefix(prefix).split("/")[:-1]
            if not item.size or any(part.startswith(("_", ".")) for part in [*parts, item.key.rpartition("/")[2]]):
                continue
            keys: list[tuple[str, str]] = []
            while parts and (pair := parts[-1].partition("="))[1] and pair[0]:
                keys.insert(0, (pair[0].lower(), pair[2]))
                parts.pop()
            path = prefix + "".join(f"{part}/" for part in parts)
            found.setdefault(path, {}).setdefault(tuple(keys), []).append(item)
        for path, partitions in sorted(found.items()):
            yield Folder(bucket, path, partitions)

    def _guess(self, folder: Folder, most: int) -> Guess | None:
        """What the folder's files are; None, and a problem noted, if they are no table."""
        guesses = []
        where = f"s3://{folder.bucket}/{folder.path}"
        if len({tuple(name for name, _ in keys) for keys in folder.partitions}) > 1:
            self.problems.append(f"{where}: its files lie under different partition keys")
            return None
        for items in folder.partitions.values():
            for item in items[:most]:
                if self._stop.is_set():
                    raise Cancelled
                data = self._objects.get(folder.bucket, item.key, SAMPLE_BYTES)
                if data[:4] == b"PAR1" and len(data) < item.size:  # its schema is at its end
                    data = self._objects.get(folder.bucket, item.key)
                found = guess(data, len(data) >= item.size)
                if found is None:
                    self.problems.append(f"{where}: {item.key.rpartition('/')[2]} is no CSV, JSON lines or Parquet")
                    return None
                guesses.append(found)
        if (together := merged(guesses)) is None:
            self.problems.append(f"{where}: its files are of different formats")
        return together

    def _write(self, folder: Folder, found: Guess) -> str:
        """Make or change the folder's table, and its partitions; its name."""
        name, old = self._place(folder)
        made = self._table(folder, found, name)
        if old is None:
            self._entries.create_table(self._database, made)
            self.counts["TablesCreated"] += 1
        elif self._crawler["SchemaChangePolicy"]["UpdateBehavior"] == "UPDATE_IN_DATABASE" and _differs(old, made):
            self._entries.update_table(self._database, made, None, archive=True)
            self.counts["TablesUpdated"] += 1
        table = self._entries.table(self._database, name)
        if [key["Name"] for key in table["PartitionKeys"]] == [key["Name"] for key in made["PartitionKeys"]]:
            self._write_partitions(folder, table)
        return name

    def _place(self, folder: Folder) -> tuple[str, Document | None]:
        """The table's name, and the table that is there: another of that name, of another folder, keeps it."""
        last = folder.path.rstrip("/").rpartition("/")[2] or folder.bucket
        name = self._crawler.get("TablePrefix", "") + re.sub("[^a-z0-9_]", "_", last.lower())
        old = self._entries.tables(self._database).get(name.lower())
        if old is not None and old.get("StorageDescriptor", {}).get("Location") != _location(folder):
            name += "_" + hashlib.md5(_location(folder).encode()).hexdigest()[:16]
            old = self._entries.tables(self._database).get(name.lower())
        return name.lower(), old

    def _table(self, folder: Folder, found: Guess, name: str) -> Document:
        keys = next(iter(folder.partitions))
        kinds = {key: "" for key, _ in keys}
        for partition in folder.partitions:
            for key, value in partition:
                kinds[key] = wider(kinds[key], "bigint" if value.isascii() and value.isdigit() and value[0] != "0" else "string")
        columns = [{"Name": column, "Type": kind} for column, kind in found.columns.items() if column not in kinds]
        parameters = {"classification": found.kind, OWNER: self._crawler["Name"], "typeOfData": "file"}
        if found.compression:
            parameters["compressionType"] = found.compression
        if found.kind == "csv":
            parameters["delimiter"] = found.separator
            parameters |= {"skip.header.line.count": "1"} if found.has_header else {}
        return {
            "Name": name, "TableType": "EXTERNAL_TABLE", "Parameters": parameters,
            "PartitionKeys": [{"Name": key, "Type": kind} for key, kind in kinds.items()],
            "StorageDescriptor": {
                **_format(found), "Columns": columns, "Location": _location(folder), "Compressed": bool(found.compression),
                "NumberOfBuckets": -1, "Parameters": parameters,
            },
        }

    def _write_partitions(self, folder: Folder, table: Document) -> None:
        keys = [key["Name"] for key in table["PartitionKeys"]]
        if not keys:
            return
        there = {tuple(part["Values"]) for part in self._entries.partitions(self._database, table["Name"])}
        found = set()
        for partition in folder.partitions:
            values = tuple(value for _, value in partition)
            found.add(values)
            if values not in there:
                at = _location(folder) + "".join(f"{item}/" for item in self._names(folder, partition))
                descriptor = {**table["StorageDescriptor"], "Location": at}
                given = {"Values": list(values), "StorageDescriptor": descriptor}
                self._entries.create_partition(self._database, table["Name"], given)
        if self._crawler["SchemaChangePolicy"]["DeleteBehavior"] == "DELETE_FROM_DATABASE":
            for values in there - found:
                self._entries.drop_partition(self._database, table["Name"], list(values))

    @staticmethod
    def _names(folder: Folder, partition: Partition) -> list[str]:
        """The partition's folders as they are written."""
        key = folder.partitions[partition][0].key
        return key.removeprefix(folder.path).split("/")[: len(partition)]

    def _clear(self, seen: set[str]) -> None:
        """Take away, or mark, what this crawler made and found no more."""
        behaviour = self._crawler["SchemaChangePolicy"]["DeleteBehavior"]
        for name, table in self._entries.tables(self._database).items():
            parameters = table.get("Parameters", {})
            if name in seen or parameters.get(OWNER) != self._crawler["Name"] or DEPRECATED in parameters or self.problems:
                continue
            if behaviour == "DELETE_FROM_DATABASE":
                self._entries.drop_table(self._database, name)
                self.counts["TablesDeleted"] += 1
            elif behaviour == "DEPRECATE_IN_DATABASE":
                made = {**table, "Parameters": {**parameters, DEPRECATED: str(int(1000 * time.time()))}}
                self._entries.update_table(self._database, made, None, archive=True)


def _location(folder: Folder) -> str:
    return f"s3://{folder.bucket}/{folder.path}"


def _differs(old: Document, made: Document) -> bool:
    return any(old.get(name) != made[name] for name in ("Parameters", "PartitionKeys", "StorageDescriptor"))


def _format(found: Guess) -> dict[str, Any]:
    """How Hive reads and writes it."""
    if found.kind == "parquet":
        formats = (f"{_PARQUET}.MapredParquetInputFormat", f"{_PARQUET}.MapredParquetOutputFormat")
        serde = f"{_PARQUET}.serde.ParquetHiveSerDe"
        options = {"serialization.format": "1"}
    elif found.kind == "json":
        formats, serde, options = TEXT, "org.openx.data.jsonserde.JsonSerDe", {"paths": ",".join(found.columns)}
    elif found.is_quoted:
        formats, serde = TEXT, "org.apache.hadoop.hive.serde2.OpenCSVSerde"
        options = {"separatorChar": found.separator, "quoteChar": '"', "escapeChar": "\\"}
    else:
        formats, serde = TEXT, "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe"
        options = {"field.delim": found.separator}
    info = {"SerializationLibrary": serde, "Parameters": options}
    return {"InputFormat": formats[0], "OutputFormat": formats[1], "SerdeInfo": info}

