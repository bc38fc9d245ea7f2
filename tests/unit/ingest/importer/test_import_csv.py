"""CSV of other people: what fits is imported exactly, and what does not is quarantined with its reason."""

import gzip
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Literal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal.contract import Digits, read_contract
from caudal.errors import UsageError
from caudal.ingest.importer.csv import read_csv
from caudal.ingest.items import decode_item, encode_item


class Sale:
    id: str
    name: str | None
    qty: int | None
    amount: Annotated[Decimal, Digits(12, 2)] | None
    ratio: float | None
    paid: bool | None
    day: date | None
    at: datetime | None
    photo: bytes | None
    tags: list[str] | None
    channel: Literal["web", "shop"] | None


SALE = read_contract(Sale, name="sale", key=["id"])


@pytest.fixture
def read(tmp_path):
    """Reads CSV bytes; returns the items, and reason and raw bytes of each bad line."""
    def reading(data, name="sale.csv", locale="", contract=SALE):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        blocks = list(read_csv(path, contract, locale))
        return [item for block in blocks for item in block.items], [bad for block in blocks for bad in block.rejected]

    return reading


def reasons(bad):
    return [line.reason for line in bad]


def test_c07_short_and_long_lines_are_quarantined_and_their_neighbours_are_not(read):
    items, bad = read("id,name,qty\n1,a,2\n2,b\n3,c,4,extra\n")
    assert items == [{"id": "1", "name": "a", "qty": 2}]
    assert [(line.reason, line.raw) for line in bad] == [("too_few_fields", b"2,b"), ("too_many_fields", b"3,c,4,extra")]
    assert bad[0].detail == "line 3: 2 fields, 3 expected"


def test_a_last_line_that_is_short_is_quarantined_too(read):
    assert reasons(read("id,name,qty\n2,b\n")[1]) == ["too_few_fields"]


def test_c08_grouped_numbers_need_a_locale(read):
    data = 'id,amount\n1,"1,234.50"\n'
    assert read(data, locale="en_US") == ([{"id": "1", "amount": Decimal("1234.50")}], [])
    items, bad = read(data)
    assert (items, reasons(bad)) == ([], ["number_format"])


def test_c22_groups_have_three_digits(read):
    items, bad = read('id,amount\n1,"12,34"\n2,"1,2,3"\n3,"1,234.50"\n', locale="en_US")
    assert items == [{"id": "3", "amount": Decimal("1234.50")}]
    assert reasons(bad) == ["number_grouping", "number_grouping"]


@pytest.mark.parametrize(("locale", "text", "expected"), [
    ("de_DE", "1.234,50", "1234.50"), ("de_DE", "12,5", "12.5"), ("de_DE", "1.234", "1234"), ("de_DE", "1.23", None),
    ("fr_FR", "1\u202f234,50", "1234.50"), ("en_US", "1234.50", "1234.50"), ("en_US", "1.234,50", None),
    ("es_ES", "-1.234,5", "-1234.5"),
])
def test_a_locale_says_what_dots_and_commas_mean(read, locale, text, expected):
    items, bad = read(f'id,amount\n1,"{text}"\n', locale=locale)
    wanted = [] if expected is None else [Decimal(expected)]
    assert [item["amount"] for item in items] == wanted
    assert len(items) + len(bad) == 1


def test_an_unknown_locale_is_refused(read):
    with pytest.raises(UsageError, match="no locale xx"):
        read("id\n1\n", locale="xx")


def test_c10_na_is_namibia(read):
    assert read("id,name\nc1,NA\n")[0] == [{"id": "c1", "name": "NA"}]


def test_c12_a_null_does_not_make_a_whole_number_a_float(read):
    items, _ = read("id,qty\n1,5\n2,\n")
    assert items == [{"id": "1", "qty": 5}, {"id": "2"}]
    assert type(items[0]["qty"]) is int


def test_c13_a_byte_order_mark_is_no_part_of_a_name(read):
    assert read(bytes.fromhex("efbbbf69642c6e0a312c610a"))[0] == [{"id": "1", "n": "a"}]


def test_c16_the_header_is_the_first_line_whatever_is_in_it(read):
    class Person:
        name: str
        city: str

    contract = read_contract(Person, name="person", key=["name"])
    assert read("name,city\nann,rome\n", contract=contract)[0] == [{"name": "ann", "city": "rome"}]


