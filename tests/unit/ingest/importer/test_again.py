"""Lines that an import rejected, edited and read again."""

import json
from datetime import datetime
from decimal import Decimal
from typing import Annotated

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.config import Config
from caudal.contract import Delivery, Digits, read_contract
from caudal.errors import Unavailable, UsageError
from caudal.ingest.changes import Layout, Origin
from caudal.ingest.importer import import_file
from caudal.ingest.importer.again import lines, read_item
from caudal.ingest.importer.csv import join_line, split_line
from caudal.ingest.importer.edit import set_columns
from caudal.ingest.store import open_store
from caudal.ingest.stream import open_stream
from caudal.ingest.transform import open_transform
from caudal.ingest.transform.values import Misfit
from caudal.ingest.writer import open_writer
from caudal.ingest.writer.quarantine import waiting
from caudal.ingest.writer.replay import replay
from caudal.lake.catalog import open_catalog
from caudal.lake.files import open_files
from caudal.records import Rejected
from caudal.tables import declare_table
from caudal.testing.faults import Faulty
from caudal.verify import verify


class Sale:
    id: str
    quantity: int
    price: Annotated[Decimal, Digits(12, 2)] | None
    sold_at: datetime | None
    more: dict | None


CONTRACT = read_contract(Sale, name="sale", key=["id"])
FIELDS = st.lists(st.none() | st.binary().filter(lambda data: b"\x00" not in data), min_size=1, max_size=5)


def rejected(raw, layout=None):
    origin = msgspec.json.encode(Origin("e-1", 7, layout)).decode() if layout else ""
    return Rejected(0, 5, 9, "wrong_type", "", raw, origin)


@given(FIELDS)
def test_a_line_is_split_into_what_it_was_joined_of(fields):
    names = [f"c{n}" for n in range(len(fields))]
    if fields == [None]:
        return  # an empty line has no fields
    assert split_line(join_line(fields), names) == tuple(fields)


@pytest.mark.parametrize("raw", [b"a,b", b"a,b,c,d", b"a,b,c\nd,e,f\n", b"", b'"a,b,c'])
def test_a_line_with_other_fields_than_the_header_is_a_misfit(raw):
    with pytest.raises(Misfit, match="csv_fields"):
        split_line(raw, ("x", "y", "z"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False).map(str) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3),
)


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), min_size=1), JSON, max_size=4), st.integers(-2**63, 2**63 - 1))
def test_setting_a_column_leaves_the_others_as_they_were(row, quantity):
    edit = set_columns(CONTRACT, {"quantity": str(quantity)})
    change = json.dumps({"op": "put", "id": "e", "time": 1, "row": row, "before": row}).encode()
    for record, made in (
        (rejected(change), lambda raw: json.loads(raw)["row"]), (rejected(json.dumps(row).encode(), Layout("json")), json.loads),
    ):
        assert made(edit(record)) == row | {"quantity": quantity}
    whole = json.loads(edit(rejected(change)))
    assert (whole["op"], whole["id"], whole["time"], whole["before"]) == ("put", "e", 1, row)


def test_numbers_keep_their_text_when_another_column_is_set():
    raw = b'{"op":"put","id":"e","time":1,"row":{"id":"a","price":1234567890.10,"big":12345678901234567890123456789012345678}}\n'
    made = set_columns(CONTRACT, {"sold_at": "2026-11-25T10:00:00Z"})(rejected(raw))
    assert b'"price":1234567890.10,"big":12345678901234567890123456789012345678,"sold_at":"2026-11-25T10:00:00Z"' in made


