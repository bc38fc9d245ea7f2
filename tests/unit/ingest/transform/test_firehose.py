"""AWS Lambda handlers with Firehose's contract, run unchanged."""

import base64
import csv
import io
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

import pytest

from caudal.contract import Digits, lambda_handler, read_contract
from caudal.ingest.transform import open_transform
from caudal.records import Records


class Order:
    order_id: str
    note: str | None
    qty: int | None
    amount: Annotated[Decimal, Digits(38, 2)] | None
    ratio: float | None
    at: datetime | None
    photo: bytes | None
    lines: list[dict[str, str]] | None


class Line:
    order_id: str
    sku: str | None
    qty: int | None
    ratio: float | None


ORDER = read_contract(Order, name="order", key=["order_id"])
LINE = read_contract(Line, name="line", key=["order_id"])


class Note:
    order_id: str
    note: str | None


NOTE = read_contract(Note, name="note", key=["order_id"])


def record(n, **row):
    row = json.dumps({"order_id": f"o{n}", **row}).encode()
    return b'{"op":"put","id":"e%d","time":1767225661573241,"row":%b}\n' % (n, row)


def apply(handler, lines, into=LINE):
    done = open_transform("inprocess:", ORDER, into, lambda_handler(handler)).apply(Records.of(3, 50, lines, time=7))
    assert done.delivered + done.dropped + len(done.rejected) == len(lines)
    done.rows.validate(full=True)
    return done


def reasons(done):
    return {r.position - 50: r.reason for r in done.rejected}


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def each(answer):
    """A handler that answers each record with what `answer` makes of its item."""
    def handler(event, context):
        return {"records": [
            {"recordId": r["recordId"], **answer(json.loads(base64.b64decode(r["data"])))} for r in event["records"]
        ]}
    return handler


def ok(text):
    return {"result": "Ok", "data": encoded(text)}


def blueprint(event, context):
    """The handler that everybody copies: JSON in, one CSV line out."""
    out = []
    for r in event["records"]:
        item = json.loads(base64.b64decode(r["data"]))
        line = io.StringIO()
        csv.writer(line, lineterminator="\n").writerow([item["order_id"], item.get("note")])
        out.append({"recordId": r["recordId"], "result": "Ok", "data": encoded(line.getvalue())})
    return {"records": out}


def test_f01_each_line_ends_in_one_newline_whatever_came_and_a_comma_in_a_field_stays():
    given = []

    def handler(event, context):
        given.extend(base64.b64decode(r["data"]) for r in event["records"])
        return blueprint(event, context)

    lines = [record(1, note="a,b").rstrip(b"\n"), record(2, note="x")]
    done = apply(handler, lines, NOTE)
    assert [(row["order_id"], row["note"]) for row in done.rows.to_pylist()] == [("o1", "a,b"), ("o2", "x")]
    assert all(data.endswith(b"}\n") and data.count(b"\n") == 1 for data in given)


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n"])
def test_a_trailing_newline_of_an_answer_makes_no_row(end):
    done = apply(each(lambda item: ok(f"{item['order_id']},a,1,{end}")), [record(1), record(2)])
    assert done.rows["order_id"].to_pylist() == ["o1", "o2"]


def test_f04_one_bad_record_fails_alone_with_its_bytes_as_they_were():
    lines = [record(1, note="fine"), b"oops", record(2, note="bad")]
    done = apply(each(lambda item: {"result": "ProcessingFailed"} if item["note"] == "bad" else ok('{"order_id":"o1"}')), lines)
    assert done.rows["order_id"].to_pylist() == ["o1"]
    assert {r.position - 50: (r.reason, r.raw) for r in done.rejected} == {
        1: ("invalid_json", b"oops"), 2: ("processing_failed", lines[2]),
    }


def test_f14_bytes_that_are_not_utf8_fail_alone():
    done = apply(blueprint, [b'\xff\xfe{"a":1}', record(2, note="x")], NOTE)
    assert reasons(done) == {0: "invalid_utf8"}
    assert done.rows["order_id"].to_pylist() == ["o2"]
    assert reasons(apply(each(lambda item: {"result": "Ok", "data": base64.b64encode(b"\xff,a,1,").decode()}), [record(1)])) == {
        0: "invalid_utf8",
    }


def test_f16_one_record_becomes_several_lines_and_stays_one_record():
    def explode(item):
        return ok("".join(f"{item['order_id']},{line['sku']},{line['qty']},\n" for line in item["lines"]))

    done = apply(each(explode), [record(1, lines=[{"sku": "a", "qty": 1}, {"sku": "b", "qty": 2}])])
    assert [(row["order_id"], row["sku"], row["qty"], row["_event_id"]) for row in done.rows.to_pylist()] == [
        ("o1", "a", 1, "e1"), ("o1", "b", 2, "e1"),
    ]
    assert (done.delivered, len(done.rows)) == (1, 2)


def test_a_record_of_which_one_line_does_not_fit_fails_as_a_whole():
    assert reasons(apply(each(lambda item: ok("o1,a,1,\no1,b,many,\n")), [record(1)])) == {0: "number_format"}


