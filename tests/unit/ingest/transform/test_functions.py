"""The user's function, per record and per batch: whatever it does, each record is accounted for, alone."""

import sys
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from caudal.contract import Delivery, Digits, UserFunction, per_batch, read_contract
from caudal.errors import ContractError
from caudal.ingest.transform import check_delivery, open_transform
from caudal.records import Records


class Sale:
    id: str
    count: int
    price: Annotated[Decimal, Digits(12, 2)]
    ratio: float | None
    day: date | None
    at: datetime | None
    photo: bytes | None
    tags: list[str] | None
    channel: Literal["web", "shop"] | None


class Price:
    price: Annotated[Decimal, Digits(10, 2)] | None
    at: datetime | None
    count: int | None


SALE = read_contract(Sale, name="sale", key=["id"])
PRICE = read_contract(Price, name="price")


def record(n, **more):
    row = {
        "id": f'"o{n}"', "count": str(n), "price": "1.50", "ratio": "1e300", "day": '"2026-01-31"',
        "at": '"2026-01-31T12:00:00.5Z"',
        "photo": '{"$bytes":"AAEC"}', "tags": '["a",{"b":1.50}]', "channel": '"web"', **more,
    }
    inner = ",".join(f'"{name}":{value}' for name, value in row.items())
    return b'{"op":"put","id":"e%d","time":1767225661573241,"row":{%b}}\n' % (n, inner.encode())


def apply(function, lines, into=SALE):
    function = function if isinstance(function, UserFunction) else UserFunction(function)
    done = open_transform("inprocess:", SALE, into, function).apply(Records.of(1, 100, lines, time=7))
    assert done.delivered + done.dropped + len(done.rejected) == len(lines)
    assert done.delivered == len(pc.unique(done.rows["_position"]))
    assert done.rows.schema == into.row_schema
    done.rows.validate(full=True)
    return done


def reasons(done):
    return {r.position - 100: r.reason for r in done.rejected}


def plain(lines):
    return open_transform("inprocess:", SALE, SALE, None).apply(Records.of(1, 100, lines, time=7)).rows


@pytest.mark.parametrize("function", [UserFunction(lambda item: item), per_batch(lambda rows: rows)])
def test_a_function_that_changes_nothing_changes_nothing(function):
    lines = [record(n) for n in range(3)] + [record(3, ratio="null", at="null", photo="null", tags="null", channel="null")]
    assert apply(function, lines).rows.equals(plain(lines))


def test_each_record_becomes_rows_or_none_or_fails_alone():
    def function(item):
        return [item, {**item, "count": 100},
        {**item}] if item["count"] == 0 else None if item["count"] == 1 else 1 / (item["count"] - 2)

    lines = [record(n) for n in range(4)] + [b"oops"]
    done = apply(function, lines)
    assert done.rows["_position"].to_pylist() == [100, 100, 100]
    assert done.rows["_event_id"].to_pylist() == ["e0"] * 3
    assert done.rows["count"].to_pylist() == [0, 100, 0]
    assert (done.delivered, done.dropped) == (1, 1)
    assert reasons(done) == {2: "transform_raised", 3: "transform_output", 4: "invalid_json"}
    assert [r.raw for r in done.rejected] == [lines[4], lines[2], lines[3]]


