"""The part of the Athena API that shows the Data Catalog."""

from typing import Any

from caudal.gateway.athena.workgroups import BAD, WorkGroups
from caudal.gateway.faults import AwsError
from caudal.gateway.glue.entries import columns_of

Answer = dict[str, Any]

CATALOG = "AwsDataCatalog"


class Metadata(WorkGroups):
    """Catalogs, databases, tables: as Glue has them."""

    @property
    def glue(self) -> Any:
        """The Data Catalog."""
        return self.cloud.service("glue")

    def list_data_catalogs(self, *, NextToken: str = "", MaxResults: int = 50, WorkGroup: str = "") -> Answer:
        return {"DataCatalogsSummary": [{"CatalogName": CATALOG, "Type": "GLUE", "Status": "CREATE_COMPLETE"}]}

    def get_data_catalog(self, *, Name: str, WorkGroup: str = "") -> Answer:
        _check_catalog(Name)
        return {"DataCatalog": {"Name": CATALOG, "Type": "GLUE", "Status": "CREATE_COMPLETE", "Parameters": {}}}

    def list_databases(
        self, *, CatalogName: str, NextToken: str = "", MaxResults: int = 50, WorkGroup: str = "", **other: Any
    ) -> Answer:
        _check_catalog(CatalogName)
        found = self.glue.get_databases(NextToken=NextToken, MaxResults=MaxResults)
        return {"DatabaseList": [_database(one) for one in found["DatabaseList"]], "NextToken": found["NextToken"]}

    def get_database(self, *, CatalogName: str, DatabaseName: str, WorkGroup: str = "") -> Answer:
        _check_catalog(CatalogName)
        return {"Database": _database(_found(lambda: self.glue.get_database(Name=DatabaseName))["Database"])}

    def list_table_metadata(
        self, *, CatalogName: str, DatabaseName: str, Expression: str = "", NextToken: str = "", MaxResults: int = 50,
        WorkGroup: str = "", **other: Any,
    ) -> Answer:
        _check_catalog(CatalogName)
        found = _found(lambda: self.glue.get_tables(
            DatabaseName=DatabaseName, Expression=Expression, NextToken=NextToken, MaxResults=MaxResults))
        return {"TableMetadataList": [_table(table) for table in found["TableList"]], "NextToken": found["NextToken"]}

    def get_table_metadata(self, *, CatalogName: str, DatabaseName: str, TableName: str, WorkGroup: str = "") -> Answer:
        _check_catalog(CatalogName)
        return {"TableMetadata": _table(_found(lambda: self.glue.get_table(DatabaseName=DatabaseName, Name=TableName))["Table"])}


def _check_catalog(name: str) -> None:
    if name.lower() != CATALOG.lower():
        raise AwsError(BAD, f"Data catalog {name} is not found: caudal has {CATALOG}")


def _found(ask: Any) -> Any:
    try:
        return ask()
    except AwsError as error:
        raise AwsError("MetadataException", str(error)) from None


def _database(database: Answer) -> Answer:
    return {name: database[name] for name in ("Name", "Description", "Parameters") if name in database}


def _column(column: Answer) -> Answer:
    return {name: column[name] for name in ("Name", "Type", "Comment") if name in column}


def _table(table: Answer) -> Answer:
    descriptor = table.get("StorageDescriptor", {})
    serde = descriptor.get("SerdeInfo", {})
    parameters = {**table.get("Parameters", {}), "location": descriptor.get("Location", ""),
                  "inputformat": descriptor.get("InputFormat", ""), "outputformat": descriptor.get("OutputFormat", ""),
                  "serde.serialization.lib": serde.get("SerializationLibrary", ""),
                  **{f"serde.param.{name}": value for name, value in serde.get("Parameters", {}).items()}}
    return {"Name": table["Name"], "CreateTime": table.get("CreateTime"), "TableType": table.get("TableType", ""),
            "Columns": [_column(each) for each in columns_of(table)], "PartitionKeys": table.get("PartitionKeys", []),
            "Parameters": {name: value for name, value in parameters.items() if value}}
