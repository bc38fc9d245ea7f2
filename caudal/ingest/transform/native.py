"""caudal's own records (`caudal.ingest.changes`), and plain JSON objects."""

from typing import Any, TypeGuard

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Contract
from caudal.ingest.transform.form import (
    UNREADABLE,
    Columns,
    Form,
    Seen,
    check_single,
    from_json_type,
    json_type,
    parse_object,
    row_shape,
)
from caudal.ingest.transform.values import FIRST_TIME, LAST_TIME, Already, JsonText, Misfit, Warn
from caudal.records import Item, Records

_OPS = ("put", "delete", "event")  # no array yet: the first one imports pandas, where there is one
_BYTES = pa.struct([pa.field("$bytes", pa.string())])


class CaudalForm(Form):
    """`{"op","id","time","row","why"}`, as the store and the event log write it."""

    def __init__(self, contract: Contract) -> None:
        super().__init__(contract)
        self._row = _Row(contract)
        self.schema = pa.schema([
            ("op", pa.string()), ("id", pa.string()), ("time", pa.int64()), ("why", pa.string()), ("row", self._row.type),
        ])

    def columns(self, parsed: pa.Table, records: Records) -> Columns:
        row = parsed["row"].combine_chunks()
        op, id, time = (parsed[name].combine_chunks() for name in ("op", "id", "time"))
        nested = self._row.nested(records.data, "row")
        fits = pc.and_(pc.and_(row.is_valid(), pc.is_in(op, pa.array(_OPS))), pc.and_(id.is_valid(), time.is_valid()))
        return Columns(op, parsed["why"].combine_chunks(), time, id, self._row.values(row.flatten(), nested), fits)

    def shape(self) -> Any:
        return msgspec.defstruct("Record", [("op", str), ("id", str), ("time", int), ("row", row_shape(self.contract))])

    def read(self, raw: bytes, shard: int, position: int, arrived: int, warn: Warn) -> Seen:
        wire = parse_object(raw)
        check_single(wire, self.schema.names)
        if wire.get("op") == "rejected":
            raise _already(wire)
        op, id, time, why, row = (wire.get(name) for name in self.schema.names)
        if op not in ("put", "delete", "event") or not _is_text(id) or not (why is None or _is_text(why)):
            raise Misfit("not_a_change", "a record has an op and an id")
        if type(time) is not int or not FIRST_TIME <= time <= LAST_TIME:
            raise Misfit("not_a_change", "a record has a time, in microseconds")
        if not isinstance(row, dict):
            raise Misfit("not_a_change", "a record has a row")
        return Seen(op, why, time, id, self._row.item(row, raw, "row"))


def _is_text(value: Any) -> TypeGuard[str]:
    return isinstance(value, str) and not any("\ud800" <= character <= "\udfff" for character in value)


def _already(wire: dict[str, Any]) -> Misfit:
    why, detail, raw = (wire.get(name) for name in ("why", "detail", "raw"))
    if not (_is_text(why) and _is_text(detail) and isinstance(raw, str)):
        return Misfit("not_a_change", "a rejected record has why, detail and raw")
    return Already(why, detail, raw)


class PlainForm(Form):
    """A JSON object a record, with nothing around it: an event that is known by its place in the stream."""

    def __init__(self, contract: Contract) -> None:
        super().__init__(contract)
        self._row = _Row(contract)
        self.schema = pa.schema(list(self._row.type))
        self._op = "put" if contract.key else "event"

    def columns(self, parsed: pa.Table, records: Records) -> Columns:
        n = len(records)
        values = [column.combine_chunks() for column in parsed.columns]
        places = pa.array(np.arange(records.first, records.first + n)).cast(pa.string())
        ids = pc.binary_join_element_wise(pa.scalar(str(records.shard)), places, "-")
        return Columns(
            pa.repeat(self._op, n), pa.nulls(n, pa.string()), pa.array(records.times), ids,
            self._row.values(values, self._row.nested(records.data, None)),
        )

    def shape(self) -> Any:
        return row_shape(self.contract)

    def read(self, raw: bytes, shard: int, position: int, arrived: int, warn: Warn) -> Seen:
        return Seen(self._op, None, arrived, f"{shard}-{position}", self._row.item(parse_object(raw), raw, None))


class _Row:
    """A contract's columns as members of a JSON object."""

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._json = [column.name for column in contract.columns if column.kind == "json"]
        self.type = pa.struct([
            pa.field(column.name, _BYTES if column.kind == "bytes" else json_type(column))
            for column in contract.columns if column.kind != "json"
        ])
        self._decoders: dict[str | None, Any] = {}

    def values(self, read: list[pa.Array], nested: dict[str, pa.Array]) -> list[pa.Array]:
        """The columns in the contract's order, typed. Raises pa.ArrowInvalid."""
        found = dict(zip([field.name for field in self.type], read, strict=True))
        made = []
        for column in self.contract.columns:
            if column.kind == "json":
                made.append(nested[column.name])
            elif column.kind == "bytes":
                made.append(_decode_base64(found[column.name]))
            else:
                made.append(from_json_type(column, found[column.name]))
        return made

    def nested(self, data: bytes | memoryview, inside: str | None) -> dict[str, pa.Array]:
        """Members that hold lists and objects, as JSON text. Raises pa.ArrowInvalid."""
        if not self._json:
            return {}
        try:
            rows = self._decoder(inside).decode_lines(data)
        except UNREADABLE as error:
            raise pa.ArrowInvalid(str(error)) from None
        if inside is not None:
            rows = [row.inner for row in rows]
        return {name: pa.array([_text(getattr(row, name)) for row in rows], pa.string()) for name in self._json}

    def item(self, row: dict[str, Any], raw: bytes, inside: str | None) -> Item:
        """The row that was parsed from `raw`, with lists and objects as the text in which they came. Raises Misfit."""
        check_single(row, self.type.names)  # of a nested column the last counts: the fast path does not see the others
        for column in self.contract.columns:
            if column.kind == "bytes":
                check_single(row.get(column.name), ("$bytes",))
        try:
            nested = {name: texts.to_pylist() for name, texts in self.nested(raw, inside).items()}
        except pa.ArrowInvalid:
            return row
        return row | {name: JsonText(text) for name, (text,) in nested.items() if text is not None}

    def _decoder(self, inside: str | None) -> Any:
        if inside not in self._decoders:
            row = msgspec.defstruct("Row", [(name, msgspec.Raw, msgspec.Raw(b"null")) for name in self._json], frozen=True)
            outer = msgspec.defstruct("Record", [("inner", row, row())], rename={"inner": inside}) if inside else row
            self._decoders[inside] = msgspec.json.Decoder(outer)
        return self._decoders[inside]


def _text(raw: msgspec.Raw) -> str | None:
    text = bytes(raw).decode()
    if text == "null":
        return None
    if text[0] not in "[{":
        raise pa.ArrowInvalid("not a list or an object")
    return text


def _decode_base64(values: pa.Array) -> pa.Array:
    import polars as pl

    try:
        text = pl.from_arrow(values.field(0))
        made = text.cast(pl.Binary).bin.decode("base64", strict=True).to_arrow().cast(pa.binary())  # type: ignore[union-attr]
    except pl.exceptions.PolarsError as error:
        raise pa.ArrowInvalid(str(error)) from None
    if values.is_valid().true_count != made.is_valid().true_count:
        raise pa.ArrowInvalid("an object that is not bytes")
    return made
