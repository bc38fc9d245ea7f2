"""What a recommendation says: items, scores, and why."""

from typing import Literal

import msgspec

Slot = Literal["new", "again", "similar"]

SLOTS: tuple[Slot, ...] = ("new", "again", "similar")

TOLD = 5
"""Items of the history that a reason names; the rest is one sum."""


class Because(msgspec.Struct, frozen=True):
    """One item of the shopper's history, and what it adds to the score."""

    item: str
    contribution: float


class Reason(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an item is in the answer.

    because      the shopper took other items: `because`, `others` and `popularity` sum to the score
    popular      nothing in the shopper's history speaks for it, but it sells
    cold_start   as popular, for a shopper of whom nothing is known
    again        the shopper bought it before
    similar      it goes with the item asked about
    """

    kind: Literal["because", "popular", "cold_start", "again", "similar"]
    text: str
    because: tuple[Because, ...] = ()
    others: float = 0.0
    """What the rest of the history adds."""
    popularity: float = 0.0
    """What the last days' sales add."""


class Recommended(msgspec.Struct, frozen=True, omit_defaults=True):
    """One item of an answer."""

    item: str
    score: float
    reason: Reason
    title: str | None = None


class Recommendation(msgspec.Struct, frozen=True):
    """An answer: the best item first, and the version of the model that ranked them (None: there is no model yet)."""

    user: str
    slot: Slot
    recommender: str
    model: int | None
    items: list[Recommended]
