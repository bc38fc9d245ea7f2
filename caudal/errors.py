"""Every error that caudal raises on purpose.

CaudalError
├── UsageError            what the operator or the pipeline's author wrote is wrong; retrying cannot help
│   ├── ConfigError       a setting: unknown key, wrong type, unknown back end
│   │   └── MissingExtra  the back end is known, but the package that it needs is not installed
│   ├── ContractError     a table, transform or recommender that cannot work as declared
│   ├── QueryError        SQL that is wrong, or that may not run; knows its line and column
│   └── NotFound          a table, model, user, file … of that name does not exist
├── DataError             the data is not as it must be
│   ├── InvalidItem       an item that the store cannot hold exactly
│   ├── ConditionFailed   the item is not as the write expected it
│   ├── Paused           too many records of a table do not fit: somebody has to look
│   └── VerificationFailed  the lake and the stream do not account for each other
└── BackendError          what a back end did is wrong
    ├── Unavailable       it cannot be reached, or is busy: try again
    │   └── Throttled     too much waits to be delivered: try again more slowly
    ├── Trimmed           the stream no longer holds those records
    ├── AlreadyExists     an object of that name is there, and objects are written once
    ├── Conflict          somebody else changed the same thing first: read again, then retry
    └── Fenced            another writer holds the lease: this one must stop
"""

import traceback
from pathlib import Path
from typing import ClassVar


class CaudalError(Exception):
    """Base of every error that caudal raises on purpose."""

    retry: ClassVar[bool] = False
    """Whether the same call may succeed later."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        """What the reader can do about it; the command line shows it on a line of its own."""


class UsageError(CaudalError):
    """What the operator or the pipeline's author wrote is wrong."""


class ConfigError(UsageError):
    """A setting is wrong."""


class MissingExtra(ConfigError):
    """The back end is known, but its package is not installed."""


class ContractError(UsageError):
    """A declaration cannot work."""


class QueryError(UsageError):
    """A query is wrong, or asks for what a query may not do."""

    def __init__(self, message: str, *, hint: str = "", line: int = 0, column: int = 0) -> None:
        super().__init__(message, hint=hint)
        self.line = line
        """Line of the query, from 1; 0 when unknown."""
        self.column = column
        """Column of that line, from 1; 0 when unknown."""


class NotFound(UsageError):
    """Nothing of that name exists."""


class DataError(CaudalError):
    """The data is not as it must be."""


class InvalidItem(DataError):
    """The store cannot hold this item exactly."""


class ConditionFailed(DataError):
    """The item is not as the write expected it."""


class Paused(DataError):
    """Too many records of a table do not fit: it is not delivered until somebody resumes it."""


class VerificationFailed(DataError):
    """Records read and records kept do not account for each other."""


class BackendError(CaudalError):
    """A back end failed."""


class Unavailable(BackendError):
    """The back end cannot be reached, or is busy."""

    retry = True


class Throttled(Unavailable):
    """More waits to be delivered than may: nothing was written."""


class Trimmed(BackendError):
    """The stream no longer holds the records asked for."""


class AlreadyExists(BackendError):
    """Objects are written once, and one of that name is there."""


class Conflict(BackendError):
    """Somebody else changed the same thing first."""

    retry = True


class Fenced(BackendError):
    """Another writer holds the lease."""


def tellable(error: Exception) -> CaudalError:
    """What may be told of any error: itself, if it was raised on purpose; of a fault of caudal's own, where it happened.

    What a fault says is not told, for its text may hold a person's data.
    """
    if isinstance(error, CaudalError):
        return error
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}:{where.lineno}"
    return CaudalError(f"{type(error).__name__} at {place}", hint="this is a fault of caudal: please report it")
