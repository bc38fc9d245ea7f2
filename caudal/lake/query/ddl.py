"""Athena's DDL of a table: what would read the same files there."""

from caudal.contract import Column, Contract
from caudal.lake.catalog import LakeTable

HIVE = {"string": "string", "int64": "bigint", "int32": "int", "timestamp[us, tz=UTC]": "timestamp"}
"""Hive's names of the types of system columns."""

_PARQUET = (
    "ROW FORMAT SERDE",
    "  'org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe'",
    "STORED AS INPUTFORMAT",
    "  'org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat'",
    "OUTPUTFORMAT",
    "  'org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat'",
)
_CSV = (
    "ROW FORMAT SERDE",
    "  'org.apache.hadoop.hive.serde2.OpenCSVSerde'",
    "WITH SERDEPROPERTIES (",
    "  'escapeChar'='\\u0001',",  # the dialect has none, and the default, a backslash, is text in it
    "  'quoteChar'='\"',",
    "  'separatorChar'=',')",
    "STORED AS INPUTFORMAT",
    "  'org.apache.hadoop.mapred.TextInputFormat'",
    "OUTPUTFORMAT",
    "  'org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat'",
)


def columns_of(table: LakeTable) -> list[tuple[str, str]]:
    """Name and Hive type of each column of the files, system columns last.

    All of CSV are strings: that reader takes no ISO dates, no decimals, and no empty field as a number.
    """
    typed = [(column.name.lower(), column.sql) for column in table.contract.columns]
    typed += [(field.name, HIVE[str(field.type)]) for field in table.contract.system]
    return [(name, "string") for name, _ in typed] if table.format == "csv" else typed


def partitions_of(contract: Contract) -> list[tuple[str, str]]:
    """Name and Hive type of each key of the files' folders."""
    return [
        (part.folder, contract.column(part.column).sql if part.unit == "identity" else "string") for part in contract.partition
    ]


def create_table(name: str, table: LakeTable, location: str) -> list[str]:
    """CREATE EXTERNAL TABLE, line by line.

    Args:
        location: URL of the folder of the table's files.
    """
    folders = partitions_of(table.contract)
    # A folder's key may not be a column as well: of Parquet that goes by its name, of CSV the place has to be kept.
    taken = {key for key, _ in folders}
    columns = [(f"{column}_text" if column in taken else column, kind) for column, kind in columns_of(table)
               if column not in taken or table.format == "csv"]
    lines = [f"CREATE EXTERNAL TABLE `{name}`(", *_listed([f"  `{column}` {kind}" for column, kind in columns])]
    if folders:
        lines += ["PARTITIONED BY (", *_listed([f"  `{key}` {kind}" for key, kind in folders])]
    lines += _CSV if table.format == "csv" else _PARQUET
    lines += ["LOCATION", f"  '{location}'", "TBLPROPERTIES ("]
    properties = ["'skip.header.line.count'='1'"] if table.format == "csv" else ["'classification'='parquet'"]
    return [*lines, *_listed([f"  {text}" for text in properties])]


def create_view(name: str, contract: Contract, is_text: bool) -> list[str]:
    """CREATE VIEW of a table's current state over its history, line by line.

    Args:
        is_text: the history's columns are all text, as of CSV, and the view gives them their types.
    """
    shown = [_typed(column) if is_text else column.name.lower() for column in contract.columns]
    key = ", ".join(part.lower() for part in contract.key)
    position = "CAST(_position AS bigint)" if is_text else "_position"
    return [
        f'CREATE VIEW "{name}" AS', "SELECT", *(f"  {text}{',' if n < len(shown) else ''}" for n, text in enumerate(shown, 1)),
        "FROM (", f"  SELECT *, row_number() OVER (PARTITION BY {key} ORDER BY {position} DESC) AS _newest",
        f'  FROM "{name}_history"', ") AS h", "WHERE _newest = 1 AND _op <> 'delete'",
    ]


def _typed(column: Column) -> str:
    name = column.name.lower()
    if column.kind in ("string", "json"):
        return name
    if column.kind == "bytes":
        return f"from_base64({name}) AS {name}"
    if column.kind == "timestamp":
        return f"CAST(from_iso8601_timestamp(nullif({name}, '')) AS timestamp) AS {name}"
    kind = {"int": "bigint", "float": "double", "bool": "boolean"}.get(column.kind, column.sql)
    return f"CAST(nullif({name}, '') AS {kind}) AS {name}"


def _listed(lines: list[str]) -> list[str]:
    return [f"{line}{',' if number < len(lines) else ')'}" for number, line in enumerate(lines, 1)]
