"""What the Data Catalog holds, as documents; names are lower case, as Glue keeps them."""

import time
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from caudal.errors import AlreadyExists, NotFound
from caudal.gateway.documents import Document, Documents
from caudal.gateway.faults import AwsError

DATABASE, TABLE, VERSION, PARTITION = "glue.database", "glue.table", "glue.version", "glue.partition"

TIMES = ("CreateTime", "UpdateTime", "LastAccessTime", "LastAnalyzedTime", "CreationTime")


def stored(given: Mapping[str, Any]) -> Document:
    """A request's members as a document: times as seconds since 1970."""
    return {
        name: value.timestamp() if isinstance(value, datetime) else stored(value) if isinstance(value, dict) else value
        for name, value in given.items()
    }


def shown(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document as an answer has it."""
    return {name: datetime.fromtimestamp(value, UTC) if name in TIMES else value for name, value in document.items()}


def is_iceberg(table: Mapping[str, Any]) -> bool:
    """Whether a table's files and columns are told by Iceberg's metadata."""
    return str((table.get("Parameters") or {}).get("table_type", "")).upper() == "ICEBERG"


def columns_of(table: Mapping[str, Any]) -> list[Document]:
    """A table's columns but for the partition keys; an entry of an Iceberg table also lists those that it once had."""
    columns = (table.get("StorageDescriptor") or {}).get("Columns", [])
    return [one for one in columns if (one.get("Parameters") or {}).get("iceberg.field.current") != "false"]


class Entries:
    """Databases, tables, versions and partitions that clients made."""

    def __init__(self, documents: Documents) -> None:
        self.documents = documents

    def databases(self) -> dict[str, Document]:
        """All of them, by name."""
        return self.documents.all(DATABASE)

    def database(self, name: str) -> Document:
        """One of them. Raises AwsError."""
        return self._get(DATABASE, name.lower(), f"Database {name.lower()} not found.")

    def create_database(self, given: Mapping[str, Any]) -> None:
        """Add one. Raises AwsError."""
        name = given["Name"].lower()
        self._create(DATABASE, name, {**stored(given), "Name": name, "CreateTime": time.time()}, "Database already exists.")

    def update_database(self, name: str, given: Mapping[str, Any]) -> None:
        """Change one. Raises AwsError."""
        made = {**stored(given), "Name": name.lower()}
        self._change(DATABASE, name.lower(), lambda old: made | {"CreateTime": old["CreateTime"]})

    def drop_database(self, name: str) -> None:
        """Remove one, with its tables. Raises AwsError."""
        self.database(name)
        for table in self.tables(name):
            self.drop_table(name, table)
        self.documents.remove(DATABASE, name.lower())

    def tables(self, database: str) -> dict[str, Document]:
        """A database's tables, by name."""
        prefix = f"{database.lower()}/"
        return {name.removeprefix(prefix): table for name, table in self.documents.all(TABLE, prefix=prefix).items()}

    def table(self, database: str, name: str) -> Document:
        """One table. Raises AwsError."""
        return self._get(TABLE, _key(database, name), f"Table {name.lower()} not found.")

    def create_table(self, database: str, given: Mapping[str, Any]) -> None:
        """Add one. Raises AwsError."""
        self.database(database)
        now = time.time()
        table = {"CreateTime": now, "UpdateTime": now, "VersionId": "0"}
        self._create(TABLE, _key(database, given["Name"]), _table(database, given) | table, "Table already exists.")

    def update_table(self, database: str, given: Mapping[str, Any], expected: str | None, archive: bool) -> None:
        """Give a table its next version, which must follow `expected` if that is given. Raises AwsError."""
        key = _key(database, given["Name"])
        while True:
            old = self.table(database, given["Name"])
            if expected is not None and old["VersionId"] != expected:
                told = f"Update table failed due to concurrent modifications: the table's version is {old['VersionId']}."
                raise AwsError("ConcurrentModificationException", told)
            if archive:
                self.documents.put(VERSION, f"{key}/{int(old['VersionId']):012}", old)
            made = _table(database, given) | {
                "CreateTime": old["CreateTime"], "UpdateTime": time.time(), "VersionId": str(int(old["VersionId"]) + 1),
            }
            if self._change(TABLE, key, lambda now, old=old, made=made: made if now == old else now) == made:  # type: ignore[misc]
                return

    def drop_table(self, database: str, name: str) -> None:
        """Remove a table with its versions and partitions. Raises AwsError."""
        self.table(database, name)
        key = _key(database, name)
        parts = [(kind, each) for kind in (PARTITION, VERSION) for each in self.documents.all(kind, prefix=f"{key}/")]
        self.documents.write(remove=[(TABLE, key), *parts])

    def versions(self, database: str, name: str) -> list[Document]:
        """A table's versions, the newest first. Raises AwsError."""
        now = self.table(database, name)
        return [now, *reversed(self.documents.all(VERSION, prefix=f"{_key(database, name)}/").values())]

    def drop_version(self, database: str, name: str, version: str) -> None:
        """Forget an old version. Raises AwsError."""
        key = f"{_key(database, name)}/{int(version):012}" if version.isdecimal() else ""
        if self.documents.remove(VERSION, key) is None:
            raise AwsError("EntityNotFoundException", f"Version {version} of table {name} not found.")

    def partitions(self, database: str, name: str) -> Iterable[Document]:
        """A table's partitions, in the order of their values. Raises AwsError."""
        self.table(database, name)
        return self.documents.all(PARTITION, prefix=f"{_key(database, name)}/").values()

    def partition(self, database: str, name: str, values: list[str]) -> Document:
        """One partition. Raises AwsError."""
        return self._get(PARTITION, _place(database, name, values), "Cannot find partition.")

    def create_partition(self, database: str, name: str, given: Mapping[str, Any]) -> None:
        """Add one. Raises AwsError."""
        table = self.table(database, name)
        values, keys = given.get("Values", []), table.get("PartitionKeys", [])
        if len(values) != len(keys):
            told = f"The number of partition keys do not match the number of partition values: {len(keys)}, not {len(values)}."
            raise AwsError("InvalidInputException", told)
        made = _partition(table, given) | {"CreationTime": time.time()}
        self._create(PARTITION, _place(database, name, values), made, "Partition already exists.")

    def update_partition(self, database: str, name: str, values: list[str], given: Mapping[str, Any]) -> None:
        """Change one, its values too. Raises AwsError."""
        old = self.partition(database, name, values)
        if given.get("Values", values) != values:
            self.create_partition(database, name, given)
            self.drop_partition(database, name, values)
            return
        made = _partition(self.table(database, name), {"Values": values, **given}) | {"CreationTime": old["CreationTime"]}
        self._change(PARTITION, _place(database, name, values), lambda _: made)

    def drop_partition(self, database: str, name: str, values: list[str]) -> None:
        """Remove one. Raises AwsError."""
        if self.documents.remove(PARTITION, _place(database, name, values)) is None:
            raise AwsError("EntityNotFoundException", "Cannot find partition.")

    def _get(self, kind: str, name: str, told: str) -> Document:
        found = self.documents.get(kind, name)
        if found is None:
            raise AwsError("EntityNotFoundException", told)
        return found

    def _create(self, kind: str, name: str, document: Document, told: str) -> None:
        try:
            self.documents.create(kind, name, document)
        except AlreadyExists:
            raise AwsError("AlreadyExistsException", told) from None

    def _change(self, kind: str, name: str, change: Callable[[Document], Document]) -> Document:
        try:
            return self.documents.change(kind, name, change)
        except NotFound:
            raise AwsError("EntityNotFoundException", "Entity Not Found") from None


def _key(database: str, table: str) -> str:
    return f"{database.lower()}/{table.lower()}"


def _place(database: str, table: str, values: list[str]) -> str:
    return f"{_key(database, table)}/{msgspec.json.encode(values).decode()}"


def _table(database: str, given: Mapping[str, Any]) -> Document:
    made = stored(given)
    descriptor = made.get("StorageDescriptor") or {}
    if "Columns" in descriptor:
        made["StorageDescriptor"] = descriptor | {"Columns": [_column(column) for column in descriptor["Columns"]]}
    keys = [_column(column) for column in made.get("PartitionKeys", [])]
    names = [column["Name"] for column in [*made.get("StorageDescriptor", {}).get("Columns", []), *keys]]
    if len(set(names)) != len(names):
        raise AwsError("InvalidInputException", "Column names must be unique, partition keys included.")
    return {"Retention": 0, **made, "Name": given["Name"].lower(), "DatabaseName": database.lower(), "PartitionKeys": keys}


def _column(column: Mapping[str, Any]) -> Document:
    return {**column, "Name": column["Name"].lower()}


def _partition(table: Document, given: Mapping[str, Any]) -> Document:
    return {**stored(given), "DatabaseName": table["DatabaseName"], "TableName": table["Name"]}
