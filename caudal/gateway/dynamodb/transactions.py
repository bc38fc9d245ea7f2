"""What transactions that write and those that read share: their limits, and how one that is not done is told."""

from typing import Any

from caudal.gateway.dynamodb.values import invalid
from caudal.gateway.faults import AwsError

BYTES = 4 << 20
_CODES = {
    "ConditionalCheckFailedException": "ConditionalCheckFailed", "ValidationException": "ValidationError",
    "ProvisionedThroughputExceededException": "ProvisionedThroughputExceeded",
}

Reason = dict[str, Any]

NONE: Reason = {"Code": "None"}
"""Of an action that could have been done."""


def reason(error: AwsError) -> Reason:
    """Why an action could not be done."""
    return {"Code": _CODES[error.code], "Message": str(error), "Item": error.members.get("Item")}


def check(reasons: list[Reason]) -> None:
    """Raises AwsError unless every action of a transaction could be done."""
    codes = [each["Code"] for each in reasons]
    if any(code != "None" for code in codes):
        told = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{', '.join(codes)}]"
        raise AwsError("TransactionCanceledException", told, CancellationReasons=reasons)


def check_size(size: int) -> None:
    """Raises AwsError for a transaction whose items have so many bytes together."""
    if size > BYTES:
        raise invalid("Transaction size exceeds the limit of 4 MB")