@pytest.mark.parametrize(("made", "reason"), [
    ("text", "transform_output"), (5, "transform_output"), ([1], "transform_output"), ((), "transform_output"),
    ({"id": None}, "null_key"), ({"count": "5"}, "wrong_type"), ({"count": None}, "missing_required"),
    ({"count": 2**63}, "integer_overflow"),
    ({"price": Decimal("1.505")}, "decimal_scale"), ({"price": Decimal("NaN")}, "number_format"),
    ({"price": 10**11}, "decimal_overflow"), ({"ratio": 10**400}, "float_overflow"),
    ({"ratio": Decimal("sNaN")}, "float_overflow"),
    ({"at": datetime.max.replace(tzinfo=timezone(-timedelta(hours=5)))}, "timestamp_format"),
    ({"at": "yesterday"}, "timestamp_format"),
    ({"day": datetime(2026, 1, 1)}, "date_format"), ({"tags": "a"}, "wrong_type"),
    ({"tags": [datetime(2026, 1, 1)]}, "wrong_type"),
    ({"tags": [float("nan")]}, "wrong_type"), ({"tags": ["\ud800"]}, "invalid_unicode"), ({"photo": 5}, "wrong_type"),
    ({"channel": "kiosk"}, "not_in_enumeration"),
])
def test_an_answer_of_the_wrong_shape_is_quarantined_with_its_reason(made, reason):
    def function(item):
        return item if item["count"] else {**item, **made} if isinstance(made, dict) else made

    assert reasons(apply(function, [record(1), record(0), record(2)])) == {1: reason}


def test_an_answer_that_holds_itself_is_quarantined():
    def function(item):
        item["tags"].append(item["tags"])
        return item

    assert reasons(apply(function, [record(1)])) == {0: "invalid_json"}


@pytest.mark.parametrize("function", [UserFunction(lambda item: sys.exit(3)), per_batch(lambda rows: sys.exit(3))])
def test_a_function_that_ends_the_process_does_not(function):
    assert reasons(apply(function, [record(1), record(2)])) == {0: "transform_raised", 1: "transform_raised"}


def test_a_function_sees_exact_values_of_the_columns_own_types():
    seen = []

    def function(item):
        seen.append(item)

    apply(function, [record(5)])
    assert seen == [{
        "id": "o5", "count": 5, "price": Decimal("1.50"), "ratio": 1e300, "day": date(2026, 1, 31),
        "at": datetime(2026, 1, 31, 12, 0, 0, 500_000, UTC), "photo": b"\x00\x01\x02", "tags": ["a", {"b": Decimal("1.50")}],
        "channel": "web",
    }]


def test_what_a_function_raised_is_told_without_what_it_said():
    def function(item):
        raise ValueError("ann@example.org")

    (bad,) = apply(function, [record(1)]).rejected
    assert bad.detail.startswith("function raised ValueError at line ")
    assert "ann" not in bad.detail


def test_a_batch_that_raises_is_tried_in_halves_down_to_the_record_at_fault():
    calls = []

    def function(rows):
        calls.append(len(rows))
        if 77 in rows["count"].to_pylist():
            raise ValueError(77)
        return rows

    done = apply(per_batch(function), [record(n) for n in range(100)])
    assert reasons(done) == {77: "transform_raised"}
    assert done.delivered == 99
    assert len(calls) < 20


def test_a_batch_may_drop_and_multiply_and_reorder_rows():
    def function(rows):
        kept = rows.filter(pc.not_equal(rows["count"], 1))
        return pa.concat_tables([kept, kept.slice(0, 1)]).sort_by([("count", "descending")])

    done = apply(per_batch(function), [record(n) for n in range(3)])
    assert (done.delivered, done.dropped) == (2, 1)
    assert done.rows["count"].to_pylist() == [2, 0, 0]
    assert done.rows["_position"].to_pylist() == [102, 100, 100]


def test_a_value_that_does_not_fit_fails_its_own_record_and_the_batch_is_not_run_again():
    calls = []

    def function(rows):
        calls.append(len(rows))
        prices = [Decimal("123456789.99") if n == 3 else Decimal("1.50") for n in rows["count"].to_pylist()]
        return rows.set_column(rows.column_names.index("price"), "price", pa.array(prices, pa.decimal128(38, 2)))

    done = apply(per_batch(function), [record(n) for n in range(6)], PRICE)
    assert reasons(done) == {3: "decimal_overflow"}
    assert done.rows["price"].to_pylist() == [Decimal("1.50")] * 5
    assert calls == [6]


