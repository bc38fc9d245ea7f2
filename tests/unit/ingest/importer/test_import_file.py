"""Files into tables: JSON lines and Parquet, bad lines to quarantine, and an import that is run again."""

import gzip
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caudal.contract import Digits, read_contract
from caudal.errors import UsageError
from caudal.ingest.changes import decode_change
from caudal.ingest.importer import import_file
from caudal.ingest.store import open_store
from caudal.ingest.stream import open_stream
from caudal.ingest.transform.decode import Decoder


class Sale:
    id: str
    qty: int | None
    amount: Annotated[Decimal, Digits(12, 2)] | None
    ratio: float | None
    day: date | None
    at: datetime | None
    tags: list[str] | None


SALE = read_contract(Sale, name="sale", key=["id"])
VIEW = read_contract(Sale, name="view")


class Shop:
    """A store with a table of items and a stream of events, and an importer into both."""

    def __init__(self, folder):
        self.folder = folder
        self.store, self.stream = open_store(f"sqlite:{folder}/store.db"), open_stream(f"sqlite:{folder}/store.db")
        self.store.declare("sale", ["id"], 1)
        self.stream.create("view", 1)

    def load(self, name, data=None, contract=SALE, **options):
        path = self.folder / name
        if isinstance(data, pa.Table):
            pq.write_table(data, path)
        elif data is not None:
            path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return import_file(path, contract, self.store, self.stream, **options)

    def items(self):
        return list(self.store.scan("sale"))

    def rejected(self, name="sale"):
        """Reason, detail and bytes of what lies in the stream for quarantine."""
        records = self.stream.read(name, 0, 0)
        found = Decoder(SALE).decode(records).rejected if len(records) else []
        return [(bad.reason, bad.detail, bad.raw) for bad in found]

    def close(self):
        self.stream.close()
        self.store.close()


@pytest.fixture
def shop(tmp_path):
    made = Shop(tmp_path)
    yield made
    made.close()


def counts(done):
    return done.written, done.unchanged, done.rejected


def test_json_lines_keep_attributes_that_the_contract_does_not_know(shop):
    data = '{"id":"1","qty":5,"amount":1.50,"colour":"red","size":{"EU":[42.50]},"tags":["a"]}\n\n  \n{"id":"2","amount":"2.5"}'
    assert counts(shop.load("sale.jsonl", data)) == (2, 0, 0)
    assert shop.items() == [
        {"id": "1", "qty": 5, "amount": Decimal("1.50"), "colour": "red", "size": {"EU": [Decimal("42.50")]}, "tags": ["a"]},
        {"id": "2", "amount": "2.5"},
    ]


def test_bad_json_lines_are_quarantined_with_their_bytes_and_their_place(shop):
    lines = [
        b'{"id":"1"}', b"", b"oops", b'{"id":null}', b'{"id":"4","qty":1.5}', b'{"id":"5","amount":0.005}', b"[1]",
        b'{"id":"\xff"}',
        b'{"id":"8","other":"\\ud800"}', b'{"id":"9","other":{"$bytes":"%"}}',
        b'{"id":"10","other":' + b"9" * 39 + b"}",
        b'{"id":"11","ratio":1e300}', b'{"id":"12","other":' + b"[" * 40 + b"]" * 40 + b"}", b'{"id":"13"}',
    ]
    assert counts(shop.load("sale.jsonl", b"\n".join(lines))) == (2, 0, 11)
    assert [item["id"] for item in shop.items()] == ["1", "13"]
    rejected = shop.rejected()
    assert [(reason, raw.rstrip(b"\n")) for reason, _, raw in rejected if reason != "invalid_item"] == [
        ("invalid_json", lines[2]), ("null_key", lines[3]), ("not_an_integer", lines[4]), ("decimal_scale", lines[5]),
        ("not_an_object", lines[6]), ("invalid_utf8", lines[7]), ("number_range", lines[11]),
    ]
    assert [reason for reason, *_ in rejected].count("invalid_item") == 4
    assert [detail.partition(": ")[0] for _, detail, _ in rejected[:2]] == ["sale.jsonl, line 3", "sale.jsonl, line 4"]


def test_json_lines_may_be_compressed_and_begin_with_a_mark(shop):
    data = b'\xef\xbb\xbf{"id":"1"}\r\n{"id":"2"}\r\n'
    assert counts(shop.load("a.jsonl.gz", gzip.compress(data))) == (2, 0, 0)
    assert counts(shop.load("b.ndjson.zst", pa.compress(data, codec="zstd", asbytes=True))) == (0, 2, 0)
    with pytest.raises(UsageError, match=r"c\.jsonl\.gz"):
        shop.load("c.jsonl.gz", b"not gzip")


