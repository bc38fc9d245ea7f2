"""What the contract does not know is kept, whatever the record looks like; what it knows is not."""

import json
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caudal.contract import Column, Contract
from caudal.ingest.transform import open_transform
from caudal.ingest.transform.look import read_unknown
from caudal.records import Records

FLAT = Contract("sale", (
    Column("id", "string"), Column("note", "string", nullable=True), Column("count", "int", nullable=True, old_names=("qty",)),
    Column("a", "bool", nullable=True),
), key=("id",))
NESTED = replace(FLAT, columns=(*FLAT.columns, Column("tags", "json", nullable=True), Column("photo", "bytes", nullable=True)))


def rescued(contract, lines):
    """The rescue column of records that all fit."""
    done = open_transform("inprocess:", contract, contract, None).apply(Records.of(0, 40, lines, 7))
    assert done.rejected == []
    assert done.rows["_position"].to_pylist() == list(range(40, 40 + len(lines)))
    found = done.rows["_rescued"].to_pylist()
    assert done.warnings.get("unknown_members", 0) == sum(text is not None for text in found)
    return found


def change(row, rest=""):
    return b'{"op":"put","id":"e1","time":1767225661573241,"row":%b%b}' % (row.encode(), rest.encode())


@pytest.mark.parametrize(("row", "kept"), [
    ('{"id":"s","note":"n","count":1,"a":true}', None),
    ('{"id":"s","note":null,"count":null}', None),
    ('{ "id" : "s" , "note"\t: null , "a": false }', None),
    ('{"id":"s","qty":3}', None),
    ('{"id":"s","qty":null,"count":3}', None),
    ('{"id":"s","gift":true}', '{"gift":true}'),
    ('{"id":"s","z":1.50,"y":1e3,"x":12345678901234567890123456789012345678901,"w":-0}',
     '{"z":1.50,"y":1e3,"x":12345678901234567890123456789012345678901,"w":-0}'),
    ('{"id":"s","gift" :  null}', '{"gift":null}'),
    ('{"id":"s","gift"\n:\n1}', '{"gift":1}'),
    ('{"id":"s","Note":"n","":"e","né \\"x\\"":[{"id": "i"}]}', '{"Note":"n","":"e","né \\"x\\"":[{"id": "i"}]}'),
    ('{"id":"s","box":{"note":null,"count":2}}', '{"box":{"note":null,"count":2}}'),
    ('{"id":"a \\"note\\": b!:c\\\\","note":"\\u003a\\u0022:"}', None),
    ('{"id":"\\u003a:::","note":"::","gift":"\\u003a"}', '{"gift":"\\u003a"}'),
    ('{"id":"s","before":{"x":1},"y":2}', '{"before":{"x":1},"y":2}'),
    ('{"id":"s","m":{},"before":{"x":1},"y":2}', '{"m":{},"before":{"x":1},"y":2}'),
    ('{"id":"s","gift":"a","gift":"b"}', '{"gift":"b"}'),
])
@pytest.mark.parametrize("before", ["", ',"before":{"id":"s"}', ',"before":{"id":"s","old":1,"before":{"u":1}}', ',"before":null'])
@pytest.mark.parametrize("contract", [FLAT, NESTED])
def test_unknown_members_are_kept_as_they_came(row, kept, before, contract):
    lines = [change('{"id":"s","note":"n","count":1}'), change(row, before), change('{"id":"t","note":null}')]
    assert rescued(contract, lines) == [None, kept, None]
    assert rescued(contract, lines[1:2]) == [kept]


@pytest.mark.parametrize(("row", "kept"), [
    ('{"id":"s","tags":{"a":{"note":null}},"photo":{"$bytes":"AAEC"}}', None),
    ('{"id":"s","tags":{"note":null},"gift":1}', '{"gift":1}'),
    ('{"id":"s","tags":{"$bytes":"x"},"photo":"AAEC","gift":1}', '{"gift":1}'),
    ('{"id":"s","photo":"AAEC","gift":{"$bytes":"AAEC"}}', '{"gift":{"$bytes":"AAEC"}}'),
    ('{"id":"s","tags":["\\u0021:\\u0021:"],"gift":1}', '{"gift":1}'),
    ('{"id":"s","tags":{"x":1},"before":{"z":1},"u":2}', '{"before":{"z":1},"u":2}'),
    ('{"id":"s","tags":["}","}"],"u":2}', '{"u":2}'),
])
def test_nested_columns_hide_no_unknown_member(row, kept):
    for before in ("", ',"before":{"id":"s"}'):
        assert rescued(NESTED, [change(row, before), change('{"id":"t"}')]) == [kept, None]


def test_what_is_no_json_is_kept_with_its_record():
    raw = change('{"id":"s","ratio":NaN,"gift":1}')
    assert json.loads(rescued(FLAT, [raw])[0]) == {"_record": raw.decode()}


