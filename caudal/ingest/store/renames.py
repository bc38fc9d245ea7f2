"""Attributes that a contract renamed: items and writes under the new names, whichever they came with."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from caudal.ingest.items import decode_item
from caudal.ingest.store.port import Delete, Expect, Modify, Put, Write
from caudal.records import Item

Renames = Mapping[str, str]
"""Old name to new one."""


def renamed_item(item: Item, renames: Renames) -> Item:
    """The item under new names: what has the new name already counts, else the first old name that has a value."""
    if renames.keys().isdisjoint(item):
        return item
    made = {name: value for name, value in item.items() if name not in renames}
    for old, new in renames.items():
        if old in item and new not in item and made.get(new) is None:
            made[new] = item[old]
    return made


def read_item(data: bytes | None, renames: Renames) -> Item | None:
    """A stored item under new names; None of nothing."""
    return renamed_item(decode_item(data), renames) if data is not None else None


def renamed_write(write: Write, renames: Renames) -> Write:
    """The write under new names."""
    if not renames or isinstance(write, Modify):  # which is given the item under its new names
        return write
    expect = _expected(write.expect, renames)
    if isinstance(write, Put):
        return replace(write, item=renamed_item(write.item, renames), expect=expect)
    if isinstance(write, Delete):
        return replace(write, expect=expect)
    return replace(
        write, expect=expect, set=renamed_item(write.set, renames), add=renamed_item(dict(write.add), renames),
        remove=[renames.get(name, name) for name in write.remove],
    )


def _expected(expect: Expect, renames: Renames) -> Any:
    return renamed_item(dict(expect), renames) if isinstance(expect, Mapping) else expect
