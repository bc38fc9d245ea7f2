"""Exports as spreadsheets, SageMaker and other tools read them."""

import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.errors import DataError, UsageError
from caudal.lake.export import export
from caudal.lake.formats.people import write_people
from caudal.lake.formats.sagemaker import write_sagemaker


def sagemaker(table, label=""):
    out = io.BytesIO()
    write_sagemaker([table], out, label)
    return out.getvalue().decode()


def people(*parts):
    out = io.BytesIO()
    write_people(parts, out)
    return out.getvalue().decode()


def test_c15_formulas_are_escaped_for_people_only_in_text():
    rows = pa.table({"name": ['=HYPERLINK("http://example.org","x")'], "delta": [-5]})
    [row] = csv.DictReader(io.StringIO(people(rows)))
    assert row == {"name": '\'=HYPERLINK("http://example.org","x")', "delta": "-5"}


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "\n"])
def test_each_start_of_a_formula_is_escaped_in_cells_and_in_the_header(start):
    found = list(csv.reader(io.StringIO(people(pa.table({f"{start}a": [f"{start}1", None, "", "a=b"]})), newline="")))
    assert found == [[f"'{start}a"], [f"'{start}1"], [], [""], ["a=b"]]


@given(st.lists(st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\x00"))))
def test_no_cell_for_people_starts_a_formula_and_nothing_else_is_changed(texts):
    rows = pa.table({"n": list(range(len(texts))), "text": pa.array(texts, pa.string())})
    found = list(csv.reader(io.StringIO(people(rows), newline="")))[1:]
    assert [cell.removeprefix("'") if cell[1:2] in tuple("=+-@\t\r\n") else cell for _, cell in found] == [text or "" for text in texts]
    assert not any(cell.startswith(tuple("=+-@\t\r\n")) for _, cell in found)


def test_parts_have_one_header():
    assert people(pa.table({"a": [1]}), pa.table({"a": [2]})) == "a\n1\n2\n"
    assert people(pa.table({"a": pa.array([], pa.int64())})) == "a\n"


def test_t07_sagemaker_reads_plain_decimals():
    assert sagemaker(pa.table({"value": [1e-10]})) == "0.0000000001\n"


def test_the_label_comes_first_and_everything_is_a_number():
    rows = pa.table({
        "units": pa.array([1, -2, None]), "sold": pa.array([True, False, None]), "label": [0.5, 1e22, 2.0],
        "amount": pa.array([Decimal("1E-7"), Decimal("12.5"), None], pa.decimal128(38, 7)), "odd": [math.nan, -0.25, 1e-300],
    })
    lines = sagemaker(rows, "label").split("\n")
    assert lines[:2] == ["0.5,1,1,0.0000001,", "10000000000000000000000,-2,0,12.5000000,-0.25"]
    assert lines[2].startswith("2,,,,0.000") and lines[3:] == [""]


@given(st.lists(st.floats(allow_infinity=False, allow_nan=False)), st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=20, min_value=-10**17, max_value=10**17)))
def test_numbers_for_sagemaker_are_exact_and_have_no_exponent(floats, decimals):
    for numbers, kind, read in ((floats, pa.float64(), float), (decimals, pa.decimal128(38, 20), Decimal)):
        lines = sagemaker(pa.table({"x": pa.array(numbers, kind)})).splitlines()
        assert [read(line) for line in lines] == numbers
        assert all(set(line) <= set("-.0123456789") for line in lines)


def test_what_sagemaker_cannot_read_is_refused_with_its_place():
    with pytest.raises(UsageError, match="column when is timestamp"):
        sagemaker(pa.table({"when": [datetime(2026, 1, 1, tzinfo=UTC)]}))
    with pytest.raises(UsageError, match="no column y to be the label"):
        sagemaker(pa.table({"x": [1]}), "y")
    for values, what in ([1.0, None], "missing"), ([1.0, math.nan], "missing"), ([1.0, math.inf], "infinite"):
        with pytest.raises(DataError, match=f"y is {what}.*, in row 4"):
            write_sagemaker([pa.table({"y": [1.0, 2.0]}), pa.table({"y": values})], io.BytesIO(), "y")


ROWS = pa.table({"id": ["a", None], "amount": pa.array([Decimal("1.50"), None], pa.decimal128(12, 2)), "tags": [["x", "y"], None]})


def test_an_export_is_whole_private_and_replaces_nothing_unasked(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert export([ROWS, ROWS], path, "jsonl") == 4
    assert path.stat().st_mode & 0o777 == 0o600
    assert [json.loads(line, parse_float=str) for line in path.read_text().splitlines()][:2] == [
        {"id": "a", "amount": "1.50", "tags": ["x", "y"]}, {"id": None, "amount": None, "tags": None},
    ]
    with pytest.raises(UsageError, match="is there already"):
        export([ROWS], path, "jsonl")
    assert export([ROWS], path, "jsonl", force=True) == 2
    assert len(path.read_text().splitlines()) == 2
    assert list(tmp_path.iterdir()) == [path]


def test_parquet_and_verbatim_csv(tmp_path):
    assert export([ROWS, ROWS], tmp_path / "a.parquet", "parquet") == 4
    assert pq.read_table(tmp_path / "a.parquet").equals(pa.concat_tables([ROWS, ROWS]))
    export([pa.table({"a": ["=1", ""], "b": [None, "-"]})], tmp_path / "a.csv", "tools")
    assert (tmp_path / "a.csv").read_text() == 'a,b\n=1,\n"",-\n'


def test_masked_columns_show_that_there_is_something(tmp_path):
    export([ROWS], tmp_path / "a.csv", "people", masked={"id", "amount"})
    assert (tmp_path / "a.csv").read_text() == 'id,amount,tags\n***,***,"[""x"",""y""]"\n,,\n'


def test_a_result_that_fails_half_way_leaves_nothing(tmp_path):
    def parts():
        yield ROWS
        raise DataError("no more")

    with pytest.raises(DataError, match="no more"):
        export(parts(), tmp_path / "a.csv", "people")
    with pytest.raises(UsageError, match="two columns are called a"):
        export([pa.table([[1], [2]], names=["a", "a"])], tmp_path / "a.csv", "people")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UsageError, match="No such file"):
        export([ROWS], tmp_path / "none" / "a.csv", "people")


KILLED = """
import sys, itertools
from pathlib import Path
import pyarrow as pa
from caudal.lake.export import export
def parts():
    for n in itertools.count():
        yield pa.table({"a": list(range(100_000))})
        print(n, flush=True)
export(parts(), Path(sys.argv[1]), sys.argv[2], force=True)
"""


@pytest.mark.parametrize("form", ["people", "parquet", "jsonl"])
def test_a_killed_export_leaves_no_half_file(tmp_path, form):
    path = tmp_path / "out"
    path.write_text("old")
    child = subprocess.Popen([sys.executable, "-c", KILLED, str(path), form], stdout=subprocess.PIPE,
                             env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])})
    assert child.stdout is not None
    for _ in range(3):
        assert child.stdout.readline()
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    assert path.read_text() == "old" and list(tmp_path.iterdir()) == [path]
