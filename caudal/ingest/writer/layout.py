"""Where rows go: folders by partition, and names that no other writer uses."""

import hashlib
import os
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


LONGEST = 120
"""Characters of a partition value in a folder's name: the name may have 255 with its key."""


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
    texts = [_text(rows[partition.column], partition) for partition in partitions]
    joined = texts[0] if len(texts) == 1 else pc.binary_join_element_wise(*texts, "\x00")
    encoded = joined.combine_chunks().dictionary_encode() if isinstance(joined, pa.ChunkedArray) else joined.dictionary_encode()
    folders = [
        tuple(
            (partition.folder, _short(folder_value(part)))
            for partition, part in zip(partitions, value.split("\x00"), strict=True)
        )
        for value in encoded.dictionary.to_pylist()
    ]
    return encoded.indices.to_numpy(), folders


def _text(values: pa.ChunkedArray, partition: Partition) -> pa.ChunkedArray:
    if partition.unit == "identity":
        return pc.replace_substring(values.cast(pa.string()), "\x00", "\\0")
    if pa.types.is_timestamp(values.type):
        values = values.cast(pa.timestamp("us"))
    text = pc.utf8_slice_codeunits(values.cast(pa.string()), 0, _LENGTH[partition.unit])
    return pc.replace_substring(text, " ", "-")


def _short(value: str) -> str:
    """A value that file systems take as a name: what is too long is cut, and told apart by a digest."""
    if len(value) <= LONGEST:
        return value
    return f"{value[:LONGEST]}~{hashlib.blake2b(value.encode(), digest_size=8).hexdigest()}"


def new_name(epoch: int, suffix: str) -> str:
    """A name for an object: the writer's epoch, and chance."""
    return f"part-{epoch:06d}-{os.urandom(8).hex()}{suffix}"


def data_folder(database: str, table: str, folder: Folder) -> str:
    """The path of a partition's folder."""
    return "/".join(["lake", database, table, *(f"{key}={value}" for key, value in folder)])


def quarantine_folder(database: str, table: str) -> str:
    """The path of a table's quarantine; outside the table's own folder, for engines read whatever lies there."""
    return f"quarantine/{database}/{table}"
