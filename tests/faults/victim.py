"""The processes that are killed: `python victim.py putter pipeline.py seed acknowledged.log`, or `importer … file`."""

import os
import random
import sys
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from caudal.ingest.importer import import_file
from caudal.ingest.store import Delete, Put, Update
from caudal.loader import load_pipeline


def putter(stages, seed, log):
    """Write, and say so in the log after each return; a line is one event id and its table."""
    chance = random.Random(int(seed))
    out = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    events = stages.events("view")
    for n in count():
        kind = chance.random()
        if kind < 0.2:
            tables, ids = ["view"] * 3, events.append([{"customer_id": f"c{chance.randrange(9)}", "n": n} for _ in range(3)])
        else:
            writes = some_writes(chance, n, kind)
            tables, ids = [write.table for write in writes], stages.store.write(writes)
        os.write(out, "".join(f"{id} {table}\n" for id, table in zip(ids, tables, strict=True) if id).encode())


def some_writes(chance, n, kind):
    sale = f"s{chance.randrange(200)}"
    if kind < 0.3:
        return [Delete("sale", [sale])]
    if kind < 0.4:
        return [Update("product", [f"p{chance.randrange(20)}"], set={"stock": n})]
    sold_at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=chance.randrange(3))
    put = Put("sale", {"sale_id": sale, "quantity": n, "sold_at": sold_at})
    if kind < 0.6:  # an order and its stock, together
        return [put, Update("product", [f"p{chance.randrange(20)}"], set={"stock": n})]
    return [put]


def importer(stages, file):
    import_file(Path(file), stages.table("sale").contract, stages.store, stages.stream)


def main(kind, path, *more):
    pipeline, config = load_pipeline(Path(path))
    with pipeline.open(config) as stages:
        {"putter": putter, "importer": importer}[kind](stages, *more)


if __name__ == "__main__":
    main(*sys.argv[1:])
