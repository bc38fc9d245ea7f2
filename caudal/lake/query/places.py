"""The hidden columns that say which file a row is in: no `*` has them, a query names them."""

import pyarrow as pa

from caudal.contract import TIMESTAMP
from caudal.lake.query.sources import quoted, text

OF_FILES = pa.schema([("$path", pa.string()), ("$file_size", pa.int64()), ("$file_modified_time", TIMESTAMP)])


def of_file(url: str | None, size: int | None, written: int | None) -> str:
    """SQL of the columns' values for one file; None for rows that are in none yet.

    Args:
        written: when it was, microseconds since 1970, UTC.
    """
    values = (
        f"CAST({text(url) if url is not None else 'NULL'} AS VARCHAR)", f"CAST({'NULL' if size is None else size} AS BIGINT)",
        f"CAST(make_timestamp({'NULL' if written is None else written}) AS TIMESTAMPTZ)",
    )
    return ", ".join(f"{value} AS {quoted(name)}" for value, name in zip(values, OF_FILES.names, strict=True))