def test_plain_records_keep_theirs():
    plain = replace(FLAT, form="plain")
    assert rescued(plain, [b'{"id": "s", "note": null}', b'{"id": "s", "why": "w", "op": 1}']) == [None, '{"why":"w","op":1}']


def test_a_delivery_with_a_function_keeps_none():
    from caudal.contract import UserFunction, per_batch

    for function in (UserFunction(lambda item: item), per_batch(lambda table: table)):
        done = open_transform("inprocess:", FLAT, FLAT, function).apply(Records.of(0, 0, [change('{"id":"s","gift":1}')]))
        assert done.rows.select(["id", "_rescued"]).to_pylist() == [{"id": "s", "_rescued": None}]


def test_records_that_do_not_fit_leave_the_others_theirs():
    lines = [b"oops", change('{"id":"s","gift":1}'), change('{"id":5}'), change('{"id":"t"}')]
    done = open_transform("inprocess:", FLAT, FLAT, None).apply(Records.of(0, 0, lines))
    assert dict(zip(done.rows["_position"].to_pylist(), done.rows["_rescued"].to_pylist(), strict=True)) == {1: '{"gift":1}', 3: None}


def dynamodb(name, new, old=None):
    images = {"NewImage": new} if name != "REMOVE" else {}
    return json.dumps({"eventID": "e", "eventName": name, "tableName": "sale", "dynamodb": {
        "ApproximateCreationDateTime": 1767225661573, "Keys": {"id": {"S": "s"}}, **images, **({"OldImage": old} if old else {}),
    }}).encode()


@pytest.mark.parametrize("contract", [FLAT, NESTED])
def test_dynamodb_attributes_are_kept_with_their_types(contract):
    contract = replace(contract, form="dynamodb")
    known, more = {"id": {"S": "s"}, "qty": {"N": "1"}, "note": {"NULL": True}}, {"gift": {"M": {"note": {"N": "1.50"}}}}
    assert rescued(contract, [
        dynamodb("INSERT", known), dynamodb("MODIFY", known, known | more), dynamodb("MODIFY", known | more, known),
        dynamodb("REMOVE", {}, known | more), dynamodb("REMOVE", {}, known),
    ]) == [None, None, '{"gift":{"M": {"note": {"N": "1.50"}}}}', '{"gift":{"M": {"note": {"N": "1.50"}}}}', None]


def test_debezium_columns_are_kept_of_what_the_row_shows():
    source = {"lsn": 1, "ts_ms": 1767225661573}
    known, more = {"id": "s", "note": None}, {"id": "s", "gift": 1.50}
    records = [
        {"op": "c", "source": source, "after": more}, {"op": "u", "source": source, "before": more, "after": known},
        {"payload": {"op": "d", "source": source, "before": more, "after": None}, "schema": {"type": "struct"}},
    ]
    found = rescued(replace(FLAT, form="debezium"), [json.dumps(record).encode() for record in records])
    assert found == ['{"gift":1.5}', None, '{"gift":1.5}']


NAMES = st.sampled_from(["note", "qty", "count", "tags", "photo", "gift", "before", "row", "$bytes", "a", "x:", '"', " ", "né"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(alphabet='":{},[]\\!n é', max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(NAMES, inner, max_size=2), max_leaves=5,
)
KNOWN = {
    "note": st.none() | st.text(alphabet='":{},\\!n é', max_size=4), "count": st.none() | st.integers(0, 3),
    "qty": st.none() | st.integers(0, 3), "a": st.none() | st.booleans(),
    "tags": st.none() | st.lists(VALUES, max_size=2) | st.dictionaries(NAMES, VALUES, max_size=2),
    "photo": st.none() | st.just("AAEC") | st.just({"$bytes": "AAEC"}),
}


@st.composite
def items(draw, contract):
    item = {"id": "s"}
    for name in draw(st.lists(NAMES, max_size=5, unique=True)):
        is_known = name == "qty" or name in contract.schema.names
        item[name] = draw(KNOWN[name] if is_known else VALUES)
    return item


@given(st.data(), st.sampled_from([FLAT, NESTED]), st.sampled_from(["caudal", "plain"]), st.booleans(), st.sampled_from([(",", ":"), (", ", ": "), (" ,", " : ")]))
def test_each_record_is_found_that_a_look_at_it_finds(data, contract, form, ascii, separators):
    contract = replace(contract, form=form)
    lines = []
    for item in data.draw(st.lists(items(contract), min_size=1, max_size=6)):
        text = json.dumps(item, ensure_ascii=ascii, separators=separators)
        before = f',"before":{text}' if form == "caudal" and data.draw(st.booleans()) else ""
        lines.append(change(text, before) if form == "caudal" else text.encode())
    wanted = [read_unknown(contract, line) or None for line in lines]
    assert rescued(contract, lines) == wanted
    assert pa.array(wanted, pa.string()).null_count == sum(
        set(json.loads(line)["row"] if form == "caudal" else json.loads(line)) <= {"qty", *contract.schema.names} for line in lines)