def test_c19_carriage_returns_are_no_part_of_a_field(read):
    assert read(b"id,name\r\n" + bytes.fromhex("312c610d0a322c620d0a"))[0] == [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]


def test_c21_nan_is_not_null_and_no_item_holds_it(read):
    items, bad = read("id,ratio\n1,1.5\n2,NaN\n3,\n")
    assert items == [{"id": "1", "ratio": 1.5}, {"id": "3"}]
    assert [(line.reason, line.raw) for line in bad] == [("number_range", b'"2","NaN"\n')]


def test_null_is_nothing_and_the_empty_text_is_quotes(read):
    assert read('id,name\n1,\n2,""\n3,NULL\n')[0] == [{"id": "1"}, {"id": "2", "name": ""}, {"id": "3", "name": "NULL"}]
    assert reasons(read('id,qty\n1,""\n')[1]) == ["number_format"]


def test_leading_zeros_stay_in_text_and_mean_nothing_in_numbers(read):
    assert read("id,name,qty\n007,0080,012\n")[0] == [{"id": "007", "name": "0080", "qty": 12}]


def test_bytes_that_are_not_utf8_spoil_their_own_line(read):
    items, bad = read("id,name\n1,café\n".encode() + "2,café\n".encode("latin-1") + b"3,tea\n")
    assert items == [{"id": "1", "name": "café"}, {"id": "3", "name": "tea"}]
    assert [(line.reason, line.raw) for line in bad] == [("invalid_utf8", b'"2","caf\xe9"\n')]


def test_a_quoted_field_may_hold_newlines_commas_and_quotes(read):
    assert read('id,name\n1,"two\nlines, ""q"""\n2,x\n')[0] == [{"id": "1", "name": 'two\nlines, "q"'}, {"id": "2", "name": "x"}]


def test_every_kind_of_column_is_read_exactly(read):
    line = '1,a,9007199254740993,9999999999.99,0.1,true,2026-01-31,2026-01-31T12:00:00.000001+02:00,AAEC,"[1.50, {""a"":1}]",web'
    header = "id,name,qty,amount,ratio,paid,day,at,photo,tags,channel"
    items, bad = read(f"{header}\n{line}\n")
    assert not bad
    (item,) = items
    assert item.pop("at") == datetime.fromisoformat("2026-01-31T10:00:00.000001+00:00")
    assert item.pop("day") == date(2026, 1, 31)
    assert item == {
        "id": "1", "name": "a", "qty": 9007199254740993, "amount": Decimal("9999999999.99"), "ratio": 0.1, "paid": True,
        "photo": b"\x00\x01\x02", "tags": [Decimal("1.50"), {"a": 1}], "channel": "web",
    }


@pytest.mark.parametrize(("column", "text", "reason"), [
    ("qty", "1.5", "not_an_integer"), ("qty", "9223372036854775808", "integer_overflow"), ("qty", "0x10", "number_format"),
    ("qty", "many", "number_format"), ("amount", "10000000000", "decimal_overflow"), ("amount", "0.005", "decimal_scale"),
    ("amount", "1" * 39, "number_precision"), ("ratio", "1e300", "number_range"), ("ratio", "1e-300", "number_range"),
    ("paid", "yes", "wrong_type"), ("paid", "True", "wrong_type"), ("day", "31.01.2026", "date_format"),
    ("day", "2026-02-30", "date_format"),
    ("day", "0000-01-01", "date_format"), ("at", "yesterday", "timestamp_format"), ("photo", "%", "base64_format"),
    ("tags", "[1", "invalid_json"), ("tags", "5", "wrong_type"), ("channel", "kiosk", "not_in_enumeration"),
    ("id", "", "null_key"),
])
def test_a_field_that_does_not_fit_makes_its_line_a_bad_one(read, column, text, reason):
    header = ["id", column] if column != "id" else ["id", "name"]
    good, bad_line = ("1", "") if column != "id" else ("1", "x"), ("2", text) if column != "id" else ("", "x")
    items, bad = read("\n".join([",".join(header), ",".join(good), ",".join(bad_line)]) + "\n")
    assert [item["id"] for item in items] == ["1"]
    assert reasons(bad) == [reason]
    assert bad[0].detail.startswith("row 2: ")


