"""Columns of quarantined records set to other values: of a stream's record, or of an import's line."""

from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache

import msgspec

from caudal.contract import Column, Contract
from caudal.errors import UsageError
from caudal.ingest.changes import Origin
from caudal.ingest.importer.csv import join_line, split_line
from caudal.ingest.transform.values import Misfit
from caudal.ingest.writer.replay import Edit
from caudal.records import Rejected

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_origin = msgspec.json.Decoder(Origin).decode

_AS_TEXT = ("string", "date", "timestamp")


def set_columns(contract: Contract, values: Mapping[str, str]) -> Edit:
    """Sets columns to values given as text: as the file writes them in a line of CSV, else as JSON, but for text, dates and
    times, which are taken as they are.

    The rest of the record keeps its values. Raises UsageError for a column that there is not, or a value that is no JSON;
    the edit raises Misfit for a record that is no object.
    """
    columns = {name: _column(contract, name) for name in values}

    @cache
    def members() -> dict[str, msgspec.Raw]:
        return {name: _as_json(column, values[name]) for name, column in columns.items()}

    def edit(record: Rejected) -> bytes:
        if not record.origin:
            return _set_in_change(record.raw, contract, members())
        layout = _origin(record.origin).layout
        if layout.format == "json":
            return _set(record.raw, members()) + b"\n"
        names = [contract.renames.get(name, name) for name in layout.columns]
        fields = dict(zip(names, split_line(record.raw, layout.columns), strict=True))
        for name, text in values.items():
            if name not in fields:
                raise Misfit("csv_fields", f"the line has no column {name}; give it whole: --edit FILE")
            fields[name] = text.encode()
        return join_line(list(fields.values()))

    return edit


def _column(contract: Contract, name: str) -> Column:
    names = [column.name for column in contract.columns]
    if name not in names:
        near = get_close_matches(name, names, 1)
        raise UsageError(f"{contract.name} has no column {name}",
                         hint=f"did you mean {near[0]}?" if near else f"its columns are {', '.join(names)}")
    return contract.column(name)


def _as_json(column: Column, text: str) -> msgspec.Raw:
    if column.kind in _AS_TEXT:
        return msgspec.Raw(msgspec.json.encode(text))
    if column.kind == "bytes":
        return msgspec.Raw(msgspec.json.encode({"$bytes": text}))
    try:
        msgspec.json.decode(text)
    except ValueError:
        raise UsageError(f"{column.name}: the value is no JSON, and the column is {column.sql}",
                         hint=f"write it as a record has it: {column.name}=12.50, {column.name}=true, …") from None
    return msgspec.Raw(text.encode())


def _set_in_change(raw: bytes, contract: Contract, members: Mapping[str, msgspec.Raw]) -> bytes:
    moved = [name for name in members if name in contract.key]
    if moved:
        raise Misfit("edited_key", f"{moved[0]} is part of the key, and a change stays with its item; write a new item instead")
    change = _parsed(raw)
    if "row" not in change:
        raise Misfit("not_a_change", "the record has no row to set a column of; give it whole: --edit FILE")
    return msgspec.json.encode(change | {"row": msgspec.Raw(_set(bytes(change["row"]), members))}) + b"\n"


def _set(raw: bytes, members: Mapping[str, msgspec.Raw]) -> bytes:
    return msgspec.json.encode(_parsed(raw) | dict(members))


def _parsed(raw: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _members(raw)
    except (ValueError, RecursionError):
        raise Misfit("not_an_object", "the record is no object to set a column of; give it whole: --edit FILE") from None
