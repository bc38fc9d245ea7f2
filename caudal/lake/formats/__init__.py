"""Arrow tables as the bytes of lake objects: one module a format."""

from collections.abc import Callable

import pyarrow as pa

from caudal.lake.formats.csv import encode_csv
from caudal.lake.formats.parquet import encode_parquet

__all__ = ["encode", "suffix"]

_ENCODERS: dict[str, Callable[[pa.Table, str], memoryview]] = {
    "csv": encode_csv, "parquet": encode_parquet, "iceberg": encode_parquet,
}


def encode(rows: pa.Table, format: str, compression: str) -> memoryview:
    """The bytes of an object with these rows."""
    return _ENCODERS[format](rows, compression)


def suffix(format: str, compression: str) -> str:
    """The end of an object's name."""
    return f".{'parquet' if format == 'iceberg' else format}" + {"": "", "gzip": ".gz", "zstd": ".zst"}[compression]
