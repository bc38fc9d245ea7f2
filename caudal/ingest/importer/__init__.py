"""Files into tables, as an application would write them: CSV, JSON lines, Parquet."""

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
from caudal.ingest.store import Put, Store
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
    rejected: int = 0
    """Lines that went to quarantine."""


def import_file(
    path: Path, contract: Contract, store: Store, stream: Stream, *,
    format: str = "", locale: str = "", progress: Callable[[int, int], None] = lambda done, of: None,
    waits: Callable[[Throttled], None] = lambda error: None,
) -> Imported:
    """Write each line of a file as an item, or append it as an event; lines that do not fit go to quarantine.

    Items that the store already holds are left alone, so an import that was stopped can be run again; events, and lines
    for quarantine, are added each time. While too much waits to be delivered it waits too, and tells `waits` so now and then.
    `progress` is called with bytes read and bytes in all. Raises UsageError if the
    file cannot be read at all, or from some place on.
    """
    check_own(contract.name, contract.form)
    done = Imported()
    events = EventLog(stream, contract)
    stamp = Stamp()
    for block in _blocks(path, contract, format or _format_of(path), locale):
        for start in range(0, len(block.items), BATCH):
            batch = block.items[start : start + BATCH]
            try:
                ids = patiently(partial(_write, batch, contract, store, events), waits)
            except InvalidItem:
                batch = _storable(batch, contract, block)
                ids = patiently(partial(_write, batch, contract, store, events), waits)
            done.unchanged += ids.count(None)
            done.written += len(ids) - ids.count(None)
        if block.rejected:
            rejected = [
                (bad.raw, encode_rejected(stamp.id(), stamp.time(), bad.reason, f"{path.name}, {bad.detail}", bad.raw,
                                          JSON if bad.reason == "invalid_item" else block.layout))
                for bad in block.rejected
            ]
            patiently(partial(stream.append, contract.name, rejected), waits)
            done.rejected += len(block.rejected)
        progress(block.read, block.total)
    return done


def _write(items: list[Item], contract: Contract, store: Store, events: EventLog) -> Sequence[str | None]:
    if contract.key:
        return store.write([Put(contract.name, item, skip_same=True) for item in items])
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
