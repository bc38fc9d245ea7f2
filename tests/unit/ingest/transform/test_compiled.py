"""The compiled reader: what it takes it takes exactly, and it looks at nothing but its records."""

import ctypes
import json
import mmap
import subprocess
import sys
import zipfile
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.ingest.transform.compiled import Flag, Kind, Member, Reader
from caudal.records import Records

READER = Reader((
    Member("text", Kind.TEXT), Member("whole", Kind.INTEGER), Member("quoted", Kind.INTEGER, flags=Flag.QUOTED),
    Member("price", Kind.DECIMAL, type=pa.decimal128(6, 2)), Member("ratio", Kind.FLOAT), Member("paid", Kind.BOOLEAN),
    Member("day", Kind.DATE), Member("at", Kind.TIME), Member("tags", Kind.NESTED),
    Member("photo", Kind.OBJECT, (Member("$bytes", Kind.BYTES),), Flag.CLOSED | Flag.FILLED),
    Member("inner", Kind.OBJECT, (Member("x", Kind.TEXT), Member("y", Kind.TEXT)), Flag.FILLED | Flag.NOTED),
))
WHOLE = (
    '{"text":"é\\ud83d\\ude00\\n","whole":-12,"quoted":"34","price":1.5,"ratio":1e3,"paid":true,"day":"2026-01-31",'
    '"at":"2026-01-31T12:00:00.5+02:00","tags":[{"a":null}],"photo":{"$bytes":"AAE="},"inner":{"x":"z","w":{}}}'
).encode()


def read(lines, reader=READER):
    return reader.read(Records.of(0, 0, lines))


def value(member, text):
    """What a member's text is read as; "odd" if it is left to the exact reader."""
    found = read([f'{{"{member}":{text}}}'.encode()])
    path = (member, "$bytes") if member == "photo" else (member,)
    return "odd" if found.odd[0] else found.columns[path][0].as_py()


