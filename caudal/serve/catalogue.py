"""What is for sale: items with a code each, and whether they may be recommended."""

from collections.abc import Iterable
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from caudal.errors import ContractError
from caudal.learn.dataset import Codes

Flags = npt.NDArray[np.bool_]


class Listing(NamedTuple):
    """What the recommender's items query says of some rows."""

    items: list[str]
    available: Flags
    repeatable: Flags
    titles: list[str | None]

    @classmethod
    def of(cls, table: pa.Table) -> Self:
        """From the query's columns: NULL is not available, not repeatable; a column left out is always true.

        Raises ContractError for a column of another type.
        """
        table = table.rename_columns([name.lower() for name in table.column_names])
        table = table.filter(table["item"].is_valid())
        items = table["item"].cast(pa.string()).to_pylist()
        titles = table["title"].cast(pa.string()).to_pylist() if "title" in table.column_names else [None] * len(items)
        return cls(items, _flags(table, "available"), _flags(table, "repeatable"), titles)


def _flags(table: pa.Table, name: str) -> Flags:
    if name not in table.column_names:
        return np.ones(len(table), bool)
    if not pa.types.is_boolean(table[name].type):
        raise ContractError(f"{name} is {table[name].type}, not true or false", hint="CAST(... AS boolean) in the items query")
    flags: Flags = pc.fill_null(table[name], False).to_numpy()
    return flags


class Catalogue:
    """Items by code.

    Codes only grow, and arrays are replaced before a code beyond them exists: readers need no lock.
    """

    def __init__(self, *, unlisted: bool) -> None:
        self._unlisted = unlisted
        """Whether an item of which no listing tells is for sale: true if there is no items query."""
        self.names: list[str] = []
        self.titles: list[str | None] = []
        self._codes: dict[str, int] = {}
        self._available = np.full(1024, unlisted)
        self._repeatable = np.full(1024, unlisted)

    def __len__(self) -> int:
        return len(self.names)

    def find(self, item: str) -> int | None:
        """The item's code; None for an item never seen."""
        return self._codes.get(item)

    def codes(self, items: Iterable[str]) -> Codes:
        """The code of each item; new items get new codes."""
        return np.fromiter((self._code(item) for item in items), np.int32)

    def codes_of(self, items: pa.StringArray) -> Codes:
        """As `codes`, for many rows of few items."""
        encoded = items.dictionary_encode()
        codes: Codes = self.codes(encoded.dictionary.to_pylist())[encoded.indices.to_numpy(zero_copy_only=False)]
        return codes

    def _code(self, item: str) -> int:
        code = self._codes.get(item)
        if code is None:
            code = len(self.names)
            if code == len(self._available):
                more = np.full(code, self._unlisted)
                self._available = np.concatenate([self._available, more])
                self._repeatable = np.concatenate([self._repeatable, more])
            self.titles.append(None)
            self.names.append(item)
            self._codes[item] = code
        return code

    def available(self, items: int) -> Flags:
        """Whether each of the first `items` items may be recommended: a view."""
        return self._available[:items]

    def repeatable(self, items: int) -> Flags:
        """Whether each of the first `items` items may be recommended to who has bought it: a view."""
        return self._repeatable[:items]

    def list(self, listing: Listing) -> None:
        """Take over what a listing says."""
        for item, available, repeatable, title in zip(*listing, strict=True):
            code = self._code(item)
            self._repeatable[code] = repeatable
            self.titles[code] = title
            self._available[code] = available

    def withdraw(self, items: Iterable[str]) -> None:
        """These items are gone: never recommended again unless they are listed again."""
        for item in items:
            self._available[self._code(item)] = False

    def keep_only(self, items: Iterable[str]) -> None:
        """Withdraw every item but these."""
        kept = set(items)
        self.withdraw(name for name in list(self.names) if name not in kept)
