"""How much may go wrong before somebody has to look."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorBudget:
    """How many records may not fit before a delivery is paused, for somebody to look, instead of filling its quarantine.

    Args:
        fraction: of the last records; 0.01 is one in a hundred.
        of_last: how many of the last records count; of a larger batch, all of it.
        at_least: records that must not fit, however large their share is.
    """

    fraction: float
    of_last: int = 10_000
    at_least: int = 10