@pytest.mark.parametrize(("member", "text", "expected"), [
    ("text", '"a"', "a"), ("text", '""', ""), ("text", "null", None), ("text", r'"\"\\\/\b\f\n\r\t\u0041\u00e9\ud83d\ude00"', '"\\/\b\f\n\r\tAé😀'),
    ("text", r'"\ud83d"', "odd"), ("text", r'"\ude00"', "odd"), ("text", r'"\ud83dx"', "odd"), ("text", r'"\x"', "odd"), ("text", r'"\u12g4"', "odd"),
    ("text", '"a\nb"', "odd"), ("text", '"a', "odd"), ("text", "5", "odd"), ("text", '"a" b', "odd"), ("text", r'"12345678\""', '12345678"'),
    ("whole", "0", 0), ("whole", "-0", 0), ("whole", "9223372036854775807", 2**63 - 1), ("whole", "-9223372036854775808", -(2**63)),
    ("whole", "9223372036854775808", "odd"), ("whole", "-9223372036854775809", "odd"), ("whole", "1.0", 1), ("whole", "1.5", "odd"), ("whole", "1e2", "odd"),
    ("whole", "01", "odd"), ("whole", "-", "odd"), ("whole", "1.", "odd"), ("whole", ".5", "odd"), ("whole", '"5"', "odd"), ("whole", "1" * 60, "odd"),
    ("whole", "NaN", "odd"), ("whole", "true", "odd"), ("whole", "1x", "odd"), ("whole", "0x10", "odd"),
    ("quoted", '"5"', 5), ("quoted", "5", "odd"), ("quoted", '" 5"', "odd"), ("quoted", '"5 "', "odd"), ("quoted", '""', "odd"), ("quoted", r'"\u0035"', "odd"),
    ("price", "9999.99", Decimal("9999.99")), ("price", "-0.01", Decimal("-0.01")), ("price", "1.500", Decimal("1.50")), ("price", '"1.5"', Decimal("1.50")),
    ("price", "1.005", "odd"), ("price", "10000", "odd"), ("price", "0.000", Decimal("0.00")), ("price", "-0", Decimal("0.00")), ("price", "1e1", "odd"),
    ("ratio", "0.1", 0.1), ("ratio", "1e-400", 0.0), ("ratio", "9007199254740993", 9007199254740992.0), ("ratio", "1e400", float("inf")),
    ("ratio", "-0", "odd"), ("ratio", "-0.0", "odd"), ("ratio", "1e-99999", "odd"), ("ratio", "-0.5", -0.5),
    ("paid", "false", False), ("paid", "tru", "odd"), ("paid", "truex", "odd"), ("paid", "1", "odd"),
    ("day", '"2024-02-29"', date(2024, 2, 29)), ("day", '"2026-02-29"', "odd"), ("day", '"1900-02-29"', "odd"), ("day", '"2000-02-29"', date(2000, 2, 29)),
    ("day", '"0001-01-01"', date(1, 1, 1)), ("day", '"9999-12-31"', date(9999, 12, 31)), ("day", '"0000-12-31"', "odd"), ("day", '"2026-1-1"', "odd"), ("day", '"2026-13-01"', "odd"),
    ("at", '"2026-01-31"', datetime(2026, 1, 31, tzinfo=UTC)), ("at", '"2026-01-31 05Z"', datetime(2026, 1, 31, 5, tzinfo=UTC)),
    ("at", '"2026-01-31T05:06:07.123456000-01:30"', datetime(2026, 1, 31, 6, 36, 7, 123456, UTC)), ("at", '"2026-01-31T05:06:07.1234567"', "odd"),
    ("at", '"2026-01-31T24:00"', "odd"), ("at", '"2026-01-31T05:06:60"', "odd"), ("at", '"2026-01-31Z"', "odd"), ("at", '"2026-01-31T05:06:07."', "odd"),
    ("at", '"0001-01-01T00:00:00+00:01"', "odd"), ("at", '"9999-12-31T23:59:59.999999Z"', datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)),
    ("at", '"9999-12-31T23:59:59-00:01"', "odd"), ("at", "5", "odd"),
    ("tags", '[ 1.50, {"a":"é"} ]', '[ 1.50, {"a":"é"} ]'), ("tags", "{}", "{}"), ("tags", "[1,]", "odd"), ("tags", "[1 2]", "odd"), ("tags", '{"a" 1}', "odd"),
    ("tags", "{1:2}", "odd"), ("tags", "[", "odd"), ("tags", "[}", "odd"), ("tags", '"a"', "odd"), ("tags", "[" * 257 + "]" * 257, "odd"), ("tags", "[" * 99 + "]" * 99, "[" * 99 + "]" * 99),
    ("tags", "[nul]", "odd"), ("tags", "null", None),
    ("photo", '{"$bytes":"AAEC"}', b"\0\1\2"), ("photo", '{"$bytes":"AA=="}', b"\0"), ("photo", '{"$bytes":""}', b""), ("photo", '{"$bytes":"AB=="}', "odd"),
    ("photo", '{"$bytes":"AA="}', "odd"), ("photo", '{"$bytes":"A==="}', "odd"), ("photo", '{"$bytes":"AA==AAAA"}', "odd"), ("photo", '{"$bytes":"A-_A"}', "odd"),
    ("photo", '{"$bytes":"AAEC","x":1}', "odd"), ("photo", "{}", "odd"), ("photo", '{"$bytes":null}', "odd"), ("photo", "null", None),
])
def test_a_value_is_exact_or_left_to_the_exact_reader(member, text, expected):
    assert value(member, text) == expected


@pytest.mark.parametrize(("line", "odd"), [
    (b"{}", False), (b" { } \n", False), (b"", True), (b"{", True), (b"[]", True), (b"null", True), (b"{}{}", True), (b"{},", True), (b'{"text":"a",}', True),
    (b'{"text":"a" "whole":1}', True), (b'{"text":"a","text":"b"}', True), (b'{"other":1,"other":2}', False), (b'{"te\\u0078t":"a"}', True),
    (b'{"o\\u0074her":"a"}', True), (b'{"other":"\xc3\xa9"}', False), (b'{"other":"\xc3"}', True), (b'{"other":"\xed\xa0\x80"}', True),
    (b'{"other":"\xc0\x80"}', True), (b'{"other":"\xf4\x90\x80\x80"}', True), (b'{"other":"\xf4\x8f\xbf\xbf"}', False), (b'{"other":"\xe0\x9f\xbf"}', True),
    (b'\xef\xbb\xbf{}', True), (b'{"inner":{}}', True), (b'{"inner":{"x":null}}', True), (b'{"inner":{"y":"a"}}', False), (b'{"inner":null}', False), (b'{"inner":5}', True),
])
def test_a_record_is_one_object_of_json(line, odd):
    found = read([WHOLE, line, WHOLE])
    assert found.odd.tolist() == [False, odd, False]
    assert found.columns["text",].to_pylist()[::2] == ["é😀\n"] * 2


