"""Records to rows: the fast path and the exact one agree, and each record is accounted for once, alone."""

import base64
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal.contract import Digits, read_contract
from caudal.ingest.transform.decode import Decoder
from caudal.records import Records


class Flat:
    id: str
    count: int
    price: Annotated[Decimal, Digits(12, 2)]
    big: Annotated[Decimal, Digits(38, 0)] | None
    ratio: float | None
    paid: bool | None
    day: date | None
    at: datetime | None
    channel: Literal["web", "shop"] | None


class Nested(Flat):
    photo: bytes | None
    tags: list[str] | None
    where: dict[str, int] | None


EXAMPLES = 40

CONTRACTS = {cls: read_contract(cls, name="sale", key=["id"]) for cls in (Flat, Nested)}

GOOD = {
    "id": '"o1"', "count": "5", "price": "12.50", "big": "12345678901234567890123456789012345678", "ratio": "0.1",
    "paid": "true", "day": '"2026-01-31"', "at": '"2026-01-31T12:00:00.573241Z"', "channel": '"web"',
}
GOOD_NESTED = {"photo": '{"$bytes":"AAEC"}', "tags": '["a", {"b": 1.50}]', "where": '{"x" : [1,2]}'}


class SlowDecoder(Decoder):
    """Reads every record by itself."""

    def __init__(self, *about):
        super().__init__(*about)
        self._form.columns = lambda records: None


def text_of(members):
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in members) + "}"


def as_caudal(members):
    return '{"op":"put","id":"e1","time":1767225661573241,"row":%s}' % text_of(members)  # noqa: UP031 - braces


def as_dynamodb(members):
    image = text_of((name, attribute(name, value)) for name, value in members)
    return (
        '{"eventID":"e1","eventName":"INSERT","dynamodb":{"ApproximateCreationDateTime":1767225661573,"NewImage":%s}}'  # noqa: UP031
        % image
    )


AS_DYNAMODB = {
    GOOD_NESTED["photo"]: '{"B":"AAEC"}', GOOD_NESTED["tags"]: '{"L":[{"S":"a"},{"M":{"b":{"N":"1.50"}}}]}',
    GOOD_NESTED["where"]: '{"M":{"x":{"L":[{"N":"1"},{"N":"2"}]}}}',
}
TAGS = {"count": "N", "price": "N", "big": "N", "ratio": "N", "paid": "BOOL"}


def attribute(name, value):
    """A value as DynamoDB writes it, when it is one that it has; else as it is."""
    if value == "null":
        return '{"NULL":true}'
    if value in AS_DYNAMODB:
        return AS_DYNAMODB[value]
    tag = TAGS.get(name, "S")
    return f'{{"{tag}":{json.dumps(value) if tag == "N" and value[0] not in chr(34) + "{[tf" else value}}}'


FORMS = {"caudal": as_caudal, "plain": text_of, "dynamodb": as_dynamodb}


def outcome(decoder, lines, first=10):
    """Position to the record's row, or to why it is none and its bytes; as text, for -0.0 and 1.50 are what they are."""
    decoded = decoder.decode(Records.of(2, first, lines, time=1_767_225_661_000_000))
    rows = {row["_position"]: repr(row) for row in decoded.rows.to_pylist()}
    bad = {r.position: (r.reason, r.raw) for r in decoded.rejected}
    assert len(rows) + len(bad) == len(decoded.rows) + len(decoded.rejected) == len(lines)
    assert {**rows, **bad}.keys() == set(range(first, first + len(lines)))
    assert all(raw == lines[position - first] for position, (_, raw) in bad.items())
    assert decoded.rows["_position"].to_pylist() == sorted(rows)
    assert decoded.rows.schema == decoder.schema
    decoded.rows.validate(full=True)
    return {**rows, **bad}, +decoded.warnings


