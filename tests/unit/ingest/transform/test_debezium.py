"""Debezium's change records of PostgreSQL and MySQL."""

import base64
import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.contract import Digits, read_contract
from caudal.ingest.transform import open_transform
from caudal.records import Records

TIME = datetime(2026, 1, 1, 0, 1, 1, 573000, UTC)


class Product:
    id: int
    price: Annotated[Decimal, Digits(38, 2)] | None
    ratio: float | None
    live: bool | None
    made_on: date | None
    made_at: datetime | None
    picture: bytes | None
    tags: list | None
    title: str | None


PRODUCTS = read_contract(Product, name="product", key=["id"], form="debezium")


class Strict:
    id: int
    title: str


STRICT = read_contract(Strict, name="strict", key=["id"], form="debezium")


def postgres(lsn=24023128, **more):
    return {"version": "3.0.0.Final", "connector": "postgresql", "name": "shop", "ts_ms": 1767225661573, "snapshot": "false", "db": "shop",
            "sequence": '["24023119","24023128"]', "schema": "public", "table": "product", "txId": 555, "lsn": lsn, "xmin": None, **more}


def mysql(file="mysql-bin.000003", pos=484, row=0, **more):
    return {"version": "3.0.0.Final", "connector": "mysql", "name": "shop", "ts_ms": 1767225661573, "snapshot": "false", "db": "shop",
            "table": "product", "server_id": 223344, "gtid": None, "file": file, "pos": pos, "row": row, "thread": 7, "query": None, **more}


def record(op="c", after=None, before=None, source=None, **more):
    image = None if op == "d" else {"id": 1, **(after or {})}
    old = {"id": 1, **(before or {})} if op == "d" or before is not None else None
    return {"before": old, "after": image, "source": source or postgres(), "op": op, "ts_ms": 1767225661999, "transaction": None, **more}


def schema(**fields):
    """How Kafka Connect describes the columns."""
    described = [{"field": name, "optional": True, **field} for name, field in fields.items()]
    return {"type": "struct", "optional": False, "name": "shop.public.product.Envelope", "fields": [
        {"type": "struct", "fields": described, "optional": True, "name": "shop.public.product.Value", "field": image} for image in ("before", "after")
    ]}


def apply(*records, contract=PRODUCTS):
    lines = [r if isinstance(r, bytes) else json.dumps(r).encode() for r in records]
    done = open_transform("inprocess:", contract, contract, None).apply(Records.of(0, 0, lines))
    assert done.delivered + done.dropped + len(done.rejected) == len(lines)
    return done


def row(*records, contract=PRODUCTS):
    done = apply(*records, contract=contract)
    assert not done.rejected, done.rejected
    return done.rows.to_pylist()[0]


def reasons(*records, contract=PRODUCTS):
    return [rejected.reason for rejected in apply(*records, contract=contract).rejected]


def described(column, value, **field):
    """The value that a column has if it comes with a schema."""
    return row({"schema": schema(**{column: field}), "payload": record(after={column: value})})[column]


@pytest.mark.parametrize("op,expected", [("c", "put"), ("r", "put"), ("u", "put"), ("d", "delete")])
def test_each_operation_is_a_put_or_a_delete(op, expected):
    found = row(record(op, {"title": "tea"}, {"title": "old"}))
    assert (found["_op"], found["_reason"], found["_event_time"]) == (expected, "user" if op == "d" else None, TIME)
    assert found["title"] == ("old" if op == "d" else "tea")


def test_with_and_without_the_wrapping_of_a_schema_a_record_is_the_same():
    plain = record(after={"title": "tea"})
    assert row(plain) == row({"payload": plain}) == row({"schema": None, "payload": plain}) == row({"schema": schema(title={"type": "string"}), "payload": plain})


