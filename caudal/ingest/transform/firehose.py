"""AWS Lambda handlers with Firehose's contract, run unchanged.

The handler is given `{"records": [{"recordId", "data"}]}`, `data` being base64 of the item's JSON and a newline, and
answers each recordId with Ok, Dropped or ProcessingFailed; `data` of an Ok is base64 of JSON objects or of CSV lines
in the order of the contract's columns. (Source: Amazon Data Firehose developer guide, data transformation.)
"""

import base64
import binascii
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from caudal.contract import SYSTEM, Contract
from caudal.ingest.items import encode_item
from caudal.ingest.transform.form import parse_object
from caudal.ingest.transform.values import Misfit
from caudal.records import Item

BATCH_BYTES = 3 << 20
"""Bytes of data that one invocation is given: Firehose's default buffer."""

Rows = list[dict[str, Any]]


def call_handler(
    handler: Callable[[dict[str, Any], Any], Any], rows: pa.Table, source: Contract, into: Contract, failures: dict[int, Misfit]
) -> Iterator[tuple[dict[str, Any], Rows]]:
    """Yield each record's system columns and the untyped rows that the handler made of it; failures go to `failures`."""
    names = [column.name for column in source.columns]
    nested = [column.name for column in source.columns if column.kind == "json"]
    places = rows.select(SYSTEM.names).to_pylist()
    data = [base64.b64encode(_item_json(item, nested)).decode() for item in rows.select(names).to_pylist()]
    for start, stop in _batches(data):
        answers = _invoke(handler, data[start:stop], places[start:stop], failures)
        for place, answer in zip(places[start:stop], answers, strict=True):
            if answer is None:
                continue
            try:
                yield place, _rows_of(answer, into)
            except Misfit as misfit:
                failures[place["_position"]] = misfit


def _item_json(item: Item, nested: list[str]) -> bytes:
    text = encode_item({name: value for name, value in item.items() if name not in nested})
    parts = [f'"{name}":{item[name] if item[name] is not None else "null"}' for name in nested]
    if not parts:
        return text + b"\n"
    return text[:-1] + (b"," if len(text) > 2 else b"") + ",".join(parts).encode() + b"}\n"


def _batches(data: list[str]) -> Iterator[tuple[int, int]]:
    start, size = 0, 0
    for n, text in enumerate(data):
        if size + len(text) > BATCH_BYTES and n > start:
            yield start, n
            start, size = n, 0
        size += len(text)
    if start < len(data):
        yield start, len(data)


def _invoke(
    handler: Callable[[dict[str, Any], Any], Any], data: list[str], places: list[dict[str, Any]], failures: dict[int, Misfit]
) -> list[bytes | None]:
    """The data of each Ok, None for whatever else; a handler that raises is tried with halves."""
    ids = [f"{place['_shard']}-{place['_position']}" for place in places]
    event = {
        "invocationId": f"caudal-{ids[0]}", "deliveryStreamArn": "arn:aws:firehose:local:000000000000:deliverystream/caudal",
        "region": "local",
        "records": [
            {"recordId": id, "approximateArrivalTimestamp": int(place["_event_time"].timestamp() * 1000), "data": text}
            for id, place, text in zip(ids, places, data, strict=True)
        ],
    }
    try:
        answered = handler(event, None)
        by_id = _by_id(answered, ids)
    except Exception as error:  # whatever the user's code raises, or an answer of no use
        if len(data) == 1:
            failures[places[0]["_position"]] = (
                error if isinstance(error, Misfit) else Misfit("transform_raised", f"the handler raised {type(error).__name__}")
            )
            return [None]
        half = len(data) // 2
        return _invoke(handler, data[:half], places[:half], failures) + _invoke(handler, data[half:], places[half:], failures)
    found: list[bytes | None] = []
    for id, place in zip(ids, places, strict=True):
        try:
            found.append(_data_of(by_id.get(id, [])))
        except Misfit as misfit:
            failures[place["_position"]] = misfit
            found.append(None)
    return found


def _by_id(answered: Any, ids: list[str]) -> dict[str, list[dict[str, Any]]]:
    records = answered.get("records") if isinstance(answered, dict) else None
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise Misfit("transform_output", "the handler did not answer {'records': [...]}")
    known = set(ids)
    by_id: dict[str, list[dict[str, Any]]] = {}
    for record in records:
        if record.get("recordId") not in known:
            raise Misfit("foreign_record_id", "the handler answered a recordId that it was not given")
        by_id.setdefault(record["recordId"], []).append(record)
    return by_id


def _data_of(answers: list[dict[str, Any]]) -> bytes | None:
    if not answers:
        raise Misfit("missing_record_id", "the handler did not answer this recordId")
    if len(answers) > 1:
        raise Misfit("repeated_record_id", "the handler answered this recordId more than once")
    result = answers[0].get("result")
    if result == "Dropped":
        return None
    if result == "ProcessingFailed":
        raise Misfit("processing_failed", "the handler answered ProcessingFailed")
    if result != "Ok":
        raise Misfit("transform_output", "result is none of Ok, Dropped and ProcessingFailed")
    try:
        return base64.b64decode(answers[0].get("data", ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise Misfit("transform_output", "data is not base64") from None


def _rows_of(data: bytes, into: Contract) -> Rows:
    """The rows in an answer: JSON objects one a line, or CSV lines."""
    if not data.strip():
        raise Misfit("transform_output", "an Ok without data")
    if data.lstrip()[:1] == b"{":
        return [parse_object(line) for line in data.splitlines() if line.strip()]
    try:
        data.decode()
        table = pacsv.read_csv(
            pa.BufferReader(data), read_options=pacsv.ReadOptions(column_names=[c.name for c in into.columns], use_threads=False),
            parse_options=pacsv.ParseOptions(newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                column_types=dict.fromkeys((c.name for c in into.columns), pa.string()),
                null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False,
            ),
        )
    except UnicodeDecodeError:
        raise Misfit("invalid_utf8", "data is not UTF-8") from None
    except pa.ArrowInvalid:
        raise Misfit("csv_fields", f"a CSV line has not the {len(into.columns)} fields of {into.name}") from None
    return [{c.name: from_text(c.kind, row[c.name]) for c in into.columns} for row in table.to_pylist()]


def from_text(kind: str, text: str | None) -> Any:
    """A CSV field as the JSON value that its column is read from."""
    if text is None or kind in ("string", "decimal", "date", "timestamp", "bytes"):
        return text
    if kind == "bool":
        return {"true": True, "false": False}.get(text, text)
    if kind == "json":
        return parse_object(b'{"v":%b}' % text.encode())["v"]
    try:
        return parse_object(b'{"v":%b}' % text.strip().encode())["v"]
    except Misfit:
        return text