numbers = st.one_of(
    st.integers(-(10**19), 10**19).map(str), st.integers(-(2**63) - 2, 2**63 + 1).map(str), st.decimals(allow_nan=False).map(str),
    st.floats().map(repr), st.integers(0, 10**40).map(str),
    st.sampled_from([
        "0", "-0", "-0.0", "1.0", "1e2", "1E+2", "1.50", "1.500", "1.005", "9999999999.99", "10000000000", "1e-2", "1e-3",
        "1e400",
        "-1e400", "1e-400", "1" * 400, "1" * 5000, "0." + "0" * 500 + "1", "1" + "0" * 60, "1e999999999999", "1e-99999",
        "9223372036854775807", "9223372036854775808", "-9223372036854775808", "9007199254740993", "0e-99999", "1e-999999999999999999999", "-0e0", "NaN", "Infinity",
        "-Infinity", "Inf", "-Inf", "01", "+1", ".5", "5.", "0x10", "1_0", "1" * 38, "1" * 39, "0.1" + "0" * 40,
    ]),
)
texts = st.one_of(
    st.text(max_size=8).map(json.dumps), st.text(max_size=8).map(lambda text: json.dumps(text, ensure_ascii=False)),
    st.sampled_from([
        r'"\ud800"', r'"\udc00"', r'"\ud83d\ude00"', r'"\u0000"', '""', '"web"', '"shop"', '"1.5"', '"abc"', '"0x10"',
        '"1e00002"',
        '"+1"', '".5"', '"5."', '" 1"', '"1_0"', '"NaN"', '"Infinity"', '"nan"', '"-0"', '"5"', '"AAEC"', '"true"',
        '"a: Info, NaN]"',
        '"' + "9" * 39 + '"',
        '"2026-01-31"', '"2026-02-30"', '"0000-01-01"', '"0001-01-01"', '"9999-12-31"', '"2026-1-031"', '"10000-01-01"',
        '"2026-01-31T05"', '"2026-01-31T05Z"', '"2026-01-31 05:06"', '"2026-01-31T05:06:07"', '"2026-01-31T05:06:07.1+05:30"',
        '"2026-01-31T05:06:07+0530"', '"2026-01-31T05:06:07+05"', '"2026-01-31T05:06:07+05:99"', '"2026-01-31T05:06:07+25:00"',
        '"2026-01-31T05:06:07-24:00"', '"2026-01-31T05:06:07.123456789Z"', '"2026-01-31T05:06:07.123456000Z"',
        '"2026-01-31T24:00Z"',
        '"2026-01-31T05:06:60Z"', '"2026-01-31T05:06:07 Z"', '"2026-01-31T05:06:07z"', '"0001-01-01T00:00:00+01:00"',
        '"9999-12-31T23:59:59.999999Z"', '"9999-12-31T23:59:59-01:00"', '"0000-06-01T00:00:00Z"',
    ]),
)
plain_values = st.one_of(numbers, texts, st.sampled_from(["null", "true", "false"]))
values = st.recursive(
    plain_values,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda many: "[" + ", ".join(many) + "]"),
        st.lists(st.tuples(st.sampled_from(["a", "b", "$bytes", "S", "N", "NULL", "BOOL"]), inner), max_size=3).map(text_of),
    ),
    max_leaves=4,
)
bytes_values = st.binary(max_size=6).map(lambda data: '{"$bytes":"%s"}' % base64.b64encode(data).decode())  # noqa: UP031
names = st.sampled_from([*GOOD, *GOOD_NESTED, "other", "_op", "ID"])


@st.composite
def members(draw):
    """The members of a good row, with a few of them changed, gone or there twice."""
    made = dict(GOOD | GOOD_NESTED)
    for name in draw(st.lists(names, max_size=3)):
        made[name] = draw(bytes_values if name == "photo" and draw(st.booleans()) else values)
    for name in draw(st.lists(names, max_size=2)):
        made.pop(name, None)
    made = list(made.items())
    if draw(st.integers(0, 9)) == 0:
        made.insert(draw(st.integers(0, len(made))), (draw(names), draw(values)))
    return made


