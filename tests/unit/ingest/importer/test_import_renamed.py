"""Files that call a column by its old name, in every format."""

import json
from decimal import Decimal
from typing import Annotated

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caudal.contract import Digits, read_contract, renamed
from caudal.errors import UsageError
from caudal.ingest.importer import import_file
from caudal.ingest.store import open_store


class Sale:
    id: str
    quantity: Annotated[int, renamed("qty")]
    cost: Annotated[Annotated[Decimal, Digits(12, 2)] | None, renamed("price")]


SALE = read_contract(Sale, name="sale", key=["id"])
ROWS = [{"id": "a", "qty": 1, "price": "1.50"}, {"id": "b", "qty": 2, "price": None}]


def write(path, rows):
    if path.suffix == ".parquet":
        price = pa.array([r["price"] for r in rows]).cast(pa.decimal128(9, 2))
        pq.write_table(pa.table({"id": [r["id"] for r in rows], "qty": [r["qty"] for r in rows], "price": price}), path)
    elif path.suffix == ".csv":
        path.write_text("id,qty,price\n" + "".join(f"{r['id']},{r['qty']},{r['price'] or ''}\n" for r in rows))
    else:
        path.write_text("".join(json.dumps({k: float(v) if k == "price" else v for k, v in r.items() if v is not None}) + "\n" for r in rows))


@pytest.mark.parametrize("name", ["old.jsonl", "old.csv", "old.parquet"])
def test_a_file_with_old_names_is_imported_under_the_new_ones(tmp_path, name):
    store = open_store("memory:")
    store.declare("sale", ["id"], 1, renames=SALE.renames)
    write(tmp_path / name, ROWS)
    done = import_file(tmp_path / name, SALE, store, store.stream)
    assert (done.written, done.rejected) == (2, 0)
    assert list(store.scan("sale")) == [{"id": "a", "quantity": 1, "cost": Decimal("1.5")}, {"id": "b", "quantity": 2}]


def test_a_header_with_both_names_is_refused(tmp_path):
    store = open_store("memory:")
    store.declare("sale", ["id"], 1, renames=SALE.renames)
    (tmp_path / "both.csv").write_text("id,qty,quantity\na,1,2\n")
    with pytest.raises(UsageError, match="two columns of one name"):
        import_file(tmp_path / "both.csv", SALE, store, store.stream)
