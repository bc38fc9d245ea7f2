"""Tokens of transactions, kept in the store: a transaction and that it was done are one write."""

import hashlib
import time
from typing import Any

import msgspec

from caudal.gateway.faults import AwsError
from caudal.ingest.store import Modify, Store
from caudal.records import Item

TABLE = "dynamodb/tokens"
"""No name of a table of DynamoDB's has a slash."""
SECONDS = 600
"""How long a token means the same transaction."""

_encode = msgspec.json.Encoder(order="deterministic", decimal_format="number").encode


class Again(Exception):
    """The transaction of this token was done before."""


def declare(store: Store) -> None:
    """Make the table, unless it is there."""
    store.declare(TABLE, ["token"], 1, ttl="until")


def claim(token: str, given: Any) -> Modify:
    """The write that goes before those of a transaction. It raises Again, or AwsError if it was another transaction's."""
    digest = hashlib.blake2b(_encode(given), digest_size=16).hexdigest()

    def change(item: Item | None) -> Item:
        if item is None:
            return {"token": token, "digest": digest, "until": int(time.time()) + SECONDS}
        if item["digest"] != digest:
            told = "Request with the same ClientRequestToken has other parameters"
            raise AwsError("IdempotentParameterMismatchException", told)
        raise Again

    return Modify(TABLE, [token], change)
