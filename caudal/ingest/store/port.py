"""What every store promises. `caudal.testing.StoreSuite` checks each promise."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple, Self

from caudal.errors import ConditionFailed, ContractError, InvalidItem, NotFound, UsageError
from caudal.ingest.items import add_exactly, encode_key, same_value
from caudal.records import Item

Key = Sequence[Any]
"""Values of the key columns, in their order."""

KeyReader = Callable[[Any], Any]
"""Gives a key column's value the form that all equal ones have. Raises InvalidItem for what is no such value."""


class _Expectation(Enum):
    ABSENT = "absent"
    PRESENT = "present"


KEPT = ""
"""Instead of an event id: the item was written or deleted later than `Put.as_of`."""

ABSENT = _Expectation.ABSENT
"""Expect that there is no such item; as an attribute's value: that the item lacks the attribute."""
PRESENT = _Expectation.PRESENT
"""Expect that there is such an item."""

Expect = _Expectation | Mapping[str, Any] | None
"""What the item must be for the write to happen: ABSENT, PRESENT, or attributes with the values they must have."""


@dataclass(frozen=True)
class Put:
    """Write a whole item, replacing any of the same key."""

    table: str
    item: Item
    expect: Expect = None
    skip_same: bool = False
    """Do nothing, and write no change, if the item is there already, exactly so."""
    as_of: int | None = None
    """Of an import: when the item was so, microseconds since 1970, UTC, and not in the future; the change has that time.

    Nothing is done if the item was written or deleted after that: what is live wins.
    """


@dataclass(frozen=True)
class Update:
    """Change some attributes of an item; one that is not there starts from its key alone."""

    table: str
    key: Key
    set: Item = field(default_factory=dict)
    add: Mapping[str, int | Decimal] = field(default_factory=dict)
    """Amounts to add to numbers; a missing number counts as 0."""
    remove: Sequence[str] = ()
    expect: Expect = None


@dataclass(frozen=True)
class Delete:
    """Remove an item; nothing happens, and no change is written, if there is none."""

    table: str
    key: Key
    expect: Expect = None
    reason: str = "user"


@dataclass(frozen=True)
class Modify:
    """Make an item of the one that is there, nobody else coming between."""

    table: str
    key: Key
    change: Callable[[Item | None], Item | None]
    """The item as it is, None if there is none, to the item as it shall be, None to delete it. It changes what it is given
    in nothing, may be called again, and may raise, so that none of the writes happens. The same item makes no change."""
    reason: str = "user"


Write = Put | Update | Delete | Modify


class Open(NamedTuple):
    """A bound of a query that is not itself included."""

    value: Any


class StartsWith(NamedTuple):
    """As the lower bound of a query: all text or bytes that start so; there is no upper bound then."""

    value: str | bytes


@dataclass(frozen=True)
class Page:
    """Items in the order of their keys."""

    items: list[Item]
    after: Key | None
    """Give it to the next call to read on; None when there is no more."""


