"""Who took what, when and how much: what models are trained on and what they are asked about.

Weights add up within a (user, item) pair and returns are negative, so a pair whose net weight is zero or less is no
interaction. Rows stay as they came, signed, until then: netting before a split would tell the past about a return
that comes after the cut.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy import sparse

from caudal.errors import ContractError, DataError

DAY_US = 86_400_000_000
HISTORY_LIMIT = 200
"""Interactions of one shopper that a model looks at: the latest ones."""
FOREVER = 1e9
"""A half-life in days after which nothing has faded."""
NOTHING = 1e-9
"""Net weights up to here are none: 0.1 + 0.2 - 0.3 is 5.6e-17 in floats."""

Codes = npt.NDArray[np.int32]
Times = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Pairs(NamedTuple):
    """Each (user, item) whose net weight is positive, ordered by user, then item."""

    user_codes: Codes
    item_codes: Codes
    last: Times
    """When the user last took the item, microseconds since 1970, UTC."""
    weights: Floats
    """Net weight: what was taken less what was returned."""


@dataclass(frozen=True, eq=False)
class History:
    """One shopper's interactions, in a model's item codes: oldest first, at most the last 200.

    Rows may come in any order and repeat an item; negative weights are returns.
    Raises ContractError if the arrays differ in length or hold a weight that is not finite.
    """

    item_codes: Codes
    times: Times
    """Microseconds since 1970, UTC: shape (n,)."""
    weights: Floats

    def __post_init__(self) -> None:
        if not len(self.item_codes) == len(self.times) == len(self.weights):
            raise ContractError("a history needs as many times and weights as items")
        if not np.isfinite(self.weights).all():
            raise ContractError("a history's weights are finite numbers")
        order = np.lexsort((self.weights, self.item_codes, self.times))[-HISTORY_LIMIT:]
        object.__setattr__(self, "item_codes", np.asarray(self.item_codes, np.int32)[order])
        object.__setattr__(self, "times", np.asarray(self.times, np.int64)[order])
        object.__setattr__(self, "weights", np.asarray(self.weights, np.float64)[order])

    def __len__(self) -> int:
        return len(self.item_codes)

    @classmethod
    def empty(cls) -> Self:
        """Of a shopper never seen."""
        return cls(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))

    @cached_property
    def net(self) -> tuple[Codes, Times, Floats]:
        """(item codes, last time taken, net weight), each item once; items given back are left out."""
        codes, inverse = np.unique(self.item_codes, return_inverse=True)
        weights, last = _net(inverse, self.times, self.weights, len(codes))
        kept = weights > NOTHING
        return codes[kept], last[kept], weights[kept]

    def strengths(self, now_us: int, half_life_days: float) -> tuple[Codes, Floats]:
        """(item codes, strength in 0..1), each item once: as `Interactions.matrix`, and by the same code."""
        codes, last, weights = self.net
        return codes, strength(weights, last, now_us, half_life_days)


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions in columns, ordered by time, user, item and weight: shape (n,) each."""

    users: pa.StringArray
    """Sorted, each once; `user_codes` are places in it."""
    items: pa.StringArray
    """Sorted, each once; `item_codes` are places in it."""
    user_codes: Codes
    item_codes: Codes
    times: Times
    """Microseconds since 1970, UTC."""
    weights: Floats
    """Signed: a return or a cancellation is negative."""

    def __len__(self) -> int:
        return len(self.times)

    @classmethod
    def from_arrow(cls, table: pa.Table) -> Self:
        """From columns user, item (text), time (timestamp, UTC), weight (number; 1.0 if absent), event_id (optional).

        The order of the rows does not matter. Rows that repeat an event id for the same user and item count once.

        Raises ContractError for a missing column or one of another type; DataError for an empty table, a NULL in a
        column, or a weight that is not finite.
        """
        if not table.num_rows:
            raise DataError("empty: there are no interactions", hint="check the query and its period: it returned no row")
        table = typed(table)
        _check_values(table)
        users, user_codes = _encode(table["user"])
        items, item_codes = _encode(table["item"])
        times, weights = table["time"].cast(pa.int64()).to_numpy(), table["weight"].to_numpy()
        order = np.lexsort((weights, item_codes, user_codes, times))
        if "event_id" in table.column_names:
            order = order[_first_of_each(item_codes[order], user_codes[order], _event_codes(table["event_id"])[order])]
        return cls(users, items, user_codes[order], item_codes[order], times[order], weights[order])

    def rows(self, kept: npt.NDArray[np.bool_]) -> Self:
        """The rows that `kept` (bool, shape (n,)) marks, in the same codes."""
        return replace(
            self, user_codes=self.user_codes[kept], item_codes=self.item_codes[kept],
            times=self.times[kept], weights=self.weights[kept],
        )

    def where(self, kept: npt.NDArray[np.bool_]) -> Self:
        """The rows that `kept` (bool, shape (n,)) marks; users and items that no longer occur are forgotten."""
        users, user_codes = np.unique(self.user_codes[kept], return_inverse=True)
        items, item_codes = np.unique(self.item_codes[kept], return_inverse=True)
        return type(self)(
            self.users.take(pa.array(users)), self.items.take(pa.array(items)),
            user_codes.astype(np.int32), item_codes.astype(np.int32), self.times[kept], self.weights[kept],
        )

    def split(self, cut_us: int) -> tuple[Self, Self]:
        """(before the cut, from the cut on), by global time: nothing of the future is in the first.

        A split by user would put one shopper's December into another's training. Either part may be empty.
        """
        past = self.times < cut_us
        return self.where(past), self.where(~past)

    def until(self, now_us: int) -> Self:
        """The rows up to `now_us`, which is included."""
        return self if not len(self) or self.times[-1] <= now_us else self.where(self.times <= now_us)

    def pairs(self) -> Pairs:
        """Each (user, item) that is an interaction on balance."""
        keys = self.user_codes.astype(np.int64) * max(1, len(self.items)) + self.item_codes
        unique, inverse = np.unique(keys, return_inverse=True)
        weights, last = _net(inverse, self.times, self.weights, len(unique))
        kept = weights > NOTHING
        users, items = np.divmod(unique[kept], max(1, len(self.items)))
        return Pairs(users.astype(np.int32), items.astype(np.int32), last[kept], weights[kept])

    def matrix(self, now_us: int, half_life_days: float) -> sparse.csr_matrix:
        """Users x items, float32 in 0..1: min(1, net weight), halved with each half-life since it was last taken."""
        pairs = self.pairs()
        data = strength(pairs.weights, pairs.last, now_us, half_life_days).astype(np.float32)
        shape = (len(self.users), len(self.items))
        return sparse.csr_matrix((data, (pairs.user_codes, pairs.item_codes)), shape=shape)

    def popularity(self, now_us: int, half_life_days: float = 7.0) -> Floats:
        """Weight of each item, each row halved with each half-life since it happened: shape (items,), never negative.

        The live counter of serving holds the same sum.
        """
        decayed = self.weights * decay(self.times, now_us, half_life_days)
        return np.maximum(np.bincount(self.item_codes, decayed, len(self.items)), 0.0)

    def restrict(self, min_buyers: int, max_items: int) -> Self:
        """The rows of items with at least `min_buyers` users, at most `max_items`, those of most users (then by name).

        If no item has so many buyers, the most that any has will do: a new shop gets a model, too.
        """
        buyers = np.bincount(self.pairs().item_codes, minlength=len(self.items))
        enough = max(1, min(min_buyers, int(buyers.max(initial=0))))
        ranked = np.lexsort((np.arange(len(buyers)), -buyers))[:max_items]
        kept = np.zeros(len(buyers), bool)
        kept[ranked] = buyers[ranked] >= enough
        return self.where(kept[self.item_codes])

    def histories(self, items: pa.StringArray) -> Iterator[tuple[int, History]]:
        """(user code, history in the codes of `items`) of each user who has one; other items are left out."""
        place = codes_in(self.items, items)
        codes = place[self.item_codes]
        known = np.flatnonzero(codes >= 0)
        order = known[np.argsort(self.user_codes[known], kind="stable")]
        users, starts = np.unique(self.user_codes[order], return_index=True)
        for user, rows in zip(users, np.split(order, starts[1:]), strict=True):
            yield int(user), History(codes[rows], self.times[rows], self.weights[rows])


