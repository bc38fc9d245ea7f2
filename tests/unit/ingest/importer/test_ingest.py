"""Change records of another system, out of whatever wraps them, into a table's stream."""

import base64
import gzip
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal import Pipeline
from caudal.config import Config
from caudal.contract import Contract, read_contract
from caudal.errors import NotFound, UsageError
from caudal.ingest.importer import import_file
from caudal.ingest.importer.documents import split
from caudal.ingest.importer.envelopes import unwrapped
from caudal.ingest.importer.ingest import ingest_file
from caudal.ingest.stream import open_stream
from caudal.ingest.writer.replay import waiting
from caudal.verify import verify

AGGREGATE = "84mawgoCYzEKAmMyGhUIABoReyJvcmRlcl9pZCI6Im8xIn0aFQgBGhF7Im9yZGVyX2lkIjoibzIifV36li89/hOVQFAShZCevEo="
DAMAGED = AGGREGATE.replace("vEo=", "vLU=")


class Order:
    order_id: str
    qty: int | None


def change(id, time, qty, name="MODIFY"):
    image = {"order_id": {"S": "o1"}, "qty": {"N": str(qty)}}
    return {"eventID": id, "eventName": name, "dynamodb": {
        "ApproximateCreationDateTime": time, "Keys": {"order_id": {"S": "o1"}}, "OldImage" if name == "REMOVE" else "NewImage": image,
    }}


def kinesis(data):
    return {"kinesis": {"partitionKey": "c1", "data": data, "sequenceNumber": "495"}, "eventSource": "aws:kinesis"}


class Shop:
    """A pipeline with one table that another system feeds, in a folder."""

    def __init__(self, folder, form="dynamodb", key=("order_id",)):
        shop = Pipeline("shop")
        declare = shop.table(key=key, form=form) if key else shop.events(form=form)
        declare(Order)
        self.stages = shop.open(Config(folder=str(folder)))
        self.writer = self.stages.writer("order")
        self.folder = folder

    def ingest(self, *documents, name="records.jsonl", joint=b"\n", **more):
        path = self.folder / name
        data = joint.join(d if isinstance(d, bytes) else json.dumps(d).encode() for d in documents)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        return ingest_file(path, self.stages.table("order").contract, self.stages.stream, **more)

    def __call__(self, sql):
        self.writer.flush()
        return self.stages.query.execute(sql.replace("{}", '"order"')).to_pylist()

    def quarantined(self):
        self.writer.flush()
        return [(r.reason, r.raw) for r in waiting(self.stages.catalog, self.stages.files, "order")]


@pytest.fixture
def shop(tmp_path):
    shop = Shop(tmp_path)
    yield shop
    shop.stages.close()


def test_records_as_kinesis_delivers_them_become_the_current_state(shop):
    assert shop.ingest(change("e2", 2000, 5), change("e1", 1000, 1, "INSERT")) == 2
    assert shop("SELECT * FROM {}") == [{"order_id": "o1", "qty": 5}]


def test_what_is_not_delivered_yet_is_in_the_state_already(shop):
    shop.ingest(change("e2", 2000, 5), change("e1", 1000, 1, "INSERT"))
    shop.writer.flush()
    shop.ingest(change("e3", 1500, 4), change("e2", 2000, 5))
    ask = shop.stages.query.execute
    assert ask('SELECT qty FROM "order"').to_pylist() == [{"qty": 5}]
    assert ask("SELECT count(*) AS n FROM order_history").to_pylist() == [{"n": 3}]
    shop.ingest(change("e4", 3000, 5, "REMOVE"))
    assert ask('SELECT qty FROM "order"').to_pylist() == []


def test_a_file_that_is_ingested_again_changes_nothing(shop):
    for _ in range(2):
        shop.ingest(change("e2", 2000, 5), change("e1", 1000, 1, "INSERT"))
    assert shop("SELECT count(*) AS n FROM order_history") == [{"n": 2}]
    assert shop("SELECT qty FROM {}") == [{"qty": 5}]


def test_every_wrapping_gives_the_record_that_is_in_it(shop):
    data = [base64.b64encode(json.dumps(change(f"e{n}", 1000 + n, n)).encode()).decode() for n in range(5)]
    shop.ingest(
        {"Records": [kinesis(data[0]), kinesis(data[1])]}, kinesis(data[2]),
        {"Records": [{"Data": data[3], "PartitionKey": "c1", "SequenceNumber": "495", "ApproximateArrivalTimestamp": 1.5}], "MillisBehindLatest": 0},
        {"Records": [change("e5", 1005, 5)]}, change("e6", 1006, 6), {"Data": data[4], "PartitionKey": "c1", "SequenceNumber": "495"},
    )
    assert shop("SELECT _event_id, qty FROM order_history ORDER BY qty") == [{"_event_id": f"e{n}", "qty": n} for n in range(7)]


