"""The Glue Data Catalog API."""

import re
import zlib
from collections.abc import Callable, Sequence
from typing import Any

from caudal.gateway.cloud import ACCOUNT, Cloud, refuse
from caudal.gateway.documents import Document
from caudal.gateway.faults import AwsError
from caudal.gateway.glue.crawler import Crawlers
from caudal.gateway.glue.declared import Declared
from caudal.gateway.glue.entries import shown
from caudal.gateway.glue.expressions import partition_filter
from caudal.gateway.pages import page, page_after
from caudal.lake.query.patterns import fitting

Answer = dict[str, Any]

PAGE = 100
"""Entries on a page where the client does not say."""


class Glue(Crawlers):
    """The Data Catalog: what clients declare, and beside it the pipeline's own tables, in the database of its name."""

    name = "glue"

    def __init__(self, cloud: Cloud) -> None:
        super().__init__(cloud)
        self.declared = Declared(cloud.stages)

    def create_database(self, *, DatabaseInput: Answer, Tags: dict[str, str] | None = None, CatalogId: str = "") -> None:
        self._refuse_declared(DatabaseInput["Name"])
        self.entries.create_database(DatabaseInput)
        self._tags.set(self.cloud.arn("glue", f"database/{DatabaseInput['Name'].lower()}"), Tags or {})

    def get_database(self, *, Name: str, CatalogId: str = "") -> Answer:
        return {"Database": _database(self.databases().get(Name.lower()) or self.entries.database(Name))}

    def get_databases(self, *, NextToken: str = "", MaxResults: int = PAGE, CatalogId: str = "", **other: Any) -> Answer:
        other.pop("AttributesToGet", None)
        refuse(other, "InvalidInputException")
        found, token = page_after(self.databases().items(), NextToken, MaxResults)
        return {"DatabaseList": [_database(database) for database in found], "NextToken": token}

    def update_database(self, *, Name: str, DatabaseInput: Answer, CatalogId: str = "") -> None:
        self._refuse_declared(Name)
        self.entries.update_database(Name, DatabaseInput)

    def delete_database(self, *, Name: str, CatalogId: str = "") -> None:
        self._refuse_declared(Name)
        self.entries.drop_database(Name)

    def databases(self) -> dict[str, Document]:
        """All databases, by name."""
        mine = {"Name": self.declared.database, "CreateTime": 0, "Description": "the tables of the pipeline"}
        return {**self.entries.databases(), self.declared.database: mine}

    def tables(self, database: str) -> dict[str, Document]:
        """A database's tables, by name. Raises AwsError."""
        if database.lower() == self.declared.database:
            return self.declared.tables()
        self.entries.database(database)
        return self.entries.tables(database)

    def table(self, database: str, name: str) -> Document:
        """One table. Raises AwsError."""
        if database.lower() == self.declared.database and (found := self.declared.tables().get(name.lower())) is not None:
            return found
        return self.entries.table(database, name)

    def _refuse_declared(self, database: str) -> None:
        """Raises AwsError if the database is the pipeline's."""
        if database.lower() == self.declared.database:
            told = f"{database.lower()} holds the tables of the pipeline file: change them there"
            raise AwsError("InvalidInputException", told)

    def create_table(
        self, *, DatabaseName: str, TableInput: Answer | None = None, CatalogId: str = "", Name: str = "",
        PartitionIndexes: list[Answer] | None = None, **other: Any,
    ) -> None:
        refuse({**other, "PartitionIndexes": PartitionIndexes or None}, "InvalidInputException")
        if TableInput is None:
            raise AwsError("InvalidInputException", "TableInput is needed")
        self._refuse_declared(DatabaseName)
        self.entries.create_table(DatabaseName, TableInput)

    def get_table(self, *, DatabaseName: str, Name: str, CatalogId: str = "", **other: Any) -> Answer:
        refuse(_known(other), "InvalidInputException")
        return {"Table": self._shown(self.table(DatabaseName, Name))}

    def get_tables(
        self, *, DatabaseName: str, Expression: str = "", NextToken: str = "", MaxResults: int = PAGE,
        CatalogId: str = "", **other: Any,
    ) -> Answer:
        refuse(_known(other), "InvalidInputException")
        tables = self.tables(DatabaseName)
        found, token = page_after(((name, tables[name]) for name in _named(list(tables), Expression)), NextToken, MaxResults)
        return {"TableList": [self._shown(table) for table in found], "NextToken": token}

    def update_table(
        self, *, DatabaseName: str, TableInput: Answer | None = None, SkipArchive: bool = False, VersionId: str | None = None,
        CatalogId: str = "", Name: str = "", Force: bool = False, **other: Any,
    ) -> None:
        refuse(other, "InvalidInputException")
        if TableInput is None:
            raise AwsError("InvalidInputException", "TableInput is needed")
        self._refuse_declared(DatabaseName)
        self.entries.update_table(DatabaseName, TableInput, VersionId, not SkipArchive)

    def delete_table(self, *, DatabaseName: str, Name: str, CatalogId: str = "", **other: Any) -> None:
        refuse(other, "InvalidInputException")
        self._refuse_declared(DatabaseName)
        self.entries.drop_table(DatabaseName, Name)

    def batch_delete_table(self, *, DatabaseName: str, TablesToDelete: list[str], CatalogId: str = "", **other: Any) -> Answer:
        refuse(other, "InvalidInputException")
        self._refuse_declared(DatabaseName)
        failed = _each(TablesToDelete, lambda name: self.entries.drop_table(DatabaseName, name))
        return {"Errors": [{"TableName": name, "ErrorDetail": error} for name, error in failed]}

    def get_table_version(self, *, DatabaseName: str, TableName: str, VersionId: str = "", **other: Any) -> Answer:
        versions = self._versions(DatabaseName, TableName)
        found = next((table for table in versions if VersionId in ("", table["VersionId"])), None)
        if found is None:
            raise AwsError("EntityNotFoundException", f"Version {VersionId} of table {TableName} not found.")
        return {"TableVersion": self._version(found)}

    def get_table_versions(
        self, *, DatabaseName: str, TableName: str, NextToken: str = "", MaxResults: int = PAGE, **other: Any
    ) -> Answer:
        found, token = page(self._versions(DatabaseName, TableName), NextToken, MaxResults)
        return {"TableVersions": [self._version(table) for table in found], "NextToken": token}

    def delete_table_version(self, *, DatabaseName: str, TableName: str, VersionId: str, CatalogId: str = "") -> None:
        self.entries.drop_version(DatabaseName, TableName, VersionId)

    def batch_delete_table_version(
        self, *, DatabaseName: str, TableName: str, VersionIds: list[str], CatalogId: str = ""
    ) -> Answer:
        failed = _each(VersionIds, lambda version: self.entries.drop_version(DatabaseName, TableName, version))
        return {"Errors": [{"TableName": TableName, "VersionId": version, "ErrorDetail": error} for version, error in failed]}

    def _versions(self, database: str, name: str) -> list[Document]:
        if database.lower() == self.declared.database:
            return [self.table(database, name)]
        return self.entries.versions(database, name)

    def _version(self, table: Document) -> Answer:
        return {"Table": self._shown(table), "VersionId": table["VersionId"]}

    def _shown(self, table: Document) -> Answer:
        return {**shown(table), "CatalogId": ACCOUNT, "IsRegisteredWithLakeFormation": False,
                "CreatedBy": f"arn:aws:iam::{ACCOUNT}:root", "IsMultiDialectView": False}

    def create_partition(self, *, DatabaseName: str, TableName: str, PartitionInput: Answer, CatalogId: str = "") -> None:
        self.entries.create_partition(DatabaseName, TableName, PartitionInput)

    def batch_create_partition(
        self, *, DatabaseName: str, TableName: str, PartitionInputList: list[Answer], CatalogId: str = ""
    ) -> Answer:
        self.entries.table(DatabaseName, TableName)
        failed = _each(PartitionInputList, lambda given: self.entries.create_partition(DatabaseName, TableName, given))
        return {"Errors": [{"PartitionValues": given.get("Values", []), "ErrorDetail": error} for given, error in failed]}

    def get_partition(self, *, DatabaseName: str, TableName: str, PartitionValues: list[str], **other: Any) -> Answer:
        self.table(DatabaseName, TableName)
        return {"Partition": _partition(self.entries.partition(DatabaseName, TableName, PartitionValues))}

    def get_partitions(
        self, *, DatabaseName: str, TableName: str, Expression: str = "", NextToken: str = "", Segment: Answer | None = None,
        MaxResults: int = PAGE, ExcludeColumnSchema: bool = False, CatalogId: str = "", **other: Any,
    ) -> Answer:
        refuse(_known(other), "InvalidInputException")
        table = self.table(DatabaseName, TableName)
        fits = partition_filter(Expression, table["PartitionKeys"])
        everything = self.entries.partitions(DatabaseName, TableName) if table["PartitionKeys"] else []
        chosen = [(str(part["Values"]), part) for part in everything if fits(part["Values"]) and _is_in(Segment, part)]
        found, token = page_after(chosen, NextToken, MaxResults)
        return {"Partitions": [_partition(part, ExcludeColumnSchema) for part in found], "NextToken": token}

    def batch_get_partition(
        self, *, DatabaseName: str, TableName: str, PartitionsToGet: list[Answer], CatalogId: str = "", **other: Any
    ) -> Answer:
        refuse(_known(other), "InvalidInputException")
        self.table(DatabaseName, TableName)
        found: list[Document] = []
        _each(PartitionsToGet, lambda one: found.append(self.entries.partition(DatabaseName, TableName, one["Values"])))
        return {"Partitions": [_partition(part) for part in found], "UnprocessedKeys": []}

    def update_partition(
        self, *, DatabaseName: str, TableName: str, PartitionValueList: list[str], PartitionInput: Answer, CatalogId: str = ""
    ) -> None:
        self.entries.update_partition(DatabaseName, TableName, PartitionValueList, PartitionInput)

    def batch_update_partition(
        self, *, DatabaseName: str, TableName: str, Entries: list[Answer], CatalogId: str = ""
    ) -> Answer:
        def change(entry: Answer) -> None:
            self.entries.update_partition(DatabaseName, TableName, entry["PartitionValueList"], entry["PartitionInput"])

        failed = _each(Entries, change)
        return {"Errors": [{"PartitionValueList": e["PartitionValueList"], "ErrorDetail": error} for e, error in failed]}

    def delete_partition(self, *, DatabaseName: str, TableName: str, PartitionValues: list[str], CatalogId: str = "") -> None:
        self.entries.drop_partition(DatabaseName, TableName, PartitionValues)

    def batch_delete_partition(
        self, *, DatabaseName: str, TableName: str, PartitionsToDelete: list[Answer], CatalogId: str = ""
    ) -> Answer:
        failed = _each(PartitionsToDelete, lambda one: self.entries.drop_partition(DatabaseName, TableName, one["Values"]))
        return {"Errors": [{"PartitionValues": one["Values"], "ErrorDetail": error} for one, error in failed]}

    def get_tags(self, *, ResourceArn: str) -> Answer:
        return {"Tags": self._tags.get(ResourceArn)}

    def tag_resource(self, *, ResourceArn: str, TagsToAdd: dict[str, str]) -> None:
        self._tags.add(ResourceArn, TagsToAdd)

    def untag_resource(self, *, ResourceArn: str, TagsToRemove: list[str]) -> None:
        self._tags.remove(ResourceArn, TagsToRemove)