def test_a_file_of_nothing_is_no_items(shop):
    assert counts(shop.load("sale.jsonl", b"")) == (0, 0, 0)
    assert counts(shop.load("sale.parquet", pa.table({"id": pa.array([], pa.string())}))) == (0, 0, 0)


def column(name, values):
    return pa.table({"id": [f"{n}" for n in range(len(values))], name: values})


@pytest.mark.parametrize(("name", "values", "expected"), [
    ("qty", pa.array([1, None], pa.int8()), [1, None]), ("qty", pa.array([1.0, None]), [1, None]),
    ("qty", pa.array([2**53 + 1]), [2**53 + 1]),
    ("amount", pa.array([1.5, 0.1]), [Decimal("1.5"), Decimal("0.1")]), ("amount", pa.array([3]), [3]),
    ("amount", pa.array([Decimal("1.50")], pa.decimal128(38, 10)), [Decimal("1.50")]),
    ("amount", pa.array([Decimal("1.50")], pa.decimal256(50, 2)), [Decimal("1.50")]),
    ("ratio", pa.array([0.1, None], pa.float64()), [Decimal("0.1"), None]), ("ratio", pa.array([1]), [1]),
    ("at", pa.array([1_000_001], pa.timestamp("us")), ["1970-01-01T00:00:01.000001Z"]),
    ("at", pa.array([1_000], pa.timestamp("ms", "Europe/Madrid")), ["1970-01-01T00:00:01.000000Z"]),
    ("at", pa.array([1_999, None], pa.timestamp("ns")), ["1970-01-01T00:00:00.000001Z", None]),
    ("at", pa.array(["2026-01-01T00:00:00+01:00"]), ["2025-12-31T23:00:00.000000Z"]),
    ("day", pa.array([date(2026, 1, 31)]), ["2026-01-31"]), ("day", pa.array(["2026-01-31"]), ["2026-01-31"]),
    ("tags", pa.array([["a", "b"], None]), [["a", "b"], None]), ("other", pa.array(["x", None]).dictionary_encode(), ["x", None]),
    ("other", pa.array([{"a": [1]}]), [{"a": [1]}]), ("other", pa.array([b"\x00"]), [b"\x00"]), ("other", pa.nulls(1), [None]),
    ("other", pa.array(["x"], pa.large_string()), ["x"]), ("other", pa.array([True]), [True]),
])
def test_parquet_is_taken_where_nothing_is_lost(shop, name, values, expected):
    assert counts(shop.load("sale.parquet", column(name, values))) == (len(expected), 0, 0)
    assert [item.get(name) for item in shop.items()] == expected
    assert [type(item.get(name)) for item in shop.items()] == [type(value) for value in expected]


@pytest.mark.parametrize(("name", "values", "reason"), [
    ("qty", pa.array([1.5, 1.0]), "not_an_integer"), ("qty", pa.array(["5", None]), "wrong_type"),
    ("qty", pa.array([True, None]), "wrong_type"),
    ("qty", pa.array([2**64 - 1, 1], pa.uint64()), "integer_overflow"), ("amount", pa.array([0.005, 1.5]), "decimal_scale"),
    ("amount", pa.array([0.1 + 0.2, 1.5]), "decimal_scale"), ("amount", pa.array([10**10, 1]), "decimal_overflow"),
    ("ratio", pa.array([float("nan"), 1.0]), "number_range"), ("ratio", pa.array([1e300, 1.0]), "number_range"),
    ("at", pa.array([2**62, 1], pa.timestamp("us")), "timestamp_format"), ("at", pa.array([5, None]), "timestamp_format"),
    ("day", pa.array([2**30, 1], pa.date32()), "date_format"), ("day", pa.array([datetime(2026, 1, 1), None]), "date_format"),
    ("tags", pa.array(["a", None]), "wrong_type"), ("other", pa.array([float("nan"), 1.0]), "invalid_item"),
    ("other", pa.array([2**62, 1], pa.timestamp("us", "UTC")), "invalid_item"),
    ("other", pa.array([timedelta(1), None]), "invalid_item"), ("other", pa.array([np.float16(np.inf), None]), "invalid_item"),
])
def test_parquet_that_would_lose_something_is_quarantined_by_row(shop, name, values, reason):
    assert counts(shop.load("sale.parquet", column(name, values))) == (1, 0, 1)
    assert [why for why, *_ in shop.rejected()] == [reason]
    assert [item["id"] for item in shop.items()] == ["1"]