def codes_in(names: pa.StringArray, items: pa.StringArray) -> Codes:
    """Place of each name in `items`, -1 for one that is not there: shape (names,)."""
    codes: Codes = pc.fill_null(pc.index_in(names, value_set=items), -1).to_numpy(zero_copy_only=False)
    return codes


def decay(times: Times, now_us: int, half_life_days: float) -> Floats:
    """0.5 to the power of age in half-lives, in 0..1; what lies in the future counts as now."""
    age: Floats = np.maximum(now_us - times, 0) / (half_life_days * DAY_US)
    faded: Floats = np.exp2(-age)
    return faded


def strength(weights: Floats, last: Times, now_us: int, half_life_days: float) -> Floats:
    """How much an interaction says today, in 0..1: the one function for training and serving."""
    return np.minimum(weights, 1.0) * decay(last, now_us, half_life_days)


def check_orientation(matrix: sparse.csr_matrix, users: int, items: int) -> None:
    """Raise ContractError unless the matrix is users x items: a transposed one would train without a complaint."""
    if matrix.shape != (users, items):
        raise ContractError(
            f"matrix_orientation: the matrix is {matrix.shape[0]} x {matrix.shape[1]}, not {users} x {items}",
            hint="rows are users and columns are items; transpose it",
        )


def _net(group: npt.NDArray[np.intp], times: Times, weights: Floats, groups: int) -> tuple[Floats, Times]:
    """(net weight, last time something was taken) of each group of rows."""
    last = np.full(groups, np.iinfo(np.int64).min, np.int64)
    taken = weights > 0
    np.maximum.at(last, group[taken], times[taken])
    net: Floats = np.bincount(group, weights, groups).astype(np.float64)
    return net, last