def _database(document: Document) -> Answer:
    return {**shown(document), "CatalogId": ACCOUNT}


def _partition(document: Document, without_columns: bool = False) -> Answer:
    made = {**shown(document), "CatalogId": ACCOUNT}
    if without_columns and "StorageDescriptor" in made:
        made["StorageDescriptor"] = {name: value for name, value in made["StorageDescriptor"].items() if name != "Columns"}
    return made


def _known(options: Answer) -> Answer:
    """Options but for those that change nothing here: whose question it is, and which columns it is about."""
    harmless = ("AuditContext", "IncludeStatusDetails", "AttributesToGet")
    return {name: value for name, value in options.items() if name not in harmless}


def _named(names: list[str], expression: str) -> list[str]:
    """The names that fit Glue's pattern: a regular expression in which a bare `*` is any text. Raises AwsError."""
    try:
        fits = fitting(names, re.sub(r"(?<![.\])])\*", ".*", expression) or ".*")
    except ValueError:
        told = "the Expression is no regular expression, or one with lookaround or references, which are not served"
        raise AwsError("InvalidInputException", told) from None
    return [name for name, fit in zip(names, fits, strict=True) if fit]


def _is_in(segment: Answer | None, partition: Document) -> bool:
    """Whether a partition is one of those of a parallel reader."""
    if segment is None:
        return True
    return zlib.crc32(str(partition["Values"]).encode()) % int(segment["TotalSegments"]) == int(segment["SegmentNumber"])


def _each(given: Sequence[Any], work: Callable[[Any], object]) -> list[tuple[Any, Answer]]:
    """Do all; what failed, with its error as an answer has it."""
    failed = []
    for one in given:
        try:
            work(one)
        except AwsError as error:
            failed.append((one, {"ErrorCode": error.code, "ErrorMessage": str(error)}))
    return failed
