"""Every shopper's interactions, in memory: columns from the snapshot, and copies of those that changed since."""

import time as clock
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from caudal.learn.dataset import DAY_US, NOTHING, Codes, Floats, Times, telling

POPULARITY_HALF_LIFE_US = 7 * DAY_US


class Touches(NamedTuple):
    """Interactions in columns: what the recommender's query says of some rows."""

    users: pa.StringArray
    items: pa.StringArray
    times: Times
    """Microseconds since 1970, UTC."""
    weights: Floats

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """From the query's columns: the rows that training would read, too."""
        kept = telling(table, clock.time_ns() // 1000)
        return cls(
            kept["user"].combine_chunks(), kept["item"].combine_chunks(),
            kept["time"].cast(pa.int64()).to_numpy(), kept["weight"].to_numpy(),
        )


class Rows(NamedTuple):
    """One shopper's interactions, one a row, oldest first."""

    items: Codes
    times: Times
    weights: Floats

    def plus(self, more: "Rows") -> "Rows":
        joined = Rows(
            np.concatenate([self.items, more.items]),
            np.concatenate([self.times, more.times]),
            np.concatenate([self.weights, more.weights]),
        )
        return joined.at(np.argsort(joined.times, kind="stable"))

    def minus(self, less: "Rows") -> "Rows":
        """Without one row equal to each of `less`; a row that is not there is no matter."""
        kept = np.ones(len(self.items), bool)
        for item, time, weight in zip(*less, strict=True):
            same = np.flatnonzero(kept & (self.items == item) & (self.times == time) & (self.weights == weight))
            kept[same[:1]] = False
        return self.at(kept)

    def at(self, which: npt.NDArray[np.bool_] | npt.NDArray[np.intp] | slice) -> "Rows":
        """Some of the rows."""
        return Rows(self.items[which], self.times[which], self.weights[which])


NO_ROWS = Rows(np.empty(0, np.int32), np.empty(0, np.int64), np.empty(0, np.float64))


class Shopper(NamedTuple):
    """What is known of one shopper."""

    rows: Rows
    bought: Codes
    """Items taken and not given back, each once."""

    @classmethod
    def of(cls, rows: Rows) -> Self:
        codes, inverse = np.unique(rows.items, return_inverse=True)
        return cls(rows, codes[np.bincount(inverse, rows.weights, len(codes)) > NOTHING])


NOBODY = Shopper.of(NO_ROWS)


class Histories:
    """Interactions by shopper. One thread changes it while others read."""

    def __init__(self, touches: Touches, item_codes: Codes) -> None:
        users = touches.users.dictionary_encode()
        codes = users.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        order = np.lexsort((touches.times, codes))
        self._places: dict[str, int] = {name: place for place, name in enumerate(users.dictionary.to_pylist())}
        everybody = np.arange(len(self._places) + 1)
        self._starts = np.searchsorted(codes[order], everybody)
        self._rows = Rows(item_codes[order], touches.times[order], touches.weights[order])
        owners, self._bought = _bought(codes, item_codes, touches.weights)
        self._bought_starts = np.searchsorted(owners, everybody)
        self._changed: dict[str, Shopper] = {}

    def __len__(self) -> int:
        return len(self._places.keys() | self._changed.keys())

    def of(self, user: str) -> Shopper:
        """A shopper; nothing is known of one never seen."""
        changed = self._changed.get(user)
        if changed is not None:
            return changed
        place = self._places.get(user)
        if place is None:
            return NOBODY
        rows = self._rows.at(slice(self._starts[place], self._starts[place + 1]))
        return Shopper(rows, self._bought[self._bought_starts[place] : self._bought_starts[place + 1]])

    def change(self, added: dict[str, Rows], taken: dict[str, Rows]) -> None:
        """Add rows, then take rows back. A shopper of whom nothing is left is forgotten."""
        for user in added.keys() | taken.keys():
            rows = self.of(user).rows.plus(added.get(user, NO_ROWS)).minus(taken.get(user, NO_ROWS))
            if len(rows.items):
                self._changed[user] = Shopper.of(rows)
            else:
                self._places.pop(user, None)
                self._changed.pop(user, None)


def _bought(users: Codes, items: Codes, weights: Floats) -> tuple[npt.NDArray[np.int64], Codes]:
    """(user, item) of each pair that is a purchase on balance, in the order of users, then items."""
    width = int(items.max(initial=0)) + 1
    pairs, inverse = np.unique(users.astype(np.int64) * width + items, return_inverse=True)
    kept = pairs[np.bincount(inverse, weights, len(pairs)) > NOTHING]
    return kept // width, (kept % width).astype(np.int32)


def by_user(touches: Touches, item_codes: Codes) -> dict[str, Rows]:
    """The rows of each shopper."""
    users = touches.users.dictionary_encode()
    codes = users.indices.to_numpy(zero_copy_only=False)
    order = np.argsort(codes, kind="stable")
    names = users.dictionary.to_pylist()
    cuts = np.searchsorted(codes[order], np.arange(1, len(names)))
    columns = (np.split(column[order], cuts) for column in (item_codes, touches.times, touches.weights))
    return {name: Rows(*rows) for name, *rows in zip(names, *columns, strict=True)} if names else {}


class Popularity:
    """Weight sold of each item, halved with each 7 days: the live twin of `Interactions.popularity`.

    Each sale counts 2 to the power of its age at `_origin`, so that nothing has to be faded when time passes.
    """

    def __init__(self, origin: int) -> None:
        self._origin = origin
        self._sums = np.zeros(1024)

    def add(self, item_codes: Codes, times: Times, weights: Floats, items: int) -> None:
        """Count sales (or, with negative weights, take them back) of some of `items` items."""
        if items > len(self._sums):
            grown = np.zeros(2 * items)
            grown[: len(self._sums)] = self._sums
            self._sums = grown
        exponents = (times - self._origin) / POPULARITY_HALF_LIFE_US
        highest = float(exponents.max(initial=0.0))
        if highest > 512:  # ten years on, before floats end
            self._sums *= 2.0**-highest
            self._origin += int(highest * POPULARITY_HALF_LIFE_US)
            exponents -= highest
        np.add.at(self._sums, item_codes, weights * np.exp2(exponents))

    def at(self, now: int, items: int) -> npt.NDArray[np.float64]:
        """Popularity of the first `items` items: never negative."""
        sums = self._sums[:items]
        if len(sums) < items:
            sums = np.pad(sums, (0, items - len(sums)))
        found: npt.NDArray[np.float64] = np.maximum(sums, 0.0) * 2.0 ** ((self._origin - now) / POPULARITY_HALF_LIFE_US)
        return found