_IS_NAME = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view, pa.types.is_integer)
_IS_NUMBER = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)


def typed(table: pa.Table) -> pa.Table:
    """What a recommender's query says: user and item as text, time in microseconds, weight as float64, event_id.

    Raises ContractError for a missing column or one of another type.
    """
    table = table.rename_columns([name.lower() for name in table.column_names])
    missing = [name for name in ("user", "item", "time") if name not in table.column_names]
    if missing:
        raise ContractError(
            f"interactions need a column {' and a column '.join(missing)}",
            hint="name them in the query: SELECT customer_id AS user, product_id AS item, ordered_at AS time",
        )
    time = table["time"]
    if not pa.types.is_timestamp(time.type):  # one without a zone is UTC
        raise ContractError(f"time is {time.type}, not a timestamp", hint="CAST(... AS timestamp)")
    columns = {"user": _text(table["user"]), "item": _text(table["item"])}
    columns["time"] = time.cast(pa.timestamp("us", time.type.tz), safe=False).cast(pa.int64()).cast(pa.timestamp("us"))
    weight = table["weight"] if "weight" in table.column_names else pa.chunked_array([pa.repeat(1.0, len(table))])
    if not any(fits(weight.type) for fits in _IS_NUMBER):
        raise ContractError(f"weight is {weight.type}, not a number", hint="CAST(... AS double)")
    columns["weight"] = weight.cast(pa.float64())
    if "event_id" in table.column_names:
        columns["event_id"] = table["event_id"]
    return pa.table(columns)


def telling(table: pa.Table, now_us: int) -> pa.Table:
    """The rows of a query that say something, as `typed`; the same for training and serving.

    Left out are those without a user, an item, a time or a finite weight, and those more than a day after `now_us`:
    clocks and zones err, but what lies further ahead has not happened. Raises ContractError as `typed` does.
    """
    table = typed(table)
    kept = pc.and_(pc.is_finite(table["weight"]), pc.less_equal(table["time"].cast(pa.int64()), now_us + DAY_US))
    for name in ("user", "item"):
        kept = pc.and_(kept, table[name].is_valid())
    return table.filter(kept)  # NULL is not true


def _text(names: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = names.type.value_type if pa.types.is_dictionary(names.type) else names.type
    if not any(fits(kind) for fits in _IS_NAME):
        raise ContractError(f"users and items are text, not {kind}", hint="CAST(... AS varchar) in the query")
    return names.cast(pa.string())


def _check_values(table: pa.Table) -> None:
    nulls = {name: table[name].null_count for name in ("user", "item", "time", "weight")}
    if any(nulls.values()):
        told = ", ".join(f"{count} of {table.num_rows} rows have no {name}" for name, count in nulls.items() if count)
        raise DataError(f"NULL in interactions: {told}", hint="leave them out in the query: WHERE ... IS NOT NULL")
    bad = int((~np.isfinite(table["weight"].to_numpy())).sum())
    if bad:
        raise DataError(
            f"{bad} of {table.num_rows} weights are NaN or infinite", hint="mend or leave them out in the query"
        )


def _encode(column: pa.ChunkedArray) -> tuple[pa.StringArray, Codes]:
    text = column.combine_chunks()
    names = pc.unique(text)
    names = names.take(pc.sort_indices(names))
    return names, codes_in(text, names)


def _first_of_each(*keys: npt.NDArray[np.integer[Any]]) -> npt.NDArray[np.bool_]:
    """Marks the first row of each combination of keys."""
    order = np.lexsort(keys)
    first = np.ones(len(order), bool)
    if len(order):
        first[order[1:]] = np.any([key[order[1:]] != key[order[:-1]] for key in keys], axis=0)
    return first


def _event_codes(column: pa.ChunkedArray) -> Times:
    """One number an event; a row without an id is an event of its own."""
    events = column.combine_chunks().dictionary_encode()
    codes: Times = pc.fill_null(events.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    unknown = np.flatnonzero(codes < 0)
    codes[unknown] = len(events.dictionary) + unknown
    return codes