def test_l07_a_larger_precision_fits_where_the_values_do():
    def function(rows):
        return rows.set_column(
            rows.column_names.index("price"), "price", pa.array([Decimal("1.50"), Decimal("123456789.99")], pa.decimal128(38, 2)),
        )

    done = apply(per_batch(function), [record(0), record(1)], PRICE)
    assert done.rows["price"].to_pylist() == [Decimal("1.50")]
    assert reasons(done) == {1: "decimal_overflow"}


@pytest.mark.parametrize(("name", "values", "reason"), [
    ("price", pa.array([1.005]), "decimal_scale"), ("price", pa.array(["1.5x"]), "number_format"),
    ("count", pa.array(["5"]), "wrong_type"),
    ("count", pa.array([True]), "wrong_type"), ("count", pa.array([2**64 - 1], pa.uint64()), "integer_overflow"),
    ("count", pa.array([1.5]), "not_an_integer"), ("at", pa.array([5]), "timestamp_format"),
    ("at", pa.array([2**62], pa.timestamp("us")), "timestamp_format"),
    ("at", pa.array([-(2**62)], pa.timestamp("us", "UTC")), "timestamp_format"),
])
def test_a_batch_column_of_another_type_is_never_guessed(name, values, reason):
    made = apply(per_batch(lambda rows: rows.select(["_position"]).append_column(name,
    pa.chunked_array([values]))), [record(0)], PRICE)
    assert reasons(made) == {0: reason}


@pytest.mark.parametrize(("name", "values", "expected"), [
    ("price", pa.array([1.5]), Decimal("1.50")), ("price", pa.array([7], pa.int8()), Decimal("7.00")),
    ("count", pa.array([5.0]), 5),
    ("count", pa.array([5], pa.uint8()), 5), ("count", pa.nulls(1), None),
    ("price", pa.array([Decimal("1.5")]).dictionary_encode(), Decimal("1.50")),
    ("at", pa.array([1_000_001], pa.timestamp("us")), datetime(1970, 1, 1, 0, 0, 1, 1, UTC)),
    ("at", pa.array([1_000], pa.timestamp("ms", "Europe/Madrid")), datetime(1970, 1, 1, 0, 0, 1, 0, UTC)),
])
def test_a_batch_column_that_loses_nothing_is_taken(name, values, expected):
    made = apply(per_batch(lambda rows: rows.select(["_position"]).append_column(name,
    pa.chunked_array([values]))), [record(0)], PRICE)
    assert made.rows[name].to_pylist() == [expected]


def test_nanoseconds_of_a_batch_are_cut_and_counted():
    values = pa.chunked_array([pa.array([1_001, 2_000], pa.timestamp("ns"))])
    made = apply(per_batch(lambda rows: rows.select(["_position"]).append_column("at", values)), [record(0), record(1)], PRICE)
    assert made.rows["at"].cast(pa.int64()).to_pylist() == [1, 2]
    assert made.warnings == {"timestamp_truncated": 1}


@pytest.mark.parametrize("made", [None, 5, pa.table({"count": [1]}), pa.table({"_position": [999]}),
pa.table({"_position": [None]})])
def test_a_batch_answer_of_no_use_is_quarantined(made):
    assert reasons(apply(per_batch(lambda rows: made), [record(0)], PRICE)) == {0: "transform_output"}


def test_a_batch_of_which_every_record_is_bad_calls_nobody():
    calls = []
    done = apply(per_batch(lambda rows: calls.append(rows)), [b"oops"])
    assert (calls, reasons(done)) == ([], {0: "invalid_json"})


@pytest.mark.parametrize(("function", "message"), [
    (lambda rows: rows.select(["id"]), "gives no column"), (lambda rows: rows["none"], "fails on an empty table"),
    (lambda rows: None, "returns a NoneType"), (lambda rows: rows.drop_columns(["_position"]), "no column _position"),
])
def test_a_batch_function_that_cannot_work_is_refused_when_it_is_declared(function, message):
    with pytest.raises(ContractError, match=message):
        check_delivery(SALE, SALE, Delivery(transform=per_batch(function)))