def test_k05_aggregates_and_plain_records_in_one_batch(tmp_path):
    shop = Shop(tmp_path, form="plain", key=())
    plain = base64.b64encode(b'{"order_id":"o3"}').decode()
    assert shop.ingest({"Records": [kinesis(AGGREGATE), kinesis(plain)]}) == 3
    assert shop("SELECT order_id FROM {} ORDER BY 1") == [{"order_id": "o1"}, {"order_id": "o2"}, {"order_id": "o3"}]


def test_k04_a_damaged_aggregate_is_kept_whole_in_quarantine(shop):
    shop.ingest(kinesis(DAMAGED), change("e1", 1000, 1))
    assert shop.quarantined() == [("kpl_digest_mismatch", base64.b64decode(DAMAGED))]
    assert shop("SELECT qty FROM {}") == [{"qty": 1}]


def test_d25_a_full_export_is_older_than_what_changed_after_it(shop):
    shop.ingest(change("e6", int(datetime(2026, 1, 1, 9, 59, 58, tzinfo=UTC).timestamp()), 6),
                change("e8", int(datetime(2026, 1, 1, 10, 0, 1, tzinfo=UTC).timestamp()), 8))
    item = {"Item": {"order_id": {"S": "o1"}, "qty": {"N": "7"}}}
    (shop.folder / "AWSDynamoDB/01").mkdir(parents=True)
    (shop.folder / "AWSDynamoDB/01/manifest-summary.json").write_text('{"exportTime":"2026-01-01T10:00:00.000Z","itemCount":1}')
    for _ in range(2):
        shop.ingest(item, name="AWSDynamoDB/01/data/x.json.gz")
    assert shop("SELECT qty FROM {}") == [{"qty": 8}]
    assert shop("SELECT qty FROM order_history ORDER BY _event_time") == [{"qty": 6}, {"qty": 7}, {"qty": 8}]


def test_a_full_export_needs_its_time(shop):
    item = {"Item": {"order_id": {"S": "o1"}, "qty": {"N": "7"}}}
    with pytest.raises(UsageError, match="when it was made") as error:
        shop.ingest(item)
    assert "--exported" in error.value.hint
    shop.ingest(item, exported=datetime(2026, 1, 1, 10, tzinfo=UTC))
    assert shop("SELECT qty, _event_time AS at FROM order_history") == [{"qty": 7, "at": datetime(2026, 1, 1, 10, tzinfo=UTC)}]


def test_an_incremental_export_inserts_changes_and_deletes(shop):
    def line(micros, **images):
        return {"Metadata": {"WriteTimestampMicros": {"N": str(micros)}}, "Keys": {"order_id": {"S": "o1"}},
                **{name: {"order_id": {"S": "o1"}, "qty": {"N": str(qty)}} for name, qty in images.items()}}

    start = 1767225661573241
    shop.ingest(line(start + 2, OldImage=2), line(start, NewImage=1), line(start + 1, OldImage=1, NewImage=2), b'{"Metadata":{},"Keys":{}}')
    assert shop("SELECT * FROM {}") == []
    assert shop("SELECT _op, qty, _event_time AS at FROM order_history ORDER BY at") == [
        {"_op": op, "qty": qty, "at": datetime(2026, 1, 1, 0, 1, 1, 573241 + n, UTC)} for n, (op, qty) in enumerate([("put", 1), ("put", 2), ("delete", 2)])
    ]
    assert shop.quarantined() == [("not_a_change", b'{"Metadata":{},"Keys":{}}')]


def test_a_delete_of_an_export_without_images_has_its_key(shop):
    shop.ingest(change("e1", 1000, 1), {"Metadata": {"WriteTimestampMicros": {"N": "1767225661573241"}}, "Keys": {"order_id": {"S": "o1"}}})
    assert shop("SELECT * FROM {}") == []


def test_f02_objects_one_behind_the_other_are_told_apart(tmp_path):
    assert split(b'{"a":"}{"}{"a":"2"}{"a":"3"}', last=True) == ([b'{"a":"}{"}', b'{"a":"2"}', b'{"a":"3"}'], b"")