plain_fields = st.sampled_from([
    "", '""', "5", "-5", "007", "+5", " 5", "5.0", "1.50", "1.505", "1e2", "0x1F", "9223372036854775807", "9223372036854775808",
    "1_0", ".5",
    "5.", "NaN", "inf", "-Infinity", "0.1", "-0", "1e300", "9999999999.99", "10000000000", "1" * 38, "1" * 39, "true", "false",
    "TRUE", "null",
    "2026-01-31", "2026-1-31", "0000-01-01", "9999-12-31", "2026-01-31T12", "2026-01-31T12:00:00Z",
    "2026-01-31 12:00:00.123456789",
    "2026-01-31T12:00:00+05:30", "2026-01-31T12:00:00.5-01", "9999-12-31T23:59:59-01:00", "web", "kiosk", "x", "٥", "1.234",
    "12.34",
])


@settings(max_examples=150, deadline=None)
@given(
    column=st.sampled_from([column.name for column in SALE.columns if column.kind not in ("bytes",
    "json") and column.name != "id"]),
    fields=st.lists(plain_fields, min_size=1, max_size=4), locale=st.sampled_from(["", "en_US", "de_DE"]),
)
def test_a_line_is_read_the_same_whatever_its_neighbours(tmp_path_factory, column, fields, locale):
    path = tmp_path_factory.mktemp("csv") / "sale.csv"

    def outcome(lines):
        path.write_bytes(b"\n".join([f"id,{column}".encode(), *lines]) + b"\n")
        (block,) = read_csv(path, SALE, locale)
        stored = {item["id"]: repr(as_stored(item)) for item in block.items}
        return stored | {line.raw: line.reason for line in block.rejected}

    lines = [f"{n},{field}".encode() for n, field in enumerate(fields)]
    expected = {}
    for line in lines:
        expected |= outcome([line])
    assert outcome(lines) == expected
    assert outcome([*lines, b"\xff,"]) == expected | {b'"\xff",\n': "invalid_utf8"}  # which makes the reader look at each


def as_stored(item):
    """What the store keeps: both paths of the reader must give that."""
    return decode_item(encode_item(item))


@pytest.mark.parametrize(("data", "message"), [
    (b"", "has no column id"), (b"name\nx\n", "has no column id"), (b"id,id\n1,2\n", "two columns of one name"),
    ("id,caf\u00e9\n".encode("latin-1"), "not a CSV file"),
])
def test_a_file_that_cannot_be_meant_is_refused(read, data, message):
    with pytest.raises(UsageError, match=message):
        read(data)


def test_a_header_alone_is_no_items(read):
    assert read("id,name\n") == ([], [])


def test_columns_may_come_in_any_order_and_unknown_ones_stay_text(read):
    assert read("qty,colour,id\n5,red,1\n")[0] == [{"id": "1", "qty": 5, "colour": "red"}]


def test_compressed_files_are_read(read):
    data = b"id,qty\n1,5\n"
    assert read(gzip.compress(data), "sale.csv.gz")[0] == read(data)[0]
    assert read(pa.compress(data, codec="zstd", asbytes=True), "sale.csv.zst")[0] == read(data)[0]


def test_a_damaged_compressed_file_is_an_error_that_names_it(read):
    data = gzip.compress(b"id,qty\n" + b"".join(b"%d,%d\n" % (n, n * 7919 % 10007) for n in range(9000)))
    with pytest.raises(UsageError, match=r"sale\.csv\.gz"):
        read(data[:-9000], "sale.csv.gz")
    with pytest.raises(UsageError, match=r"sale\.csv\.gz"):
        read(b"not gzip at all", "sale.csv.gz")


def test_a_file_larger_than_a_block_is_read_in_blocks_and_tells_how_far_it_is(tmp_path):
    path = tmp_path / "sale.csv"
    path.write_text("id,name\n" + "".join(f"{n},{'x' * 1000}\n" for n in range(9000)))
    blocks = list(read_csv(path, SALE))
    assert len(blocks) > 1
    assert [item["id"] for block in blocks for item in block.items] == [str(n) for n in range(9000)]
    assert [block.read for block in blocks] == sorted(block.read for block in blocks)
    assert blocks[-1].read == blocks[-1].total == path.stat().st_size
