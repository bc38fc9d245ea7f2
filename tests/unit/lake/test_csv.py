"""CSV that several threads write is the CSV that one writes."""

import gzip
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pyarrow as pa
import pytest

from caudal.lake.formats.csv import encode_csv, time_text

START = datetime(2026, 1, 1, tzinfo=UTC)


def table(n):
    return pa.table({
        "text": pa.array([None if i % 5 == 0 else "" if i % 5 == 1 else f'a "{i}", b\n' for i in range(n)], pa.string()),
        "amount": pa.array([Decimal(i) / 100 for i in range(n)], pa.decimal128(12, 2)),
        "time": pa.array([None if i % 3 == 0 else START + timedelta(seconds=i) for i in range(n)], pa.timestamp("us", "UTC")),
        "blob": pa.array([bytes([i % 256]) for i in range(n)], pa.binary()),
    })


@pytest.fixture
def threads(monkeypatch):
    monkeypatch.setattr("caudal.lake.formats.csv.ROWS", 1)
    monkeypatch.setattr(pa, "cpu_count", lambda: 3)


def one_line(i):
    text = "" if i % 5 == 0 else '""' if i % 5 == 1 else f'"a ""{i}"", b\n"'
    time = "" if i % 3 == 0 else f"{START + timedelta(seconds=i):%Y-%m-%dT%H:%M:%S.000000Z}"
    blob = {0: "AA==", 1: "AQ==", 2: "Ag=="}[i]
    return f"{text},{Decimal(i) / 100:.2f},{time},{blob}\n"


def test_each_value_is_in_the_dialect(threads):
    assert bytes(encode_csv(table(3))).decode() == "text,amount,time,blob\n" + "".join(map(one_line, range(3)))


@pytest.mark.parametrize("n", [0, 1, 2, 3, 10, 100, 1001])
@pytest.mark.parametrize("chunks", [1, 2])
@pytest.mark.parametrize("header", [True, False])
def test_parts_of_several_threads_are_one_file(threads, monkeypatch, n, chunks, header):
    rows = pa.concat_tables([table(n)] * chunks)
    parted = bytes(encode_csv(rows, header=header))
    packed = encode_csv(rows, "gzip", header=header)
    monkeypatch.setattr("caudal.lake.formats.csv.ROWS", 10_000)
    whole = bytes(encode_csv(rows, header=header))
    assert parted == whole == gzip.decompress(packed)
    assert whole.startswith(b"text,amount,time,blob\n") == header


def test_a_table_of_a_later_slice_is_written_from_there(threads):
    assert bytes(encode_csv(table(40).slice(13, 20))).splitlines()[1:] == bytes(
        encode_csv(pa.Table.from_pylist(table(40).to_pylist()[13:33], table(0).schema))
    ).splitlines()[1:]


def test_times_that_are_the_same_one_after_the_other_are_all_written():
    micros = [n // 700 * 1_234_567 for n in range(5000)] + [0] * 2000
    times = pa.chunked_array([pa.array(micros[:3000], pa.timestamp("us", "UTC")), pa.array(micros[3000:], pa.timestamp("us", "UTC"))])
    expected = [f"{datetime.fromtimestamp(0, UTC) + timedelta(microseconds=n):%Y-%m-%dT%H:%M:%S.%fZ}" for n in micros]
    assert time_text(times).to_pylist() == expected