def test_the_time_is_as_exact_as_the_source_says():
    assert row(record(source=postgres(ts_us=1767225661573241)))["_event_time"] == TIME + timedelta(microseconds=241)
    source = postgres()
    del source["ts_ms"]
    assert row(record(source=source))["_event_time"] == datetime(2026, 1, 1, 0, 1, 1, 999000, UTC)
    assert reasons(record(source=postgres(ts_ms="x"), ts_ms=None)) == ["timestamp_format"]


@given(st.lists(st.integers(0, 2**63), min_size=2, max_size=5, unique=True))
def test_event_ids_of_postgresql_sort_by_lsn(lsns):
    ids = [row(record(source=postgres(lsn)))["_event_id"] for lsn in lsns]
    assert sorted(ids) == [id for _, id in sorted(zip(lsns, ids, strict=True))]


@given(st.lists(st.tuples(st.integers(1, 10**7), st.integers(4, 2**40), st.integers(0, 9999)), min_size=2, max_size=5, unique=True))
def test_event_ids_of_mysql_sort_by_file_position_and_row(places):
    ids = [row(record(source=mysql(f"mysql-bin.{file:06d}", pos, line)))["_event_id"] for file, pos, line in places]
    assert sorted(ids) == [id for _, id in sorted(zip(places, ids, strict=True))]


def test_a_change_that_is_sent_again_has_the_same_id_and_others_do_not():
    one = record("u", {"title": "a"})
    ids = [row(r)["_event_id"] for r in (one, {**one, "ts_ms": 5}, {**one, "after": {"id": 2}}, record("d"), record("r"), record("u", source=mysql()))]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 5
    assert "a" not in row(record("u", {"title": "Zoe"}))["_event_id"].split("-")


def test_a_snapshots_read_stands_before_a_change_of_the_same_place():
    assert row(record("r"))["_event_id"] < row(record("u"))["_event_id"] < row(record("d"))["_event_id"]


