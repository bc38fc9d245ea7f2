"""The pipeline's own tables as the Data Catalog shows them: read only, for their contract is the pipeline file."""

from collections.abc import Mapping
from typing import Any

from caudal.contract import Column
from caudal.gateway.documents import Document
from caudal.lake.catalog import LakeTable, is_shadow
from caudal.pipeline import Stages

PARQUET = {
    "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "SerdeInfo": {"SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe", "Parameters": {}},
}
CSV = {
    "InputFormat": "org.apache.hadoop.mapred.TextInputFormat",
    "OutputFormat": "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    "SerdeInfo": {
        "SerializationLibrary": "org.apache.hadoop.hive.serde2.OpenCSVSerde",
        "Parameters": {"separatorChar": ",", "quoteChar": '"'},
    },
}


class Declared:
    """The tables of one pipeline: each shows its current rows, and its history where it has a key."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages

    @property
    def database(self) -> str:
        """The name of the database that they are in."""
        return self._stages.pipeline.name.lower()

    def tables(self) -> dict[str, Document]:
        """Name in SQL to the table."""
        found: dict[str, Document] = {}
        for name, table in self._stages.catalog.tables().items():
            if is_shadow(name):
                continue  # it is on its way to be what another table is
            found[name.lower()] = self._described(name, table, table.contract.columns)
            if table.contract.key:
                found[f"{name}_history".lower()] = self._described(f"{name}_history", table, table.contract.columns)
        return dict(sorted(found.items()))

    def _described(self, name: str, table: LakeTable, columns: Any) -> Document:
        descriptor: Mapping[str, Any] = CSV if table.format == "csv" else PARQUET
        return {
            "Name": name.lower(), "DatabaseName": self.database, "CreateTime": 0, "UpdateTime": 0, "VersionId": "0",
            "Retention": 0, "TableType": "EXTERNAL_TABLE", "PartitionKeys": [],
            "Parameters": {"classification": table.format, "caudal.table": table.source},
            "StorageDescriptor": {
                **descriptor, "Columns": [_column(column) for column in columns], "Compressed": bool(table.compression),
                "Location": f"caudal://{self.database}/{name.lower()}", "NumberOfBuckets": -1,
                "Parameters": {"skip.header.line.count": "1"} if table.format == "csv" else {},
            },
        }


def _column(column: Column) -> dict[str, str]:
    return {"Name": column.name.lower(), "Type": column.sql}
