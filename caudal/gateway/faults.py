"""Errors as AWS's clients know them."""

import msgspec

from caudal.errors import CaudalError, ConditionFailed, Conflict, InvalidItem, NotFound, Unavailable, UsageError


class AwsError(CaudalError):
    """An error of AWS's by its own code: `raise AwsError("ResourceInUseException", "Table exists")`."""

    def __init__(self, code: str, message: str, *, status: int = 400, **members: object) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        """Of the HTTP answer; where the service's model gives one for this code, that one."""
        self.members = members
        """Further members of the error's shape, as its operation's model names them."""


_CODES: tuple[tuple[type[CaudalError], str, int], ...] = (
    (NotFound, "ResourceNotFoundException", 400),
    (ConditionFailed, "ConditionalCheckFailedException", 400),
    (InvalidItem, "ValidationException", 400),
    (UsageError, "ValidationException", 400),
    (Conflict, "ConflictException", 409),
    (Unavailable, "ServiceUnavailable", 503),
)
"""What an error of caudal's own is called where a service does not say it otherwise; the first that fits."""


def as_aws(error: Exception) -> AwsError:
    """Any error as one of AWS's; what nobody foresaw says nothing, for its text may hold a person's data."""
    if isinstance(error, AwsError):
        return error
    if isinstance(error, CaudalError):
        told = f"{error}: {error.hint}" if error.hint else str(error)
        for kind, code, status in _CODES:
            if isinstance(error, kind):
                return AwsError(code, told, status=status)
        return AwsError("InternalServerError", told, status=500)
    return AwsError("InternalFailure", "a fault of caudal: see its log", status=500)


class Invalid(msgspec.Struct):
    """Members of a request that break a constraint of the service's model, gathered."""

    constraints: list[str] = []

    def add(self, path: str, must: str) -> None:
        """A member at `path` (never its value: it may be a person's) that must be otherwise."""
        self.constraints.append(f"Value at '{path}' failed to satisfy constraint: Member must {must}")

    def check(self) -> None:
        """Raises a ValidationException, as AWS words it, if there is one."""
        if self.constraints:
            n = len(self.constraints)
            told = f"{n} validation error{'s' if n > 1 else ''} detected: " + "; ".join(self.constraints)
            raise AwsError("ValidationException", told)