@pytest.mark.parametrize(("answer", "reason"), [
    (lambda r: {"records": []}, "missing_record_id"),
    (lambda r: {"records": [{"recordId": r["recordId"], "result": "Ok", "data": encoded("o1,a,1,")}] * 2}, "repeated_record_id"),
    (lambda r: {"records": [{"recordId": "who", "result": "Ok", "data": ""}]}, "foreign_record_id"),
    (lambda r: {"records": [{"recordId": ["o"], "result": "Ok", "data": ""}]}, "foreign_record_id"),
    (lambda r: {"records": [{"recordId": r["recordId"], "result": "Fine"}]}, "transform_output"),
    (lambda r: {"records": [{"recordId": r["recordId"], "result": "Ok"}]}, "transform_output"),
    (lambda r: {"records": [{"recordId": r["recordId"], "result": "Ok", "data": "%%%"}]}, "transform_output"),
    (lambda r: {"records": [{"recordId": r["recordId"], "result": "Ok", "data": 5}]}, "transform_output"),
    (lambda r: {"records": [{"recordId": r["recordId"], "result": "Ok", "data": "\u00e9"}]}, "transform_output"),
    (lambda r: {"records": [{"recordId": r["recordId"], "result": "Ok", "data": encoded("o1,a\n")}]}, "csv_fields"),
    (lambda r: {"records": [{"recordId": r["recordId"], "result": "Ok", "data": encoded('o1,"a,1,\n')}]}, "csv_fields"),
    (lambda r: {"records": [{"recordId": r["recordId"], "result": "Ok", "data": encoded('{"order_id":')}]}, "invalid_json"),
    (lambda r: {"records": [5]}, "transform_output"), (lambda r: {"records": 5}, "transform_output"),
    (lambda r: None, "transform_output"),
    (lambda r: 1 / 0, "transform_raised"), (lambda r: exec("raise SystemExit"), "transform_raised"),
])
def test_an_answer_of_the_wrong_shape_fails_its_own_record(answer, reason):
    def handler(event, context):
        records = []
        for r in event["records"]:
            if json.loads(base64.b64decode(r["data"]))["order_id"] != "o3":
                records.append({"recordId": r["recordId"], "result": "Ok", "data": encoded("o1,a,1,\n")})
            elif isinstance(made := answer(r), dict) and isinstance(made["records"], list):
                records += made["records"]
            else:
                return made
        return {"records": records}

    done = apply(handler, [record(n) for n in range(7)])
    assert reasons(done) == {3: reason}
    assert done.rows["_position"].to_pylist() == [50, 51, 52, 54, 55, 56]


def test_a_dropped_record_is_counted():
    done = apply(each(lambda item: {"result": "Dropped"} if item["order_id"] == "o1" else ok("o2,a,1,")), [record(1), record(2)])
    assert (done.delivered, done.dropped) == (1, 1)


def test_c21_a_csv_answer_tells_null_from_the_empty_text_and_from_nan():
    done = apply(each(lambda item: ok('o1,,1,1.5\no1,"",2,NaN\no1,a,,\n')), [record(1)])
    assert done.rows["sku"].to_pylist() == [None, "", "a"]
    assert done.rows["qty"].to_pylist() == [1, 2, None]
    ratios = done.rows["ratio"].to_pylist()
    assert (ratios[0], str(ratios[1]), ratios[2]) == (1.5, "nan", None)


def test_a_quoted_field_may_hold_newlines_commas_and_quotes():
    done = apply(each(lambda item: ok('o1,"a,\n""b""",1,\n')), [record(1)])
    assert done.rows["sku"].to_pylist() == ['a,\n"b"']


def test_a_number_with_json_behind_it_is_not_a_number():
    assert reasons(apply(each(lambda item: ok('o1,a,"5,""v"":6",\n')), [record(1)])) == {0: "number_format"}


def test_a_handler_sees_exact_json_and_the_fields_that_firehose_gives():
    events = []

    def handler(event, context):
        events.append(event)
        return blueprint(event, context)

    text = (
        b'{"op":"put","id":"e1","time":1767225661573241,"row":{"order_id":"o1","amount":123456789012345678901234567890123456.78,'
        b'"ratio":1e300,"at":"2026-01-31T12:00:00Z","photo":{"$bytes":"AAEC"},"lines":[{"q":1.50}]}}'
    )
    apply(handler, [text], NOTE)
    (sent,) = events[0]["records"]
    assert base64.b64decode(sent["data"]) == (
        b'{"order_id":"o1","note":null,"qty":null,"amount":123456789012345678901234567890123456.78,"ratio":1e300,'
        b'"at":"2026-01-31T12:00:00.000000Z","photo":{"$bytes":"AAEC"},"lines":[{"q":1.50}]}\n'
    )
    assert sent["recordId"] == "3-50"
    assert sent["approximateArrivalTimestamp"] == 1767225661573
    assert {"invocationId", "deliveryStreamArn", "region"} < events[0].keys()


def test_many_records_are_given_in_invocations_of_a_bounded_size():
    sizes = []

    def handler(event, context):
        sizes.append(sum(len(r["data"]) for r in event["records"]))
        return blueprint(event, context)

    done = apply(handler, [record(n, note="x" * 500_000) for n in range(12)], NOTE)
    assert done.delivered == 12
    assert len(sizes) > 1
    assert max(sizes) <= 3 << 20


def test_a_row_keeps_the_identity_of_its_record():
    (row,) = apply(each(lambda item: ok('{"order_id":"x","_event_id":"forged","_position":9}')), [record(1)]).rows.to_pylist()
    assert (row["_event_id"], row["_position"], row["_shard"], row["_op"]) == ("e1", 50, 3, "put")
    assert row["_event_time"] == datetime(2026, 1, 1, 0, 1, 1, 573241, UTC)