def test_what_is_no_parquet_or_lacks_a_column_is_refused(shop):
    with pytest.raises(UsageError, match="not a Parquet file"):
        shop.load("sale.parquet", b"PAR1 or not")
    with pytest.raises(UsageError, match="has no column id, which sale needs"):
        shop.load("sale.parquet", pa.table({"qty": [1]}))
    with pytest.raises(UsageError, match="two columns of one name"):
        shop.load("sale.parquet", pa.table([pa.array(["1"]), pa.array(["1"])], names=["id", "id"]))
    with pytest.raises(UsageError, match="no such file"):
        shop.load("nowhere.parquet")
    with pytest.raises(UsageError, match="neither"):
        shop.load("sale.txt", b"")
    with pytest.raises(UsageError, match="no format xml"):
        shop.load("sale.txt", b"", format="xml")


@pytest.mark.parametrize("name", ["sale.csv", "sale.jsonl", "sale.parquet"])
def test_an_import_run_twice_writes_nothing_new(shop, name):
    rows = [{"id": f"{n}", "qty": n, "amount": Decimal(n) / 4,
    "at": datetime(2026, 1, 1, 0, 0, n, tzinfo=UTC)} for n in range(50)]
    data = {
        "sale.csv": "id,qty,amount,at\n" + "".join(f"{r['id']},{r['qty']},{r['amount']},{r['at'].isoformat()}\n" for r in rows),
        "sale.jsonl": "".join(f'{{"id":"{r["id"]}","qty":{r["qty"]},"amount":{r["amount"]}}}\n' for r in rows),
        "sale.parquet": pa.Table.from_pylist(rows),
    }[name]
    assert counts(shop.load(name, data)) == (50, 0, 0)
    end = shop.stream.ends("sale")
    assert counts(shop.load(name)) == (0, 50, 0)
    assert shop.stream.ends("sale") == end
    assert len(shop.items()) == 50


def test_csv_and_parquet_of_the_same_rows_are_the_same_items(shop):
    at, day = datetime(2026, 1, 1, 12, 0, 0, 1, tzinfo=UTC), date(2026, 1, 31)
    rows = pa.Table.from_pylist([{"id": "1", "qty": 5, "amount": Decimal("1.50"), "ratio": 0.1, "at": at, "day": day},
    {"id": "2"}],
                                pa.schema([*SALE.schema][:-1]))
    shop.load("sale.parquet", rows)
    data = f"id,qty,amount,ratio,day,at\n1,5,1.50,0.1,{day},{at.isoformat()}\n2,,,,,\n"
    assert counts(shop.load("sale.csv", data)) == (0, 2, 0)


def test_events_are_added_each_time(shop):
    data = "id,qty\n1,5\n2,6\n3,x\n"
    for _ in range(2):
        assert counts(shop.load("view.csv", data, VIEW)) == (2, 0, 1)
    assert shop.stream.ends("view")[0].next == 6


def test_progress_tells_bytes_and_ends_at_the_end(shop):
    told = []
    shop.load("sale.csv",
    "id,qty\n" + "".join(f"{n},{n}\n" for n in range(3000)), progress=lambda done, of: told.append((done, of)))
    size = (shop.folder / "sale.csv").stat().st_size
    assert told[-1] == (size, size)


KILLED = """
import sys
from pathlib import Path
from caudal.contract import read_contract
from caudal.ingest.importer import import_file
from caudal.ingest.store import open_store
from caudal.ingest.stream import open_stream
class Sale:
    id: str
    qty: int
contract = read_contract(Sale, name="sale", key=["id"])
folder = Path(sys.argv[1])
store, stream = open_store(f"sqlite:{folder}/store.db"), open_stream(f"sqlite:{folder}/store.db")
print("ready", flush=True)
import_file(folder / "sale.csv", contract, store, stream)
"""


@pytest.mark.slow
def test_an_import_that_was_killed_is_run_again_and_each_item_is_there_once(shop):
    (shop.folder / "sale.csv").write_text("id,qty\n" + "".join(f"{n:06d},{n}\n" for n in range(60_000)))
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(shop.folder)], stdout=subprocess.PIPE)
    assert process.stdout.readline()
    until = time.monotonic() + 30
    while not shop.stream.ends("sale")[0].next and time.monotonic() < until:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    already = shop.stream.ends("sale")[0].next
    assert 0 < already < 60_000
    done = shop.load("sale.csv", contract=read_contract(Sale, name="sale", key=["id"]))
    assert counts(done) == (60_000 - already, already, 0)
    seen, offset = [], 0
    while len(run := shop.stream.read("sale", 0, offset)):
        seen += [decode_change(run.raw(n), ("id",)).key for n in range(len(run))]
        offset = run.next
    assert len(seen) == len(set(seen)) == 60_000
