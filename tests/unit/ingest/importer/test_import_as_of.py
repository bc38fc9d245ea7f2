"""An import beside an application that goes on writing: what was written or deleted later stays."""

import os
import time

import apsw
import msgspec
import pytest

from caudal.contract import read_contract
from caudal.errors import ConditionFailed, UsageError
from caudal.ingest.changes import decode_change
from caudal.ingest.importer import Imported, import_file
from caudal.ingest.importer.again import lines
from caudal.ingest.store import open_store
from caudal.ingest.stream import open_stream
from caudal.ingest.transform.values import Misfit
from caudal.records import Rejected


class Sale:
    id: str
    qty: int


SALE = read_contract(Sale, name="sale", key=["id"])
LONG_AGO = 1_767_225_661_000_000


def now():
    return time.time_ns() // 1000


class Shop:
    def __init__(self, folder):
        self.folder, self.url = folder, f"sqlite:{folder}/store.db"
        self.store, self.stream = open_store(self.url), open_stream(self.url)
        self.store.declare("sale", ["id"], 1)

    def file(self, rows, made=None):
        path = self.folder / "sale.csv"
        path.write_text("id,qty\n" + "".join(f"{id},{qty}\n" for id, qty in rows.items()))
        if made is not None:
            os.utime(path, (made / 1e6, made / 1e6))
        return path

    def load(self, rows, made=None, **options):
        return import_file(self.file(rows, made), SALE, self.store, self.stream, **options)

    def items(self):
        return {item["id"]: item["qty"] for item in self.store.scan("sale")}

    def changes(self):
        run = self.stream.read("sale", 0, 0)
        return [decode_change(run.raw(n), ("id",)) for n in range(len(run))]


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    shop.store.close()
    shop.stream.close()


def test_what_was_written_or_deleted_after_the_file_was_made_stays(shop):
    shop.store.put("sale", {"id": "live", "qty": 1})
    shop.store.put("sale", {"id": "gone", "qty": 1})
    shop.store.delete("sale", ["gone"])
    assert shop.load({"live": 2, "gone": 2, "new": 2}, made=LONG_AGO) == Imported(written=1, kept=2)
    assert shop.items() == {"live": 1, "new": 2}
    assert shop.changes()[-1].event_time == LONG_AGO
    assert shop.load({"live": 3, "gone": 3, "new": 3}) == Imported(written=3)  # a file of now
    assert shop.items() == {"live": 3, "gone": 3, "new": 3}


def test_an_older_file_after_a_newer_one_brings_only_what_the_newer_lacks(shop):
    assert shop.load({"a": 2, "b": 2}, as_of=LONG_AGO + 10) == Imported(written=2)
    assert shop.load({"a": 1, "c": 1}, as_of=LONG_AGO) == Imported(written=1, kept=1)
    assert shop.load({"a": 2, "b": 2}, as_of=LONG_AGO + 10) == Imported(unchanged=2)
    assert shop.items() == {"a": 2, "b": 2, "c": 1}


def test_an_import_as_of_the_future_is_refused(shop):
    with pytest.raises(UsageError, match="future"):
        shop.load({"a": 1}, as_of=now() + 10**9)
    assert shop.load({"a": 1}, made=now() + 10**9) == Imported(written=1)  # a file from a machine whose clock is ahead
    assert shop.changes()[0].event_time <= now()


def test_a_rejected_line_that_is_mended_revives_nothing_either(shop):
    shop.load({"bad": "x", "free": "y"}, as_of=LONG_AGO)
    run = shop.stream.read("sale", 0, 0)
    records = [msgspec.json.decode(run.raw(n)) for n in range(len(run))]
    assert {record["time"] for record in records} == {LONG_AGO}
    origin = msgspec.json.encode({name: records[0][name] for name in ("id", "time", "from")}).decode()
    shop.store.put("sale", {"id": "bad", "qty": 5})
    shop.store.delete("sale", ["bad"])
    mended = {id: Rejected(0, 0, 0, "", "", b"%s,7\n" % id.encode(), origin) for id in ("bad", "free")}
    with pytest.raises(Misfit, match="deleted"):
        lines(SALE, shop.store)(mended["bad"], True)
    assert lines(SALE, shop.store)(mended["free"], True) is None
    assert shop.items() == {"free": 7}
    assert lines(SALE, shop.store, overwrite=True)(mended["bad"], True) is None
    assert shop.items() == {"bad": 7, "free": 7}


def test_a_store_of_before_takes_its_items_for_written_now(tmp_path):
    shop = Shop(tmp_path)
    shop.store.put("sale", {"id": "old", "qty": 1})
    shop.store.close()
    shop.stream.close()
    db = apsw.Connection(str(tmp_path / "store.db"))
    db.execute("ALTER TABLE item_1 DROP COLUMN time; DROP TABLE gone_1")
    db.close()
    before, shop = now(), Shop(tmp_path)
    assert shop.load({"old": 2}, as_of=before) == Imported(kept=1)
    with pytest.raises(ConditionFailed, match="forgotten"):
        shop.load({"perhaps deleted": 2}, as_of=before)
    assert shop.load({"old": 3, "perhaps deleted": 3}, as_of=now()) == Imported(written=2)
    shop.store.close()
    shop.stream.close()