@st.composite
def damages(draw):
    """What may happen to a record's bytes."""
    kind = draw(st.sampled_from(["none"] * 6 + ["cut", "two", "lines", "newline", "bare", "byte", "bom", "spaces", "tail"]))
    place, byte = draw(st.floats(0, 1)), draw(st.sampled_from([b"\xff", b"\x00", b"\xc3", b"}", b"{", b"\n", b'"', b"\\"]))

    def damage(line):
        at = int(place * len(line))
        return {
            "none": line + b"\n", "cut": line[:at], "two": line + line + b"\n", "lines": line + b"\n" + line + b"\n",
            "newline": line.replace(b",", b",\n", 2) + b"\n", "bare": line, "byte": line[:at] + byte + line[at:] + b"\n",
            "bom": b"\xef\xbb\xbf" + line + b"\n", "spaces": b" " + line + b" \n", "tail": line + b",\n",
        }[kind]

    return damage


whole_records = st.tuples(members(), damages())
odd_records = st.sampled_from([b"", b"\n", b"{}", b"{}\n", b"[]\n", b"null\n", b"5", b"oops", b"\xff\xfe", b"{" * 300,
                               b"[" * 3000,
                               b'{"op":"rejected"}\n', b'{"op":"put","id":5,"time":1,"row":{}}\n', b'{"a":1}{"a":2}\n'])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("cls", CONTRACTS)
@settings(max_examples=EXAMPLES, deadline=None)
@given(given_records=st.lists(whole_records | odd_records, min_size=1, max_size=5))
def test_both_paths_agree_on_every_record_whatever_its_neighbours(form, cls, given_records):
    lines = [
        record if isinstance(record, bytes) else record[1](FORMS[form](record[0]).encode("utf-8", "surrogatepass"))
        for record in given_records
    ]
    contract = CONTRACTS[cls]
    decoder, slow = Decoder(contract, form), SlowDecoder(contract, form)
    expected, warned = outcome(slow, lines)
    assert outcome(decoder, lines) == (expected, warned)
    alone = {10 + n: outcome(decoder, [line], 10 + n)[0][10 + n] for n, line in enumerate(lines)}
    assert alone == expected
    good = (FORMS[form](list((GOOD | GOOD_NESTED).items())) + "\n").encode()
    crowd = [good] * 33 + lines + [good] * 33
    rows, _ = outcome(decoder, crowd, first=10 - 33)
    assert {position: rows[position] for position in expected} == expected
    fitting = sum(isinstance(row, str) for row in expected.values())
    assert sum(isinstance(row, str) for row in rows.values()) == 66 + fitting


@pytest.mark.parametrize("form", FORMS)
def test_a_poison_record_leaves_its_neighbours_delivered_wherever_it_is(form):
    good = (FORMS[form](list(GOOD.items())) + "\n").encode()
    decoder = Decoder(CONTRACTS[Flat], form)
    for poison in (b"oops", good[:-9], good.replace(b"12.50", b"12.505"), good.replace(b"o1", b"\xff"), b""):
        for place in range(0, 200, 13):
            lines = [good] * 200
            lines[place] = poison
            decoded = decoder.decode(Records.of(0, 0, lines))
            assert [(r.position, r.raw) for r in decoded.rejected] == [(place, poison)]
            assert decoded.rows["_position"].to_pylist() == [n for n in range(200) if n != place]


@pytest.mark.parametrize("form", FORMS)
def test_what_is_nested_too_deeply_to_read_is_refused_alone(form):
    deep = "[" * 50_000 + "]" * 50_000
    members = {**GOOD, **GOOD_NESTED, "tags": f'{{"L":{deep}}}' if form == "dynamodb" else deep}
    good = (FORMS[form](list((GOOD | GOOD_NESTED).items())) + "\n").encode()
    bad = (FORMS[form](list(members.items())) + "\n").encode()
    rows, _ = outcome(Decoder(CONTRACTS[Nested], form), [good, bad] * 40)
    assert [why for why, _ in filter(lambda row: isinstance(row, tuple), rows.values())] == ["invalid_json"] * 40


