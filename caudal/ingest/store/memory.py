"""The store as dicts: the model that other stores are compared with."""

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, ClassVar, NamedTuple, Self

from caudal.errors import ContractError, NotFound
from caudal.ingest.changes import Stamp, encode_delete, encode_put
from caudal.ingest.items import decode_item, encode_item
from caudal.ingest.store.expiry import unless_expired
from caudal.ingest.store.port import (
    KEPT,
    Delete,
    ItemKey,
    Key,
    KeyReader,
    Modify,
    Page,
    Put,
    Store,
    Update,
    Write,
    check_columns,
    check_expected,
    check_index,
    made_of,
    too_long_ago,
    updated,
)
from caudal.ingest.store.renames import read_item, renamed_item, renamed_write
from caudal.ingest.stream.memory import MemoryStream
from caudal.ingest.stream.port import Gate
from caudal.records import Item


class _Table:
    def __init__(self, key: ItemKey) -> None:
        self.key = key
        self.ttl = ""
        self.order: list[bytes] = []
        self.items: dict[bytes, bytes] = {}
        self.marks: dict[bytes, int] = {}
        """When each item was last written."""
        self.gone: dict[bytes, int] = {}
        """When items were deleted, in the order in which they were."""
        self.forgotten = 0
        """Deletes up to this time may not be known any more."""
        self.renames: Mapping[str, str] = {}
        self.indexes: dict[str, tuple[ItemKey, list[tuple[bytes, bytes]]]] = {}  # places in order, each with its item's key

    def seen(self, data: bytes | None, now: float | None = None) -> Item | None:
        """What a read shows of an item's bytes."""
        return unless_expired(read_item(data, self.renames), self.ttl, now)


    def is_later(self, mark: int | None, gone: int | None, as_of: int) -> bool:
        """Whether an item that was last written and deleted at these times was so after another. Raises ConditionFailed."""
        if mark is None and gone is None and as_of <= self.forgotten:
            raise too_long_ago(self.key.table, self.forgotten)
        return max(mark or 0, gone or 0) > as_of


class _Staged(NamedTuple):
    """An item as a transaction leaves it."""

    item: bytes | None
    mark: int | None
    deleted: int | None = None
    """When the transaction last deleted it."""


