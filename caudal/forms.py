"""What a table's records look like, and the columns that its rows carry beside the contract's own."""

from typing import Literal, get_args

import pyarrow as pa

from caudal.errors import ContractError, UsageError

Form = Literal["caudal", "plain", "dynamodb", "debezium"]
"""caudal's own records, plain JSON objects, or the change records of another system."""

TIMESTAMP = pa.timestamp("us", "UTC")

RESCUED = "_rescued"

SYSTEM = pa.schema([
    pa.field("_op", pa.string(), nullable=False),  # put, delete; event for append-only tables
    pa.field("_reason", pa.string()),  # why it was deleted: user, ttl, erasure
    pa.field("_event_time", TIMESTAMP, nullable=False),
    pa.field("_event_id", pa.string(), nullable=False),
    pa.field("_shard", pa.int32(), nullable=False),
    pa.field("_position", pa.int64(), nullable=False),
    pa.field(RESCUED, pa.string()),  # JSON of what the record has and the contract does not know
])
"""Columns that every row of the lake carries beside its own."""

CHAIN = pa.schema([
    pa.field("_before", pa.int64()),  # digest of the image that the change found; 0 if there was none, NULL if unknown
    pa.field("_after", pa.int64()),  # digest of the image that it left
    pa.field("_sequence", pa.string()),  # the source's own number, where it sends one; sorts as text
])
"""By which changes of one key and one time find their order; of rows whose records are in DynamoDB's form."""


def check_own(table: str, form: str) -> None:
    """Raises UsageError for a table that is not written here, for another system makes its records."""
    if form != "caudal":
        raise UsageError(f"table {table}: another system makes its records ({form})", hint=f"caudal ingest {table} FILE")


def check_form(where: str, form: str) -> None:
    """Raises ContractError for a form that there is not."""
    if form not in get_args(Form):
        raise ContractError(f"{where}: no form {form!r}", hint=f"use {', '.join(map(repr, get_args(Form)))}")
