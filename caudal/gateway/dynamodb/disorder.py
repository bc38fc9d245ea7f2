"""Changes on their way to Kinesis, out of order and more than once, as AWS warns that they may come there.

For whoever wants to test what reads them. What becomes of them is of the seed alone, and of which changes go together.
"""

import random
from collections.abc import Sequence
from operator import itemgetter
from typing import TypeVar

WINDOW = 16
"""How many places a change is late at most, and its repetition after it."""
SHARE = 0.25
"""Of changes that are late, and of those that are told again."""
GATHER_SECONDS = 0.1
"""How long changes are waited for, so that there are some to overtake."""

T = TypeVar("T")


def disordered(records: Sequence[T], before: Sequence[T], seed: str) -> list[T]:
    """Records, some later than their place and some again; and some again of those that went before them."""
    chance = random.Random(seed)

    def sometimes() -> int:
        return chance.randint(1, WINDOW) if chance.random() < SHARE else 0

    placed: list[tuple[int, T]] = [(places, record) for record in before if (places := sometimes())]
    for n, record in enumerate(records):
        place = n + sometimes()
        placed.append((place, record))
        if places := sometimes():
            placed.append((place + places, record))
    return [record for _, record in sorted(placed, key=itemgetter(0))]
