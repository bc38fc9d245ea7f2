"""Files into tables, as an application would write them: CSV, JSON lines, Parquet."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from caudal.contract import Contract
from caudal.errors import InvalidItem, Throttled, UsageError
from caudal.forms import check_own
from caudal.ingest.changes import Stamp, encode_rejected
from caudal.ingest.events import EventLog
from caudal.ingest.importer.csv import read_csv
from caudal.ingest.importer.json import read_json
from caudal.ingest.importer.parquet import read_parquet
from caudal.ingest.importer.port import JSON, BadLine, Block, as_json
from caudal.ingest.items import encode_item, encode_key
from caudal.ingest.store import KEPT, Put, Store
from caudal.ingest.stream import Stream
from caudal.ingest.stream.gate import patiently
from caudal.records import Item

__all__ = ["Imported", "import_file"]

BATCH = 1000
"""Items a transaction."""

_SUFFIXES = {".csv": "csv", ".jsonl": "json", ".ndjson": "json", ".json": "json", ".parquet": "parquet"}


@dataclass
class Imported:
    """What an import did, in records."""

    written: int = 0
    unchanged: int = 0
    """Items that were in the store already, exactly so."""
    kept: int = 0
    """Items that the store holds from later than the import is as of, or that were deleted later."""
    rejected: int = 0
    """Lines that went to quarantine."""


def import_file(
    path: Path, contract: Contract, store: Store, stream: Stream, *,
    format: str = "", locale: str = "", as_of: int | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
    waits: Callable[[Throttled], None] = lambda error: None,
) -> Imported:
    """Write each line of a file as an item, or append it as an event; lines that do not fit go to quarantine.

    Items are as of a time, microseconds since 1970, UTC; by default the file's own, when it was last changed. What was
    written or deleted after that is left alone, and the changes of the others have that time. Items that the store already
    holds are left alone too, so an import that was stopped can be run again; events, and lines for quarantine, are added
    each time. While too much waits to be delivered it waits too, and tells `waits` so now and then. `progress` is called
    with bytes read and bytes in all. Raises UsageError if the file cannot be read at all, or from some place on, or if
    `as_of` is in the future; ConditionFailed if deletes since then are not remembered.
    """
    check_own(contract.name, contract.form)
    done = Imported()
    events = EventLog(stream, contract)
    stamp = Stamp()
    as_of = _as_of(path, as_of)
    for block in _blocks(path, contract, format or _format_of(path), locale):
        for start in range(0, len(block.items), BATCH):
            batch = block.items[start : start + BATCH]
            try:
                ids = patiently(partial(_write, batch, contract, store, events, as_of), waits)
            except InvalidItem:
                batch = _storable(batch, contract, block)
                ids = patiently(partial(_write, batch, contract, store, events, as_of), waits)
            unchanged, kept = ids.count(None), ids.count(KEPT)
            done.unchanged += unchanged
            done.kept += kept
            done.written += len(ids) - unchanged - kept
        if block.rejected:
            at = as_of if contract.key else stamp.time()
            rejected = [
                (bad.raw, encode_rejected(stamp.id(), at, bad.reason, f"{path.name}, {bad.detail}", bad.raw,
                                          JSON if bad.reason == "invalid_item" else block.layout))
                for bad in block.rejected
            ]
            patiently(partial(stream.append, contract.name, rejected), waits)
            done.rejected += len(block.rejected)
        progress(block.read, block.total)
    return done


def _as_of(path: Path, wanted: int | None) -> int:
    """The time that the items of a file are from. Raises UsageError."""
    now = time.time_ns() // 1000
    if wanted is None:
        return min(path.stat().st_mtime_ns // 1000, now) if path.is_file() else now
    if wanted > now:
        raise UsageError("an import is as of a time that has been, and this one is in the future", hint="give an earlier one")
    return wanted


def _write(items: list[Item], contract: Contract, store: Store, events: EventLog, as_of: int) -> Sequence[str | None]:
    if contract.key:
        return store.write([Put(contract.name, item, skip_same=True, as_of=as_of) for item in items])
    return events.append(items)


def _storable(items: list[Item], contract: Contract, block: Block) -> list[Item]:
    """The items that the store can hold; the others go to the block's rejected lines."""
    kept = []
    for item in items:
        try:
            encode_item(item)
            encode_key([item[name] for name in contract.key])
            kept.append(item)
        except InvalidItem as error:
            block.rejected.append(BadLine("invalid_item", str(error), as_json(item)))  # JSON, whatever the file was
    return kept


def _format_of(path: Path) -> str:
    try:
        return _SUFFIXES[next(s for s in reversed(path.suffixes) if s not in (".gz", ".zst"))]
    except (KeyError, StopIteration):
        raise UsageError(f"{path}: neither .csv, .jsonl nor .parquet", hint="say --format csv, json or parquet") from None


def _blocks(path: Path, contract: Contract, format: str, locale: str) -> Iterator[Block]:
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="check the path")
    if format == "csv":
        return read_csv(path, contract, locale)
    if format == "json":
        return read_json(path, contract)
    if format == "parquet":
        return read_parquet(path, contract)
    raise UsageError(f"no format {format}", hint="use csv, json or parquet")
