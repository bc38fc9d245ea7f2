"""Change records of another system into a table's stream, each as it came."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from caudal.contract import Contract
from caudal.errors import UsageError
from caudal.ingest.changes import Stamp, encode_rejected
from caudal.ingest.importer.documents import read_documents
from caudal.ingest.importer.envelopes import unwrapped
from caudal.ingest.importer.keys import shard_key
from caudal.ingest.importer.port import BadLine
from caudal.ingest.stream import Stream
from caudal.ingest.transform.form import UNREADABLE

_MANIFEST = "manifest-summary.json"


@dataclass
class Ingested:
    """What an ingest did, in records."""

    appended: int = 0
    rejected: int = 0
    """Records whose envelope is damaged: they go to quarantine."""


def ingest_file(
    path: Path, contract: Contract, stream: Stream, *, exported: datetime | None = None,
    progress: Callable[[int, int], None] = lambda done, of: None,
) -> Ingested:
    """Append each change record of a file, out of whatever wraps it, to the stream of a table that takes such records.

    A file that was ingested before changes nothing: its event ids are known. `exported` is the time of a full DynamoDB
    export; if its manifest is where AWS puts it, it is read there. Raises UsageError if the file cannot be read, or the
    table takes no records of another system.
    """
    if contract.form == "caudal":
        raise UsageError(f"table {contract.name}: its records are caudal's own",
                         hint=f"caudal import {contract.name} {path}, or declare it with form='dynamodb' or 'debezium'")
    done, stamp, key_of = Ingested(), Stamp(), shard_key(contract)
    exported = exported or _exported(path)
    for documents, read, total in read_documents(path):
        records = []
        for found in _records(documents, contract, exported):
            if isinstance(found, BadLine):
                done.rejected += 1
                records.append((found.raw[:64], encode_rejected(
                    stamp.id(), stamp.time(), found.reason, f"{path.name}, {found.detail}", found.raw
                )))
            else:
                done.appended += 1
                records.append((key_of(found), found + b"\n"))
        if records:
            stream.append(contract.name, records)
        progress(read, total)
    return done


def _records(documents: list[bytes], contract: Contract, exported: datetime | None) -> Iterator[bytes | BadLine]:
    for document in documents:
        yield from unwrapped(document, contract.form, exported)


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
