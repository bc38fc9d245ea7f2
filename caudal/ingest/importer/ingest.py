"""Change records of another system into a table's stream, each as it came."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import msgspec

from caudal.contract import Contract
from caudal.errors import Throttled, UsageError
from caudal.ingest.importer.documents import read_documents
from caudal.ingest.importer.envelopes import unwrapped
from caudal.ingest.importer.keys import shard_key
from caudal.ingest.stream import Stream
from caudal.ingest.stream.gate import patiently
from caudal.ingest.transform.form import UNREADABLE

_MANIFEST = "manifest-summary.json"


def ingest_file(
    path: Path, contract: Contract, stream: Stream, *, exported: datetime | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None, waits: Callable[[Throttled], None] = lambda error: None,
) -> int:
    """Append each change record of a file, out of whatever wraps it, to the stream of a table that takes such records.

    Returns how many. What is damaged is appended as it is: the transform says what is wrong, and quarantines it. A file
    that was ingested before changes nothing, if its records have event ids. While too much waits to be delivered it waits
    too, and tells `waits` so now and then. `exported` is the time of a full DynamoDB
    export; if its manifest is where AWS puts it, it is read there. Raises UsageError if the file cannot be read, or the
    table takes no records of another system.
    """
    if contract.form == "caudal":
        raise UsageError(f"table {contract.name}: its records are caudal's own",
                         hint=f"caudal import {contract.name} {path}, or declare it with form='dynamodb' or 'debezium'")
    key_of, exported, appended = shard_key(contract), exported or _exported(path), 0
    for documents, read, total in read_documents(path):
        records = [found for document in documents for found in unwrapped(document, contract.form, exported)]
        if records:
            patiently(partial(stream.append, contract.name, [(key_of(record), record) for record in records]), waits)
        appended += len(records)
        progress(read, total)
    return appended


def _exported(path: Path) -> datetime | None:
    """The time of the export that a file in `…/data` belongs to, by its manifest."""
    manifest = path.parent.parent / _MANIFEST
    try:
        found = msgspec.json.decode(manifest.read_bytes(), type=_Manifest).exportTime
    except (OSError, *UNREADABLE):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=UTC)


class _Manifest(msgspec.Struct):
    exportTime: datetime