class Store(ABC):
    """Tables of items. An item is a dict, schemaless but for its key.

    A write and its change (the item before and after, an event id and time) are one durable transaction: the change is
    in the stream of the table's name, in the order of writes for each key, if and only if the write took place.
    """

    @classmethod
    @abstractmethod
    def open(cls, url: str) -> Self:
        """Open the store that `url` names, creating it if it is missing."""

    @abstractmethod
    def declare(
        self, table: str, key: Sequence[str], shards: int = 4, readers: Sequence[KeyReader] = (),
        renames: Mapping[str, str] | None = None, ttl: str | None = None,
    ) -> None:
        """Create a table and its stream unless they exist.

        With `readers`, one a key column, values that are the same to the table are the same key: a time is one instant
        however it is written. `renames` is old attribute to new one: from here on this store takes and shows items under
        the new names, and stores each so when it is next written. `ttl` names the attribute that says when an item
        expires, in seconds since 1970 (UTC) or as ISO 8601 text; "" for none, None for what was declared before. From that
        moment no read shows the item, and a write finds none. Raises ContractError if the table exists with another key.
        """

    @abstractmethod
    def write(self, writes: Sequence[Write]) -> list[str | None]:
        """Do all of the writes, or none; returns each change's event id, None where nothing was to do, KEPT for what is older.

        Raises ConditionFailed if an item is not as expected, or if an item that is not there may have been deleted after
        `Put.as_of`, so long ago that it was forgotten; InvalidItem if one cannot be held, NotFound for an undeclared table.
        """

    @abstractmethod
    def get(self, table: str, key: Key) -> Item | None:
        """The item of that key, None if there is none."""

    @abstractmethod
    def query(
        self, table: str, prefix: Key = (), *, low: Any = None, high: Any = None,
        limit: int = 1000, after: Key | None = None, reverse: bool = False, index: str = "",
    ) -> Page:
        """Items whose key starts with `prefix`, the next part of the key from `low` to `high`, both included unless `Open`.

        In the order of their keys, or in reverse; at most `limit`, from past the key `after`. All are of one moment. With
        `index` the key is that index's columns, then the table's own. Raises NotFound for an index that is not there.
        """

    @abstractmethod
    def index(self, table: str, name: str, columns: Sequence[str]) -> None:
        """Keep the items of a table that have all of `columns`, as text, numbers or bytes, in their order too.

        The index is of the same transaction as the items, those written before included. Raises ContractError if there
        is one of that name with other columns.
        """

    @abstractmethod
    def drop_index(self, table: str, name: str) -> None:
        """Remove an index, if it exists."""

    @abstractmethod
    def drop(self, table: str) -> None:
        """Remove a table with its items, its indexes and its stream, if it exists. Who has it open may no longer write."""

    @abstractmethod
    def sweep(self, table: str, now: float, limit: int) -> int:
        """Delete at most `limit` items that expired by `now`, seconds since 1970, as changes with the reason ttl.

        Returns how many: 0 when there are no more. Costs what it deletes, not what the table holds.
        """

    @abstractmethod
    def count_expired(self, table: str, now: float) -> int:
        """How many items expired by `now` and are not yet swept."""

    @abstractmethod
    def forget(self, table: str, before: int, limit: int) -> int:
        """Forget at most `limit` deletes from before a time, microseconds since 1970, UTC: the oldest that are remembered.

        Returns how many: 0 when there are no more. Costs what it forgets.
        """

    @abstractmethod
    def tables(self) -> dict[str, tuple[str, ...]]:
        """Table name to its key columns."""

    @abstractmethod
    def close(self) -> None:
        """Release what was opened."""

    def put(self, table: str, item: Item, expect: Expect = None) -> str | None:
        """Write one item: see `Put`."""
        return self.write([Put(table, item, expect)])[0]

    def update(
        self, table: str, key: Key, set: Item | None = None, *,
        add: Mapping[str, int | Decimal] | None = None, remove: Sequence[str] = (), expect: Expect = None,
    ) -> str | None:
        """Change attributes of one item: see `Update`."""
        return self.write([Update(table, key, set or {}, add or {}, remove, expect)])[0]

    def delete(self, table: str, key: Key, expect: Expect = None, reason: str = "user") -> str | None:
        """Remove one item: see `Delete`."""
        return self.write([Delete(table, key, expect, reason)])[0]

    def put_batch(self, table: str, items: Iterable[Item], size: int = 1000) -> int:
        """Write many items, `size` a transaction; returns how many."""
        total = 0
        for batch in _batches(items, size):
            self.write([Put(table, item) for item in batch])
            total += len(batch)
        return total

    def scan(self, table: str, page: int = 1000) -> Iterator[Item]:
        """All items in the order of their keys, read by page."""
        after: Key | None = None
        while True:
            found = self.query(table, limit=page, after=after)
            yield from found.items
            if found.after is None:
                return
            after = found.after


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    batch: list[Item] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


