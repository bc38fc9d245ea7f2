"""An error budget: whether so many records do not fit that somebody has to look first."""

from collections import Counter, deque

from caudal.budget import ErrorBudget
from caudal.errors import Paused
from caudal.records import Positions, Rejected

SHOWN = 3
"""Reasons that a message names."""


class Budget:
    """The last records of one delivery, as far as this process has seen them, against its budget."""

    def __init__(self, budget: ErrorBudget | None) -> None:
        self._budget = budget
        self._last: deque[tuple[int, int]] = deque()  # records and errors of commits, the oldest first
        self._records = self._errors = 0

    def spent(self, since: Positions, until: Positions, accepted: Positions, rejected: list[Rejected]) -> str:
        """Why the table is to be paused instead of committing this batch; "" if it is not."""
        if self._budget is None or not rejected:
            return ""
        records, wrong = _counted(since, until, accepted, rejected)
        total, errors = self._records + records, self._errors + len(wrong)
        if not wrong or errors < self._budget.at_least or errors <= self._budget.fraction * total:
            return ""
        reasons = ", ".join(f"{why} {n:,}" for why, n in Counter(one.reason for one in wrong).most_common(SHOWN))
        first = wrong[0]
        return (f"{errors:,} of the last {total:,} records do not fit, and its error budget is {self._budget.fraction:.4g}: "
                f"in the batch that waits {reasons}, first at shard {first.shard}, position {first.position}: {first.detail}")

    def add(self, since: Positions, until: Positions, accepted: Positions, rejected: list[Rejected]) -> None:
        """Remember a batch that was committed."""
        if self._budget is None:
            return
        records, wrong = _counted(since, until, accepted, rejected)
        self._last.append((records, len(wrong)))
        self._records, self._errors = self._records + records, self._errors + len(wrong)
        while self._last and self._records - self._last[0][0] >= self._budget.of_last:
            records, errors = self._last.popleft()
            self._records, self._errors = self._records - records, self._errors - errors


def _counted(since: Positions, until: Positions, accepted: Positions, rejected: list[Rejected]) -> tuple[int, list[Rejected]]:
    """Records of a batch, and those that do not fit, past what was accepted."""
    records = sum(max(0, end - max(since.get(shard, 0), accepted.get(shard, 0))) for shard, end in until.items())
    return records, [record for record in rejected if record.position >= accepted.get(record.shard, 0)]


def paused(table: str, why: str) -> Paused:
    """The error of a table that is paused."""
    return Paused(f"table {table} is paused: {why}", hint=f"mend the pipeline file or the source, then `caudal resume {table}`")