def test_unknown_members_are_noted_where_that_is_asked_for():
    lines = [b'{"inner":{"x":"a"},"other":1}', b'{"inner":{"x":"a","z":1}}', b'{"inner":{"x":"a","y":"b"}}', WHOLE]
    assert read(lines).unknown.tolist() == [False, True, False, True]
    assert Reader((Member("a", Kind.TEXT),), Flag.NOTED).read(Records.of(0, 0, [b'{"a":"x"}', b'{"A":"x"}'])).unknown.tolist() == [False, True]


def test_members_come_in_any_order_and_number():
    members = tuple(Member(f"m{n}", Kind.INTEGER) for n in range(200))
    line = json.dumps({f"m{n}": n for n in reversed(range(0, 200, 3))}).encode()
    found = Reader(members).read(Records.of(0, 0, [line]))
    assert not found.odd[0]
    assert [found.columns[f"m{n}",][0].as_py() for n in range(200)] == [n if n % 3 == 0 else None for n in range(200)]


def test_some_of_the_records_are_read_alone():
    lines = [f'{{"whole":{n}}}'.encode() for n in range(20)]
    found = READER.read(Records.of(0, 0, lines), np.array([3, 17, 4]))
    assert found.columns["whole",].to_pylist() == [3, 17, 4]


def test_no_records_are_no_rows():
    assert {len(column) for column in read([]).columns.values()} == {0}


pieces = st.sampled_from([b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"\\u", b"\\ud83d", b"\xff", b"\xc3", b"9" * 40, b"-", b".", b"e", b"nul", b"tru", b"=", b"T"])


@given(st.lists(st.tuples(st.floats(0, 1), pieces | st.just(b""), st.integers(0, 9)), max_size=4), st.floats(0, 1))
def test_nothing_behind_the_records_is_looked_at(changes, end):
    line = WHOLE
    for place, piece, gone in changes:
        at = int(place * len(line))
        line = line[:at] + piece + line[at + gone :]
    line = line[: len(line) - int(end * 20)]
    beside = _beside_forbidden_memory(line + line)
    half = np.array([0, len(line), 2 * len(line)], np.int64)
    found = READER.read(Records(0, 0, half, beside, np.zeros(2, np.int64)))
    again = read([line, line])
    assert found.odd.tolist() == again.odd.tolist()
    for path, column in found.columns.items():
        column.validate(full=True)
        assert column.equals(again.columns[path]), path


def _beside_forbidden_memory(data):
    """The bytes at the end of a page of memory; the page after it kills who touches it."""
    pages = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(pages))
    assert ctypes.CDLL(None, use_errno=True).mprotect(ctypes.c_void_p(address + mmap.PAGESIZE), mmap.PAGESIZE, 0) == 0
    pages[mmap.PAGESIZE - len(data) : mmap.PAGESIZE] = data
    return memoryview(pages)[mmap.PAGESIZE - len(data) : mmap.PAGESIZE]


@pytest.mark.slow
def test_the_package_has_the_compiled_part_for_every_python_of_the_platform(tmp_path):
    root = Path(__file__).parents[4]
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", tmp_path, root],
                   check=True, capture_output=True)
    (wheel,) = tmp_path.iterdir()
    assert "-py3-none-" in wheel.name
    assert not wheel.name.endswith("-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extract("caudal/ingest/transform/compiled/rows.so", tmp_path)
    assert ctypes.CDLL(str(tmp_path / "caudal/ingest/transform/compiled/rows.so")).caudal_read
