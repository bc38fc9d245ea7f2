"""Lists in pages, as AWS's services answer with them."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

Entry = TypeVar("Entry")


def page(entries: Sequence[Entry], token: str, size: int) -> tuple[list[Entry], str | None]:
    """At most `size` entries from where `token` says, and the next page's token: for lists that are in no order of names."""
    start = int(token) if token.isdecimal() else 0
    return list(entries[start : start + size]), str(start + size) if len(entries) > start + size else None


def page_after(entries: Iterable[tuple[str, Entry]], last: str, size: int) -> tuple[list[Entry], str | None]:
    """At most `size` entries, sorted by their names, past the one named `last`; and the name that the next page is past.

    What is made or removed between two pages shifts nothing.
    """
    rest = sorted(((name, entry) for name, entry in entries if name > last), key=lambda pair: pair[0])
    return [entry for _, entry in rest[:size]], rest[size - 1][0] if len(rest) > size else None
