"""The shop whose functions are at fault: `STRUCK="FAULT SEED"` says how, the seed of which records."""

import base64
import json
import os
import random
import signal
import time

from caudal import Delivery, Pipeline, lambda_handler, per_batch

FAULT, _, SEED = os.environ.get("STRUCK", "none 0").partition(" ")
kept = []


def is_poison(sale_id):
    """Whether the function goes wrong over this item; of a leak and of a worker that somebody else kills, no item is at fault."""
    at_fault = sale_id == "s7" or random.Random(f"{SEED} {sale_id}").random() < 0.01
    return FAULT in ("raises", "hangs", "hogs", "exits", "crashes") and at_fault


def strike(item):
    if FAULT == "leaks":
        kept.append(b"x" * (4 << 20))
    if FAULT == "killed" and random.random() < 0.005:
        os.kill(os.getpid(), signal.SIGKILL)  # as the kernel does when the machine has no memory left
    if is_poison(item["sale_id"]):
        if FAULT == "raises":
            raise ValueError(item["sale_id"])
        if FAULT == "hangs":
            time.sleep(1000)
        if FAULT == "hogs":
            kept.append(b"x" * (1 << 30))
            time.sleep(1000)
        os._exit(3) if FAULT == "exits" else os.abort()
    return item


def strike_all(rows):
    for item in rows.to_pylist():
        strike(item)
    return rows


def handler(event, context):
    for record in event["records"]:
        strike(json.loads(base64.b64decode(record["data"])))
    return {"records": [{"recordId": r["recordId"], "result": "Ok", "data": r["data"]} for r in event["records"]]}


shop = Pipeline("fire")


@shop.table(key=["sale_id"], deliveries=[
    Delivery(buffer_seconds=0.02, transform=strike),
    Delivery("csv", compression="gzip", buffer_seconds=0.02, transform=per_batch(strike_all)),
    Delivery(buffer_seconds=0.02, transform=lambda_handler(handler), name="sale_by_lambda"),
])
class Sale:
    sale_id: str
    qty: int
