"""Functions as users write them, at fault in each way, and the table that they are of.

In a module of their own, for a worker imports it with each start: it must not wait for a test runner to be imported too.
"""

import base64
import ctypes
import json
import os
import time
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import pyarrow as pa

from caudal.contract import Digits, UserFunction, lambda_handler, per_batch, read_contract


class Sale:
    id: str
    n: int
    price: Annotated[Decimal, Digits(12, 2)] | None
    at: datetime | None
    note: str | None
    tags: list[str] | None


SALE = read_contract(Sale, name="sale", key=["id"])


def of_kind(kind, act):
    """A function of the kind that does to each item what `act` does, and gives what it gives."""
    def batch(rows):
        made = [act({"n": row["n"], "note": row["note"]}) for row in rows.to_pylist()]
        return rows.filter(pa.array([row is not None for row in made], pa.bool_()))

    def handler(event, context):
        answers = []
        for sent in event["records"]:
            made = act(json.loads(base64.b64decode(sent["data"])))
            answers.append({"recordId": sent["recordId"], "result": "Dropped" if made is None else "Ok", "data": sent["data"]})
        return {"records": answers}

    return {"record": UserFunction(act), "batch": per_batch(batch), "lambda": lambda_handler(handler)}[kind]


def fault(item):
    """What a real function does wrong, as the item's note has it."""
    if item["note"] == "hangs":
        time.sleep(1000)
    if item["note"] == "hogs":
        kept = bytearray(600 << 20)
        time.sleep(1000)
        del kept
    if item["note"] == "exits":
        os._exit(3)
    if item["note"] == "crashes":
        ctypes.string_at(0)
    if item["note"] == "raises":
        raise ValueError(item["note"])
    if item["note"] == "has no memory":
        raise MemoryError
    return None if item["note"] == "drop" else item
