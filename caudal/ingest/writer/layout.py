"""Where rows go: folders by partition, and names that no other writer uses."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Contract, Partition
from caudal.lake.files import folder_value

Folder = tuple[tuple[str, str], ...]
"""Folder keys and values, in order: (("sold_at_day", "2026-01-02"),)."""

_LENGTH = {"year": 4, "month": 7, "day": 10, "hour": 13}
"""Characters of `2026-01-02T03` that name a unit."""


def split(rows: pa.Table, contract: Contract) -> Iterator[tuple[Folder, pa.Table]]:
    """The rows of each partition, in their order."""
    if not contract.partition or not len(rows):
        yield (), rows
        return
    codes, values = _codes(rows, contract.partition)
    if len(values) == 1:
        yield values[0], rows
        return
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(len(values) + 1))
    for value, start, stop in zip(values, starts, starts[1:], strict=False):
        yield value, rows.take(pa.array(order[start:stop]))


def _codes(rows: pa.Table, partitions: tuple[Partition, ...]) -> tuple[np.ndarray, list[Folder]]:
    """A code a row, and the folder of each code."""
    codes = np.zeros(len(rows), np.int64)
    folders: list[Folder] = [()]
    for partition in partitions:
        encoded = _text(rows[partition.column], partition).combine_chunks().dictionary_encode()
        names = [folder_value(value) for value in encoded.dictionary.to_pylist()]
        used, codes = np.unique(codes * len(names) + encoded.indices.to_numpy(), return_inverse=True)
        folders = [(*folders[code // len(names)], (partition.folder, names[code % len(names)])) for code in used.tolist()]
    return codes, folders


def _text(values: pa.ChunkedArray, partition: Partition) -> pa.ChunkedArray:
    if partition.unit == "identity":
        return values.cast(pa.string())
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us"))
    text = pc.utf8_slice_codeunits(values.cast(pa.string()), 0, _LENGTH[partition.unit])
    return pc.replace_substring(text, " ", "-")


def data_folder(database: str, table: str, folder: Folder) -> str:
    """The path of a partition's folder."""
    return "/".join(["lake", database, table, *(f"{key}={value}" for key, value in folder)])


def quarantine_folder(database: str, table: str) -> str:
    """The path of a table's quarantine; outside the table's own folder, for engines read whatever lies there."""
    return f"quarantine/{database}/{table}"