def test_what_is_no_json_goes_to_quarantine_alone(shop):
    broken = [b"oops", b'{"eventID": "e', b"\xff\xfe", b"{}", b"null", b'{"kinesis":{"data":"%"}}']
    assert shop.ingest(change("e1", 1000, 1), *broken[:3], change("e2", 1001, 2), *broken[3:]) == 8
    assert shop("SELECT qty FROM {}") == [{"qty": 2}]
    assert sorted(raw for _, raw in shop.quarantined()) == sorted(broken)


DOCUMENTS = st.recursive(
    st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3), max_leaves=5
)


@given(st.lists(st.dictionaries(st.text(max_size=4), DOCUMENTS, max_size=3), max_size=5), st.sampled_from([b"", b"\n", b"\r\n\r\n", b" "]),
       st.sampled_from([None, 2]), st.integers(0, 400))
def test_documents_are_found_however_they_are_laid_out_and_cut(objects, joint, indent, cut):
    data = b"".join(json.dumps(found, indent=indent, ensure_ascii=False).encode() + joint for found in objects)
    first, rest = split(data[:cut], last=False)
    more, nothing = split(rest + data[cut:], last=True)
    assert [json.loads(document) for document in first + more] == objects
    assert nothing == b""


def test_many_broken_lines_are_a_line_each():
    """And take seconds: to look for the end of each in all that follows would take minutes."""
    documents, rest = split(b"oops\n" * 200_000 + b'{"a": \n' * 2000 + b'{"a": 1}\n', last=False)
    assert (len(documents), documents[-1], rest) == (202_001, b'{"a": 1}', b"")


def test_a_byte_order_mark_belongs_to_no_record(shop):
    assert shop.ingest(b"\xef\xbb\xbf" + json.dumps(change("e1", 1000, 1)).encode()) == 1
    assert shop("SELECT qty FROM {}") == [{"qty": 1}]


def test_records_within_records_are_no_envelope():
    nested = b'{"Records":[' * 3000 + b"{}" + b"]}" * 3000
    assert list(unwrapped(nested, "dynamodb", None)) == [nested]
    assert list(unwrapped(b'{"Records":[{"Records":[{"a":1}]}]}', "dynamodb", None)) == [b'{"Records":[{"a":1}]}']


def test_a_table_of_caudals_own_takes_no_foreign_records_and_the_other_way_round(shop, tmp_path):
    own = Contract("own", read_contract(Order, name="own").columns, ("order_id",))
    with pytest.raises(UsageError, match="own: its records are caudal's own"):
        ingest_file(tmp_path / "x", own, open_stream("memory:"))
    stages = shop.stages
    with pytest.raises(UsageError, match="order: another system makes its records") as error:
        import_file(tmp_path / "x.csv", stages.table("order").contract, stages.store, stages.stream)
    assert "caudal ingest" in error.value.hint
    with pytest.raises(NotFound):
        stages.store.put("order", {"order_id": "o1"})


@pytest.mark.parametrize("name", ["missing.jsonl", "broken.json.gz"])
def test_a_file_that_cannot_be_read_says_so(shop, name):
    (shop.folder / "broken.json.gz").write_bytes(b"no gzip")
    with pytest.raises(UsageError):
        ingest_file(shop.folder / name, shop.stages.table("order").contract, shop.stages.stream)


def test_debezium_from_kafka_with_tombstones_and_snapshots(tmp_path):
    shop = Shop(tmp_path, form="debezium")

    def record(op, lsn, before=None, after=None):
        return {"payload": {"before": before and {"order_id": "o1", "qty": before}, "after": after and {"order_id": "o1", "qty": after},
                            "op": op, "ts_ms": 1, "source": {"lsn": lsn, "ts_ms": 1767225661573}}}

    shop.ingest(record("u", 300, 1, 2), record("r", 200, None, 1), record("u", 301, 2, 3), b"null", record("d", 400, 3), record("c", 500, None, 9))
    assert shop("SELECT * FROM {}") == [{"order_id": "o1", "qty": 9}]
    assert shop("SELECT _op FROM order_history ORDER BY _event_id") == [{"_op": op} for op in ("put", "put", "put", "delete", "put")]
    assert shop.quarantined() == []
    assert [c.dropped for c in shop.stages.catalog.commits("order")] == [1]
    assert verify(shop.stages.catalog, shop.stages.files).ok