@dataclass(frozen=True)
class ItemKey:
    """The key of a table's items; `readers`, one a column, give each value the one form that it has for the table."""

    table: str
    columns: Sequence[str]
    readers: Sequence[KeyReader] = ()

    def __post_init__(self) -> None:
        if isinstance(self.columns, str) or not self.columns:
            raise ContractError(f"table {self.table}: its key is {self.columns!r}",
                                hint="give the key columns as a list: [\"order_id\"]")
        object.__setattr__(self, "columns", tuple(self.columns))  # never a bare text, which is a sequence too

    def values(self, item: Item) -> tuple[Any, ...]:
        """The values of an item's key, as they are in it. Raises InvalidItem if a part is missing or NULL."""
        for name in self.columns:
            if item.get(name) is None:
                told = f"{self.table}: the item has no {name}, which is part of its key"
                raise InvalidItem(told, hint="give every key column a value")
        return tuple(item[name] for name in self.columns)

    def of(self, item: Item) -> bytes:
        """The bytes of an item's key. Raises InvalidItem."""
        return self._encode(self.values(item))

    def encode(self, key: Key) -> bytes:
        """The bytes of a key given by hand. Raises InvalidItem for a wrong number of parts."""
        if isinstance(key, str | bytes) or len(key) != len(self.columns):
            told = f"{self.table}: a key here is ({', '.join(self.columns)})"
            raise InvalidItem(told, hint=f"give {len(self.columns)} value(s), in that order")
        return self._encode(key)

    def range(self, prefix: Key, low: Any, high: Any, limit: int) -> tuple[bytes, bytes]:
        """The bytes from which, and below which, the keys of a query lie. Raises InvalidItem or UsageError."""
        bounded = low is not None or high is not None
        if isinstance(prefix, str | bytes) or len(prefix) + bounded > len(self.columns):
            raise InvalidItem(f"{self.table}: a key here is ({', '.join(self.columns)})", hint="give its first values, as a list")
        if limit < 1:
            raise UsageError(f"{self.table}: limit is {limit}", hint="use 1 or more")
        start = self._encode(prefix)
        # No part begins or goes on with 0xFF after its end, so this is above all that continues it.
        end = start + b"\xff"
        if isinstance(high, Open):
            end = self._encode([*prefix, high.value])
        elif high is not None:
            end = self._encode([*prefix, high]) + b"\xff"
        if isinstance(low, StartsWith):
            start = self._encode([*prefix, low.value])[:-1]  # without the end of the part
            return start, _successor(start)
        if isinstance(low, Open):
            return self._encode([*prefix, low.value]) + b"\xff", end
        return self._encode([*prefix, low]) if low is not None else start, end

    def of_index(self, columns: Sequence[str]) -> "ItemKey":
        """The key of an index of the table: its columns, as they are in the item, then the table's."""
        readers = [*([_as_it_is] * len(columns)), *self.readers] if self.readers else ()
        return ItemKey(self.table, (*columns, *self.columns), readers)

    def place_of(self, item: Item) -> bytes | None:
        """The bytes of an item's key; None for an item that has no such key."""
        try:
            return self.of(item)
        except InvalidItem:
            return None

    def _encode(self, values: Sequence[Any]) -> bytes:
        if self.readers:
            values = [read(value) for read, value in zip(self.readers, values, strict=False)]  # a prefix has fewer
        return encode_key(values)


def _successor(data: bytes) -> bytes:
    """The first bytes that are above all that start with `data`."""
    kept = data.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1])


def _as_it_is(value: Any) -> Any:
    return value


def made_of(table: ItemKey, write: Modify, key: bytes, item: Item | None) -> Item | None:
    """What a write makes of the item there is. Raises InvalidItem if that has another key."""
    made = write.change(item)
    if made is not None and made is not item and table.of(made) != key:
        told = f"{write.table}: the item has another key than the write"
        raise InvalidItem(told, hint="delete the item and put another: a key never changes")
    return made


def check_columns(table: str, name: str, found: Sequence[str] | None, wanted: Sequence[str]) -> None:
    """Raises ContractError for an index that is there with other columns."""
    if found is not None and tuple(found) != tuple(wanted):
        raise ContractError(f"table {table}: its index {name} is of {tuple(found)}, not of {tuple(wanted)}",
                            hint="drop it first, or give the new one another name")


def check_index(table: str, name: str, known: Iterable[str]) -> None:
    """Raises NotFound for an index that the table does not have."""
    if name not in known:
        raise NotFound(f"table {table} has no index {name}", hint="make it first")


def check_expected(table: str, expect: Expect, item: Item | None) -> None:
    """Raises ConditionFailed, naming what differs (never its value), if `item` is not as expected."""
    if expect is None:
        return
    if expect is ABSENT:
        if item is not None:
            raise ConditionFailed(f"{table}: the item is there already", hint="read it, and decide again")
        return
    if item is None:
        raise ConditionFailed(f"{table}: the item is not there", hint="it was deleted, or never written")
    if isinstance(expect, Mapping):
        for name, value in expect.items():
            if (name in item) if value is ABSENT else not (name in item and same_value(item[name], value)):
                raise ConditionFailed(f"{table}: attribute {name} is not as expected", hint="read the item, and decide again")


def too_long_ago(table: str, forgotten: int) -> ConditionFailed:
    """The error of a put as of a time from which deletes are not remembered; `forgotten` is the last such time."""
    told = f"{table}: deletes up to {_iso(forgotten)} are forgotten, and an item as of then or before may be one of them"
    return ConditionFailed(told, hint="if none of the items were deleted since, import them as of a later time")


def _iso(time: int) -> str:
    return f"{datetime.fromtimestamp(time / 1e6, UTC):%Y-%m-%dT%H:%M:%SZ}"


def updated(table: str, columns: Sequence[str], write: Update, item: Item | None) -> Item:
    """The item that an update makes of `item`."""
    made = dict(item) if item is not None else dict(zip(columns, write.key, strict=True))
    for name in (*write.set, *write.add, *write.remove):
        if name in columns:
            raise InvalidItem(f"{table}: {name} is part of the key, which never changes", hint="delete the item and put another")
    made.update(write.set)
    for name, amount in write.add.items():
        made[name] = add_exactly(name, made.get(name, 0), amount)
    for name in write.remove:
        made.pop(name, None)
    return made