class MemoryStore(Store):
    """A store that its process forgets when it ends; its changes are in `memory:` streams of the same name."""

    _shared: ClassVar[dict[str, "MemoryStore"]] = {}

    def __init__(self, stream: MemoryStream | None = None) -> None:
        self._stream = stream or MemoryStream()
        self._tables: dict[str, _Table] = {}
        self._gate: Gate | None = None
        self._lock = threading.Lock()
        self._stamp = Stamp()

    @classmethod
    def open(cls, url: str) -> Self:
        name = url.partition(":")[2]
        if not name.strip("/"):
            return cls()
        return cls._shared.setdefault(name, cls(MemoryStream.open(url)))  # type: ignore[return-value]

    @property
    def stream(self) -> MemoryStream:
        """Where its changes are."""
        return self._stream

    def declare(
        self, table: str, key: Sequence[str], shards: int = 4, readers: Sequence[KeyReader] = (),
        renames: Mapping[str, str] | None = None, ttl: str | None = None,
    ) -> None:
        wanted = ItemKey(table, key, readers)
        with self._lock:
            found = self._tables.get(table) or _Table(wanted)
            if found.key.columns != wanted.columns:
                told = f"table {table}: its items are keyed by {found.key.columns}, the contract says {wanted.columns}"
                raise ContractError(told, hint="a key never changes: declare a new table and copy the items")
            found.key, found.renames = wanted, renames or {}
            found.ttl = found.ttl if ttl is None else ttl
            self._stream.create(table, shards)
            self._tables[table] = found

    def write(self, writes: Sequence[Write]) -> list[str | None]:
        if self._gate is not None:
            self._gate({write.table for write in writes})
        with self._lock:
            staged: dict[tuple[str, bytes], _Staged] = {}
            changes: list[tuple[str, bytes, bytes]] = []
            ids = [self._stage(write, staged, changes) for write in writes]
            for (name, key), new in staged.items():
                self._keep(self._find(name), key, new)
            tables = {name for name, _, _ in changes}
            self._stream.add({
                table: [(key, change) for name, key, change in changes if name == table] for table in tables
            })
        return ids

    def _stage(
        self, write: Write, staged: dict[tuple[str, bytes], _Staged], changes: list[tuple[str, bytes, bytes]]
    ) -> str | None:
        table = self._find(write.table)
        write = renamed_write(write, table.renames)
        key = table.key.of(write.item) if isinstance(write, Put) else table.key.encode(write.key)
        before = staged.get((write.table, key)) or _Staged(table.items.get(key), table.marks.get(key))
        old, mark = before.item, before.mark
        item = table.seen(old)
        if not isinstance(write, Modify):
            check_expected(write.table, write.expect, item)
        new: bytes | None = None
        if isinstance(write, Put):
            new = encode_item(write.item)
        elif isinstance(write, Update):
            new = encode_item(updated(write.table, table.key.columns, write, item))
        elif isinstance(write, Modify):
            made = made_of(table.key, write, key, item)
            new = old if made is item else encode_item(made) if made is not None else None
            if new == old:
                return None
        as_of = write.as_of if isinstance(write, Put) else None
        if (new is None and old is None) or (isinstance(write, Put) and write.skip_same and new == old):
            if as_of is not None:
                staged[write.table, key] = before._replace(mark=max(mark or 0, as_of))
            return None
        if as_of is not None and table.is_later(mark, before.deleted or table.gone.get(key), as_of):
            return KEPT
        event_id, at = self._stamp.id(), self._stamp.time() if as_of is None else as_of
        written = max(at, mark or 0)
        if new is not None:
            staged[write.table, key] = before._replace(item=new, mark=written)
            changes.append((write.table, key, encode_put(event_id, at, new, old)))
        elif isinstance(write, Delete | Modify) and old is not None:
            staged[write.table, key] = _Staged(None, None, written)
            changes.append((write.table, key, encode_delete(event_id, at, old, write.reason)))
        return event_id

    @staticmethod
    def _keep(table: _Table, key: bytes, new: _Staged) -> None:
        for columns, places in table.indexes.values():
            old, made = (read_item(data, table.renames) for data in (table.items.get(key), new.item))
            if old is not None and (place := columns.place_of(old)) is not None:
                places.remove((place, key))
            if made is not None and (place := columns.place_of(made)) is not None:
                insort(places, (place, key))
        if new.deleted is not None:
            table.gone.pop(key, None)
            table.gone[key] = new.deleted
        if new.item is None:
            table.marks.pop(key, None)
            if table.items.pop(key, None) is not None:
                table.order.remove(key)
            return
        if key not in table.items:
            insort(table.order, key)
        table.items[key] = new.item
        if new.mark is not None:
            table.marks[key] = new.mark

    def get(self, table: str, key: Key) -> Item | None:
        found = self._find(table)  # one look-up in a dict needs no lock
        data = found.items.get(found.key.encode(key))
        return found.seen(data)

    def query(
        self, table: str, prefix: Key = (), *, low: Any = None, high: Any = None,
        limit: int = 1000, after: Key | None = None, reverse: bool = False, index: str = "",
    ) -> Page:
        found = self._find(table)
        if index:
            check_index(table, index, found.indexes)
        columns = found.indexes[index][0] if index else found.key
        start, end = columns.range(prefix, low, high, limit)
        place = columns.encode(after) if after is not None else None
        with self._lock:
            order = [place for place, _ in found.indexes[index][1]] if index else found.order
            first, last = bisect_left(order, start), bisect_left(order, end)
            if place is not None and reverse:
                last = min(last, bisect_left(order, place))
            elif place is not None:
                first = max(first, bisect_right(order, place))
            keys = [key for _, key in found.indexes[index][1][first:last]] if index else order[first:last]
            if reverse:
                keys.reverse()
            every = (renamed_item(decode_item(found.items[key]), found.renames) for key in keys)
            items = list(islice((item for item in every if unless_expired(item, found.ttl) is not None), limit + 1))
        return Page(items[:limit], columns.values(items[limit - 1]) if len(items) > limit else None)

    def index(self, table: str, name: str, columns: Sequence[str]) -> None:
        found = self._find(table)
        with self._lock:
            if name in found.indexes:
                check_columns(table, name, found.indexes[name][0].columns[: -len(found.key.columns)], columns)
                return
            wanted = found.key.of_index(columns)
            items = ((key, read_item(data, found.renames)) for key, data in found.items.items())
            placed = ((wanted.place_of(item), key) for key, item in items if item is not None)
            found.indexes[name] = wanted, sorted((place, key) for place, key in placed if place is not None)

    def drop_index(self, table: str, name: str) -> None:
        self._find(table).indexes.pop(name, None)

    def drop(self, table: str) -> None:
        with self._lock:
            self._tables.pop(table, None)
            self._stream.drop(table)

    def sweep(self, table: str, now: float, limit: int) -> int:
        if self._gate is not None:
            self._gate((table,))
        with self._lock:
            found = self._find(table)
            keys = list(islice(self._expired(table, now), limit))
            time = self._stamp.time()
            changes = [(key, encode_delete(self._stamp.id(), time, found.items[key], "ttl")) for key in keys]
            for key in keys:
                self._keep(found, key, _Staged(None, None, max(time, found.marks.get(key, 0))))
            if changes:
                self._stream.add({table: changes})
        return len(keys)

    def forget(self, table: str, before: int, limit: int) -> int:
        with self._lock:
            found = self._find(table)
            gone = {key: time for key, time in islice(found.gone.items(), limit) if time < before}
            for key in gone:
                del found.gone[key]
            found.forgotten = max(found.forgotten, *gone.values(), 0)
        return len(gone)

    def count_expired(self, table: str, now: float) -> int:
        with self._lock:
            return sum(1 for _ in self._expired(table, now))

    def _expired(self, table: str, now: float) -> Iterator[bytes]:
        found = self._find(table)
        return (key for key, data in list(found.items.items()) if found.seen(data, now) is None)

    def tables(self) -> dict[str, tuple[str, ...]]:
        return {name: tuple(table.key.columns) for name, table in sorted(self._tables.items())}

    def admit_by(self, gate: Gate) -> None:
        """Ask before each write: see `SupportsGate`."""
        self._gate = gate

    def close(self) -> None:
        pass

    def _find(self, name: str) -> _Table:
        if name not in self._tables:
            raise NotFound(f"no table {name}", hint="declare it in the pipeline, with a key")
        return self._tables[name]
