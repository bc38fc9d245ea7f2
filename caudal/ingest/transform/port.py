"""What every transform promises. `caudal.testing.TransformSuite` checks each promise."""

from abc import ABC, abstractmethod
from typing import Self

from caudal.config import Config
from caudal.contract import Contract, UserFunction
from caudal.records import Outcome, Records


class Transform(ABC):
    """Makes rows of records.

    Each record becomes one or more rows, or is dropped, or rejected with a reason: alone, whatever its neighbours are,
    whatever the user's function does with it. Nothing in a record makes `apply` raise. A member under a column's old name
    is read as the column's, where there is none under its own: the user's function sees the new name. Without a function,
    what the contract does not know is kept in `_rescued`, value for value as it came.
    """

    @classmethod
    @abstractmethod
    def open(cls, url: str, source: Contract, into: Contract, function: UserFunction | None, config: Config) -> Self:
        """Open what turns records of `source` into rows of `into`, by the user's function if there is one."""

    @abstractmethod
    def apply(self, records: Records) -> Outcome:
        """Account for every record once; the rows have the columns of `into.row_schema`."""

    def close(self) -> None:  # noqa: B027  nothing to let go of is the usual case
        """Let go of what `apply` started; a later `apply` starts it again."""
