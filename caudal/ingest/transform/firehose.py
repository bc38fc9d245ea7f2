"""AWS Lambda handlers with Firehose's contract, run unchanged.

The handler is given `{"records": [{"recordId", "data"}]}`, `data` being base64 of the item's JSON and a newline, and
answers each recordId with Ok, Dropped or ProcessingFailed; `data` of an Ok is base64 of JSON objects, or of CSV lines
without a header and in the order of the contract's columns. (Source: Amazon Data Firehose developer guide, data
transformation.)
"""

import base64
from collections.abc import Iterator
from typing import Any

import msgspec
import pyarrow as pa

from caudal.contract import Contract, UserFunction
from caudal.ingest.transform.form import parse_object
from caudal.ingest.transform.raised import Tell, raised
from caudal.ingest.transform.text import rows_of_csv
from caudal.ingest.transform.values import Misfit
from caudal.lake.formats.csv import time_text

BATCH_BYTES = 3 << 20
"""Bytes of data that one invocation is given: Firehose's default buffer."""

Rows = list[dict[str, Any]]


def call_handler(
    handler: UserFunction, rows: pa.Table, source: Contract, into: Contract, failures: dict[int, Misfit], tell: Tell
) -> Iterator[tuple[dict[str, Any], Rows]]:
    """Yield each record's system columns and the untyped rows that the handler made of it; failures go to `failures`.

    `tell` is told before each invocation which rows it has.
    """
    places = rows.select(into.system.names).to_pylist()
    data = [base64.b64encode(line).decode() for line in _as_lines(rows, source)]
    for start, stop in _batches(data):
        answers = _invoke(handler, data, places, start, stop, failures, tell)
        for place, answer in zip(places[start:stop], answers, strict=True):
            if answer is None:
                continue
            try:
                yield place, _rows_of(answer, into)
            except Misfit as misfit:
                failures[place["_position"]] = misfit


def _as_lines(rows: pa.Table, source: Contract) -> list[bytes]:
    """Each row as its item's JSON and one newline."""
    fields = []
    for column in source.columns:
        values = rows[column.name]
        if column.kind == "timestamp":
            values = time_text(values)
        elif column.kind == "json":
            values = [msgspec.Raw(text.encode()) if text is not None else None for text in values.to_pylist()]
        elif column.kind == "bytes":
            values = [{"$bytes": value} if value is not None else None for value in values.to_pylist()]
        fields.append(values if isinstance(values, list) else values.to_pylist())
    names = [column.name for column in source.columns]
    return [_encode(dict(zip(names, row, strict=True))) + b"\n" for row in zip(*fields, strict=True)]


_encode = msgspec.json.Encoder(decimal_format="number").encode


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
    handler: UserFunction, data: list[str], places: list[dict[str, Any]], start: int, stop: int, failures: dict[int, Misfit],
    tell: Tell,
) -> list[bytes | None]:
    """The data of each Ok, None for whatever else; a handler that raises is tried with halves."""
    ids = [f"{place['_shard']}-{place['_position']}" for place in places[start:stop]]
    event = {
        "invocationId": f"caudal-{ids[0]}", "deliveryStreamArn": "arn:aws:firehose:local:000000000000:deliverystream/caudal",
        "region": "local",
        "records": [
            {"recordId": id, "approximateArrivalTimestamp": int(place["_event_time"].timestamp() * 1000), "data": text}
            for id, place, text in zip(ids, places[start:stop], data[start:stop], strict=True)
        ],
    }
    tell(start, stop)
    try:
        by_id = _by_id(handler.function(event, None), ids)
    except (Exception, SystemExit) as error:  # whatever the user's code raises, or an answer of no use
        if len(ids) == 1:
            failures[places[start]["_position"]] = error if isinstance(error, Misfit) else raised(handler, error)
            return [None]
        middle = (start + stop) // 2
        return [
            answer for part in ((start, middle), (middle, stop))
            for answer in _invoke(handler, data, places, *part, failures, tell)
        ]
    found: list[bytes | None] = []
    for id, place in zip(ids, places[start:stop], strict=True):
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
        if not isinstance(record.get("recordId"), str) or record["recordId"] not in known:
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
    except (TypeError, ValueError):
        raise Misfit("transform_output", "data is not base64") from None


def _rows_of(data: bytes, into: Contract) -> Rows:
    """The rows in an answer: JSON objects one a line, or CSV lines."""
    if not data.strip():
        raise Misfit("transform_output", "an Ok without data")
    if data.lstrip()[:1] == b"{":
        return [parse_object(line) for line in data.split(b"\n") if line.strip()]
    return rows_of_csv(data, into)
