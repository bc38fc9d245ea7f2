"""Parquet, with zstd."""

import pyarrow as pa
import pyarrow.parquet as pq


def encode_parquet(rows: pa.Table, compression: str = "") -> memoryview:
    """One Parquet file."""
    out = pa.BufferOutputStream()
    pq.write_table(rows, out, compression="zstd", compression_level=1)
    return memoryview(out.getvalue())
