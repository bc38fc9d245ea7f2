"""A line that an import rejected, from quarantine, once more: read as the file was read, written as the import writes."""

import msgspec

from caudal.contract import Contract
from caudal.errors import ConditionFailed, InvalidItem
from caudal.ingest.changes import Origin, encode_event
from caudal.ingest.importer import csv, json
from caudal.ingest.items import encode_item
from caudal.ingest.store import ABSENT, KEPT, Put, Store
from caudal.ingest.transform.values import Misfit
from caudal.ingest.writer.replay import Line
from caudal.records import Item, Rejected

_origin = msgspec.json.Decoder(Origin).decode


def lines(contract: Contract, store: Store, *, overwrite: bool = False) -> Line:
    """What `replay` needs for lines of an import.

    A line of an event table becomes its event, at the line's own place. An item is written to the store, from where its
    change comes like any other: in the lake alone, it would be unknown to the shop, and out of its key's order. One that
    the store holds otherwise by now, or that was deleted since the time that the import was as of, is left alone, unless
    `overwrite` says that the file is right.
    """

    def again(record: Rejected, write: bool) -> bytes | None:
        origin = _origin(record.origin)
        item = read_item(record.raw, contract, origin)
        try:
            if not contract.key:
                return encode_event(origin.id, origin.time, encode_item(item))
            _put(item, contract, store, None if overwrite else origin.time, write)
        except InvalidItem as error:
            raise Misfit("invalid_item", str(error)) from None
        return None

    return again


def read_item(raw: bytes, contract: Contract, origin: Origin) -> Item:
    """The item of a line, by the reader of its file. Raises Misfit."""
    if origin.layout.format == "csv":
        return csv.read_line(raw, contract, origin.layout)
    return json.read_line(raw, contract)


def _put(item: Item, contract: Contract, store: Store, as_of: int | None, write: bool) -> None:
    held = store.get(contract.name, [item[name] for name in contract.key])
    if held is None and write:
        try:
            if store.write([Put(contract.name, item, expect=ABSENT, as_of=as_of)]) != [KEPT]:
                return
        except ConditionFailed:  # somebody was faster, or its delete may be forgotten
            held = store.get(contract.name, [item[name] for name in contract.key])
        if held is None:
            raise Misfit("item_deleted", "the item was deleted after the time of its import; --overwrite brings it back")
    if held is None or _sorted(held) == _sorted(item):
        return
    if as_of is not None:
        raise Misfit("item_exists", "the store holds another item of that key; --overwrite replaces it")
    if write:
        store.write([Put(contract.name, item, skip_same=True)])


def _sorted(item: Item) -> bytes:
    return encode_item(dict(sorted(item.items())))