@given(st.decimals(-(10**36), 10**36, places=2, allow_nan=False).filter(lambda d: abs(d) < 10**36))
def test_decimals_come_exact_in_each_of_the_three_modes(value):
    sign, digits, _ = value.as_tuple()
    unscaled = int("".join(map(str, digits))) * (-1 if sign else 1)
    data = base64.b64encode(unscaled.to_bytes(unscaled.bit_length() // 8 + 1, "big", signed=True)).decode()
    assert described("price", data, type="bytes", name="org.apache.kafka.connect.data.Decimal", parameters={"scale": "2"}) == value
    assert described("price", {"scale": 2, "value": data}, type="struct", name="io.debezium.data.VariableScaleDecimal") == value
    assert row(record(after={"price": {"scale": 2, "value": data}}))["price"] == value
    assert row(record(after={"price": str(value)}))["price"] == value
    number = json.dumps(record(after={"price": "here"})).replace('"here"', str(value)).encode()
    assert row(number)["price"] == value


def test_a_decimal_in_bytes_without_its_schema_is_no_number():
    (bad,) = apply(record(after={"price": "AwM="})).rejected
    assert (bad.reason, "decimal.handling.mode=string" in bad.detail) == ("number_format", True)
    broken = {"schema": schema(price={"type": "bytes"}), "payload": record(after={"price": "AwM="})}
    assert reasons(broken) == ["number_format"]
    assert reasons(record(after={"price": {"scale": "x", "value": "AwM="}})) == ["number_format"]


@given(st.dates())
def test_dates_are_days_since_1970_or_text(day):
    days = (day - date(1970, 1, 1)).days
    assert described("made_on", days, type="int32", name="io.debezium.time.Date") == day
    assert row(record(after={"made_on": days}))["made_on"] == day
    assert row(record(after={"made_on": day.isoformat()}))["made_on"] == day


@given(st.datetimes(datetime(1, 1, 1), timezones=st.just(UTC)))
def test_times_come_in_every_unit_that_their_schema_names(at):
    micros = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
    whole = at.replace(microsecond=at.microsecond // 1000 * 1000)
    assert described("made_at", micros, type="int64", name="io.debezium.time.MicroTimestamp") == at
    assert described("made_at", micros * 1000, type="int64", name="io.debezium.time.NanoTimestamp") == at
    assert described("made_at", micros // 1000, type="int64", name="io.debezium.time.Timestamp") == whole
    assert described("made_at", at.isoformat(), type="string", name="io.debezium.time.ZonedTimestamp") == at


def test_without_a_schema_a_times_unit_is_told_by_its_size_and_a_warning():
    done = apply(*(record(after={"made_at": 1767225661573241000 // unit}) for unit in (1, 1000, 10**6)), record(after={"made_at": "2026-01-01T00:01:01.573241Z"}))
    exact = TIME + timedelta(microseconds=241)
    assert done.rows["made_at"].to_pylist() == [exact, exact, TIME, exact]
    assert done.warnings == {"precision_inferred": 3}
    assert reasons(record(after={"made_at": 2**63 - 1}), record(after={"made_on": 2**40})) == ["date_format"]


def test_other_kinds_of_values():
    found = row(record(after={"ratio": 0.1, "live": 1, "picture": "AP8=", "tags": '["a", 1.50]', "title": ""}))
    assert (found["ratio"], found["live"], found["picture"], found["tags"], found["title"]) == (0.1, True, b"\x00\xff", '["a",1.50]', "")
    assert row(record(after={"live": False, "tags": [1]}))["live"] is False
    assert str(row(record(after={"ratio": "NaN"}))["ratio"]) == "nan"
    assert reasons(record(after={"live": 2}), record(after={"live": "t"}), record(after={"tags": "{"})) == ["wrong_type", "wrong_type", "invalid_json"]


@pytest.mark.parametrize("placeholder", ["__debezium_unavailable_value", "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==", ["__debezium_unavailable_value"]])
def test_a_value_that_was_not_sent_is_taken_from_the_image_before_or_not_guessed(placeholder):
    assert row(record("u", {"title": placeholder}, {"title": "long"}))["title"] == "long"
    for before in (None, {"title": placeholder}):
        (bad,) = apply(record("u", {"title": placeholder}, before)).rejected
        assert (bad.reason, "REPLICA IDENTITY FULL" in bad.detail) == ("unavailable_value", True)
    assert row(record("u", {"unknown": placeholder}))["title"] is None


def test_a_delete_with_its_key_alone_says_what_is_missing():
    (bad,) = apply(record("d"), contract=STRICT).rejected
    assert (bad.reason, "title" in bad.detail) == ("partial_image", True)
    assert row(record("d"))["_op"] == "delete"
    assert row(record("d", before={"title": "tea"}), contract=STRICT)["title"] == "tea"


def test_a_tombstone_is_dropped_and_a_truncate_is_not_lost():
    done = apply(record(), b"null", b"", b'{"schema":null,"payload":null}', record("t"))
    assert (done.delivered, done.dropped, [r.reason for r in done.rejected]) == (1, 3, ["truncate"])


@pytest.mark.parametrize("other", [
    {}, {"op": "m", "source": {}}, {"op": ["c"], "source": {}}, record(source={"ts_ms": 1}), record(source=mysql(file=None)), record(source=mysql(pos=-1)),
    {"ts_ms": 1767225661573}, record(source=postgres(lsn="5")), record(source=mysql(file="x" * 300 + "1")),
])
def test_what_is_no_change_of_a_row_is_quarantined(other):
    assert reasons(other) == ["not_a_change"]


def test_images_that_are_missing_or_doubled_are_quarantined():
    assert reasons({**record(), "after": None}, b"[]", b'{"payload": 5}', b"{", json.dumps(record()).replace('"id": 1', '"id": 1, "id": 2').encode()) == [
        "no_image", "not_an_object", "not_an_object", "invalid_json", "duplicate_key"
    ]
    assert reasons(record(after={"id": None})) == ["null_key"]
