"""The shop whose sales these tests make anew."""

from typing import Annotated

from caudal.contract import Delivery, personal
from caudal.lake.catalog import shadow_name
from caudal.pipeline import Pipeline
from caudal.proof import prove

NAME = shadow_name("sale")


def as_it_is(item):
    return item


def doubled(item):
    return {**item, "qty": item["qty"] * 2}


def only_even(item):
    return item if item["qty"] % 2 == 0 else None


def shop(function=None, **more):
    """A pipeline of sales, delivered by a function."""
    pipeline = Pipeline("shop")

    @pipeline.table(key=["id"], deliveries=[Delivery(transform=function, **more)])
    class Sale:
        id: str
        qty: int
        buyer: Annotated[str | None, personal]

    return pipeline


def put(stages, start, stop, table="sale"):
    stages.store.put_batch(table, [{"id": f"s{n}", "qty": n, "buyer": f"secret {n}"} for n in range(start, stop)], size=7)


def flush(stages, name="sale"):
    writer = stages.writer(name)
    writer.flush()
    writer.close()


def rows(stages, name="sale"):
    return {row["id"]: row["qty"] for row in stages.query.execute(f"SELECT id, qty FROM {name}").to_pylist()}


def sound(stages):
    assert prove(stages.catalog, stages.files, stages.stream).problems == []