def decoded(row, cls=Flat):
    """The row that members over the good ones become, or the reason for which it is none."""
    line = text_of({**GOOD, **(GOOD_NESTED if cls is Nested else {}), **row}.items()).encode() + b"\n"
    found = Decoder(CONTRACTS[cls], "plain").decode(Records.of(0, 0, [line]))
    return found.rejected[0].reason if found.rejected else found.rows.to_pylist()[0]


@pytest.mark.parametrize(("column", "given_text", "expected"), [
    ("count", "9223372036854775807", 2**63 - 1), ("count", "-9223372036854775808", -(2**63)),
    ("count", "9007199254740993", 2**53 + 1),
    ("count", "9223372036854775808", "integer_overflow"), ("count", "1.0", 1), ("count", "1e3", 1000),
    ("count", "1.5", "not_an_integer"),
    ("count", '"5"', "wrong_type"), ("count", "true", "wrong_type"), ("count", "null", "missing_required"),
    ("price", "9999999999.99", Decimal("9999999999.99")), ("price", "10000000000", "decimal_overflow"),
    ("price", "0.1", Decimal("0.10")),
    ("price", "0.005", "decimal_scale"), ("price", "1e-99999", "decimal_scale"), ("price", '"12.5"', Decimal("12.50")),
    ("price", '"twelve"', "number_format"), ("price", "-0", Decimal("0.00")),
    ("big", "1" * 38, Decimal("1" * 38)), ("big", "-" + "9" * 38, Decimal("-" + "9" * 38)), ("big", "1" * 39, "number_precision"),
    ("big", "1" * 5000, "number_precision"),
    ("ratio", "0.1", 0.1), ("ratio", "1e400", "float_overflow"), ("ratio", "1" * 399, "float_overflow"),
    ("ratio", "NaN", "invalid_json"),
    ("ratio", "Infinity", "invalid_json"), ("paid", '"true"', "wrong_type"), ("paid", "1", "wrong_type"),
    ("day", '"2026-02-30"', "date_format"), ("day", '"2024-02-29"', date(2024, 2, 29)), ("day", '"0000-01-01"', "date_format"),
    ("at", '"2026-01-31T12:00:00.000001Z"', datetime(2026, 1, 31, 12, 0, 0, 1, UTC)),
    ("at", '"2026-01-31T12:00:00+02:00"', datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ("at", '"9999-12-31T23:59:59-01:00"', "timestamp_format"), ("at", '"2026-01-31T12:00:00+05:99"', "timestamp_format"),
    ("channel", '"kiosk"', "not_in_enumeration"), ("id", r'"\ud800"', "invalid_unicode"), ("id", r'"a\u0000b"', "a\x00b"),
])
def test_a_value_is_exact_or_refused_with_its_reason(column, given_text, expected):
    found = decoded({column: given_text})
    assert (found if isinstance(found, str) else found[column]) == expected


def test_null_and_missing_and_empty_are_not_the_same():
    line = text_of({**GOOD, "channel": "null", "id": '""'}.items()).encode()
    row = Decoder(CONTRACTS[Flat], "plain").decode(Records.of(0, 0, [line])).rows.to_pylist()[0]
    assert (row["channel"], row["id"]) == (None, "")
    assert decoded({"id": "null"}) == "null_key"


def test_nested_values_are_kept_as_they_came():
    row = decoded({"tags": '[1.50,  1e5, 9007199254740993, "\\u00e9", {"a":1,"a":2}]', "where": "{}"}, Nested)
    assert row["tags"] == '[1.50,  1e5, 9007199254740993, "\\u00e9", {"a":1,"a":2}]'
    assert row["where"] == "{}"
    assert row["photo"] == b"\x00\x01\x02"


def test_l01_a_record_without_its_key_is_quarantined():
    line = text_of((name, value) for name, value in GOOD.items() if name != "id").encode() + b"\n"
    found = Decoder(CONTRACTS[Flat], "plain").decode(Records.of(0, 7, [line]))
    assert len(found.rows) == 0
    assert [(r.position, r.reason) for r in found.rejected] == [(7, "null_key")]


def test_l08_nanoseconds_are_cut_to_microseconds_and_counted():
    lines = [text_of({**GOOD, "at": f'"{at}"'}.items()).encode() for at in (
        "2026-01-01T00:00:00.123456789", "2026-01-01T00:00:00.123456000", "2026-01-01T00:00:00.123456",
    )]
    found = Decoder(CONTRACTS[Flat], "plain").decode(Records.of(0, 0, lines))
    assert found.rows["at"].to_pylist() == [datetime(2026, 1, 1, 0, 0, 0, 123456, UTC)] * 3
    assert found.warnings == {"timestamp_truncated": 1}


def test_a_rejected_record_keeps_the_bytes_that_it_carries():
    decoder = Decoder(CONTRACTS[Flat])
    raw = base64.b64encode(b"1,a\xff\n").decode()
    line = b'{"op":"rejected","id":"x","time":1,"why":"too_few_fields","detail":"line 2","raw":"%b"}\n' % raw.encode()
    found = decoder.decode(Records.of(0, 5, [line], time=9))
    assert found.rejected == [(0, 5, 9, "too_few_fields", "line 2", b"1,a\xff\n", "")]
    odd = line.replace(b'"line 2"', rb'"\ud800"').replace(raw.encode(), b"\xc3\xa9")
    assert [r.reason for r in decoder.decode(Records.of(0, 0, [odd])).rejected] == ["not_a_change"]


def test_records_of_no_length_make_no_rows():
    assert len(Decoder(CONTRACTS[Flat]).decode(Records.of(0, 0, [])).rows) == 0


def test_records_that_are_a_slice_read_like_records_that_are_whole():
    lines = [text_of({**GOOD, "count": str(n)}.items()).encode() + b"\n" for n in range(9)]
    found = Decoder(CONTRACTS[Flat], "plain").decode(Records.of(1, 100, lines)[3:7])
    assert found.rows["count"].to_pylist() == [3, 4, 5, 6]
    assert found.rows["_position"].to_pylist() == [103, 104, 105, 106]
    assert np.unique(found.rows["_shard"].to_numpy()).tolist() == [1]


@pytest.mark.parametrize("form", FORMS)
def test_what_several_threads_decode_is_in_order_and_whole(form, monkeypatch):
    monkeypatch.setattr("caudal.ingest.transform.decode.PART", 1000)
    lines = [FORMS[form]({**GOOD, "count": str(n)}.items()).encode() for n in range(500)]
    bad = [0, 7, 250, 251, 499]
    for n in bad:
        lines[n] = b"oops" * (n + 1)
    found = Decoder(CONTRACTS[Flat], form).decode(Records.of(1, 100, lines))
    assert found.rows["count"].to_pylist() == [n for n in range(500) if n not in bad]
    assert found.rows["_position"].to_pylist() == [100 + n for n in range(500) if n not in bad]
    assert [(record.position, record.raw) for record in found.rejected] == [(100 + n, lines[n]) for n in bad]


@pytest.mark.parametrize(("time", "reason"), [("1767225661573241.0", None), ("1767225661573241.5", "not_a_change"), ("true", "not_a_change"), ("1e15", None)])
def test_a_time_is_whole_however_it_is_written(time, reason):
    line = as_caudal(GOOD.items()).replace("1767225661573241", time).encode()
    for decoder in (Decoder(CONTRACTS[Flat]), SlowDecoder(CONTRACTS[Flat])):
        found = decoder.decode(Records.of(0, 0, [line]))
        assert [record.reason for record in found.rejected] == ([reason] if reason else [])