def test_what_cannot_be_set_is_refused_before_or_stays():
    with pytest.raises(UsageError, match="has no column quantty"):
        set_columns(CONTRACT, {"quantty": "1"})
    with pytest.raises(UsageError, match="price: the value is no JSON"):
        set_columns(CONTRACT, {"price": "1,5"})(rejected(b'{"row":{}}'))
    for raw, reason in ((b"oops", "not_an_object"), (b"[1]", "not_an_object"), (b'{"op":"put"}', "not_a_change")):
        with pytest.raises(Misfit, match=reason):
            set_columns(CONTRACT, {"quantity": "1"})(rejected(raw))
    with pytest.raises(Misfit, match="csv_fields"):
        set_columns(CONTRACT, {"quantity": "1"})(rejected(b"a\n", Layout("csv", ("id",))))


@pytest.mark.parametrize(("raw", "layout", "expected"), [
    (b'a,2,"1.234,50",,\n', Layout("csv", ("id", "quantity", "price", "sold_at", "colour"), "de_DE"), {"id": "a", "quantity": 2, "price": Decimal("1234.50")}),
    (b'"",2\n', Layout("csv", ("id", "quantity")), {"id": "", "quantity": 2}),
    (b'{"id":"a","quantity":2,"more":{"x":1.50},"colour":"red"}', Layout("json"),
     {"id": "a", "quantity": 2, "more": {"x": Decimal("1.50")}, "colour": "red"}),
])
def test_a_line_is_read_as_its_file_was(raw, layout, expected):
    assert read_item(raw, CONTRACT, Origin("e", 1, layout)) == expected


@pytest.mark.parametrize(("raw", "layout", "reason"), [
    (b"a,two\n", Layout("csv", ("id", "quantity")), "number_format"), (b",2\n", Layout("csv", ("id", "quantity")), "null_key"),
    (b"a\n", Layout("csv", ("id",)), "missing_required"), (b"\xff,2\n", Layout("csv", ("id", "quantity")), "invalid_utf8"),
    (b'{"id":"a"}', Layout("json"), "missing_required"), (b"oops", Layout("json"), "invalid_json"),
])
def test_a_line_that_still_does_not_fit_says_why(raw, layout, reason):
    with pytest.raises(Misfit, match=reason):
        read_item(raw, CONTRACT, Origin("e", 1, layout))


class Visit:
    page: str
    seconds: int


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("keyed", [True, False])
def test_a_replay_of_lines_that_is_cut_off_is_made_good_and_doubles_nothing(tmp_path, when, keyed):
    cls, key, text = (Sale, ["id"], "id,quantity\na,x\nb,y\n") if keyed else (Visit, [], "page,seconds\na,x\nb,y\n")
    table = declare_table({}, cls, "sale", key, None, [Delivery()])
    config = Config(folder=str(tmp_path))
    store, stream = open_store(config.url("store")), open_stream(config.url("stream"))
    if keyed:
        store.declare("sale", key, 1)
    else:
        stream.create("sale", 1)
    files, catalog = open_files(config.url("files")), Faulty(open_catalog(config.url("catalog"), "shop"))
    catalog.declare(table.lake["sale"])
    (tmp_path / "bad.csv").write_text(text)
    import_file(tmp_path / "bad.csv", table.contract, store, stream)
    writer = open_writer(config, "shop", table.contract, table.deliveries["sale"], table.lake["sale"], stream, files, catalog)
    assert writer.flush() == 2
    transform = open_transform("inprocess:", table.contract, table.lake["sale"].contract, None)

    def again():
        edit = set_columns(table.contract, {table.contract.columns[1].name: "5"})
        return replay(catalog, files, "shop", table.lake["sale"], transform, line=lines(table.contract, store), edit=edit)

    catalog.on("replay", when)
    with pytest.raises(Unavailable):
        again()
    done = again()
    assert done.imported + done.delivered == (2 if when == "before" else 0)
    assert writer.flush() == (2 if keyed else 0)
    assert list(waiting(catalog, files, "sale")) == []
    assert sum(file.rows for file in catalog.snapshot("sale").files) == 2
    assert verify(catalog, files).ok
    writer.close()
    for opened in (catalog, stream, store):
        opened.close()
