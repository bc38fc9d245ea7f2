"""What becomes of records between the function and the object: cut apart, keyed, delimited, joined, compressed."""

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import jq
import pyarrow as pa
import pyarrow.compute as pc

from caudal.contract import Column, Contract
from caudal.gateway.faults import AwsError
from caudal.gateway.firehose.records import Failed, Record
from caudal.gateway.firehose.settings import Settings
from caudal.ingest.transform.decode import Decoder
from caudal.lake.formats import encode
from caudal.records import Records

EXTENSIONS = {"GZIP": ".gz", "ZIP": ".zip", "HADOOP_SNAPPY": ".snappy", "UNCOMPRESSED": ""}
_BLOCK = 256 << 10

Shape: TypeAlias = Callable[[Sequence[Record]], tuple[bytes, list[Failed]]]
"""Makes the bytes of an object of records, b"" for none, and says which did not fit."""


def deaggregated(records: Iterable[Record], settings: Settings) -> Iterator[Record]:
    """Each record, or those that it holds."""
    for record in records:
        if settings.deaggregate == "DELIMITED":
            parts = record.data.split(settings.separator.encode())
        elif settings.deaggregate == "JSON":
            parts = list(_objects(record.data))
        else:
            parts = [record.data]
        for n, part in enumerate(parts):
            yield record._replace(data=part, id=f"{record.id}{n:08}") if settings.deaggregate else record


def _objects(data: bytes) -> Iterator[bytes]:
    """The JSON values that stand one behind the other, or in one list; all of it where it is no JSON."""
    try:
        text = data.decode()
        decoder, at, found = json.JSONDecoder(), 0, []
        while at < len(text):
            if text[at] in " \n\r\t":
                at += 1
                continue
            value, end = decoder.raw_decode(text, at)
            found += [json.dumps(each).encode() for each in value] if isinstance(value, list) else [text[at:end].encode()]
            at = end
    except ValueError:
        yield data
        return
    yield from found


def keyed(records: Iterable[Record], query: str) -> tuple[list[Record], list[Failed]]:
    """Records with the partition keys that a jq expression takes from each; and those that it takes none from."""
    program = jq.compile(query)
    made, failed = [], []
    for record in records:
        try:
            found = program.input_text(record.data.decode()).first()
            keys = tuple((str(key), _key_text(value)) for key, value in found.items())
        except (ValueError, StopIteration, AttributeError, UnicodeDecodeError):
            failed.append(Failed(record, "metadata-extraction-failed", "DynamicPartitioning.MetadataExtractionFailed",
                                 "Non JSON record provided, or the query gives no object of texts and numbers", 1))
            continue
        made.append(record._replace(keys=record.keys + keys))
    return made, failed


def _key_text(value: Any) -> str:
    if value is None or isinstance(value, dict | list) or value == "":
        raise ValueError("a partition key is a text or a number")
    return str(value).lower() if isinstance(value, bool) else str(value)


def joined(records: Sequence[Record], settings: Settings) -> bytes:
    """The bytes of an object, compressed: nothing stands between records that was not asked for."""
    delimiter = settings.delimiter.encode()
    data = b"".join(record.data + delimiter for record in records)
    if settings.compression == "GZIP":
        packed: bytes = pa.Codec("gzip", compression_level=6).compress(data, asbytes=True)
        return packed
    if settings.compression == "ZIP":
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("data", data)
        return out.getvalue()
    if settings.compression == "HADOOP_SNAPPY":
        return b"".join(_hadoop_block(data[at : at + _BLOCK]) for at in range(0, len(data), _BLOCK))
    return data


def joiner(settings: Settings) -> Shape:
    """What makes the bytes of an object of records."""
    return lambda records: (joined(records, settings), [])


def _hadoop_block(data: bytes) -> bytes:
    """Length as it was, length compressed, both big-endian, and the compressed bytes."""
    packed: bytes = pa.compress(data, codec="snappy", asbytes=True)
    return struct.pack(">II", len(data), len(packed)) + packed


class Converter:
    """JSON records to Parquet by the columns of a table in Glue: exact, or the record fails."""

    def __init__(self, table: Mapping[str, Any]) -> None:
        columns = tuple(_column(column) for column in table["StorageDescriptor"]["Columns"])
        self._decoder = Decoder(Contract("record", columns), "plain")
        self._names = [column.name for column in columns]
        self._types = [_arrow(column["Type"]) for column in table["StorageDescriptor"]["Columns"]]

    def convert(self, records: Sequence[Record]) -> tuple[bytes, list[Failed]]:
        """One Parquet file, b"" if no record fits; and what does not."""
        decoded = self._decoder.decode(Records.of(0, 0, [record.data for record in records]))
        failed = [
            Failed(records[r.position], "format-conversion-failed", f"DataFormatConversion.{r.reason}", r.detail, 1)
            for r in decoded.rejected
        ]
        fits = pa.array([True] * len(decoded.rows))
        for name, kind in zip(self._names, self._types, strict=True):
            if pa.types.is_integer(kind) and kind.bit_width < 64:
                top = 1 << (kind.bit_width - 1)
                values = decoded.rows[name].combine_chunks()
                inside = pc.and_(pc.greater_equal(values, -top), pc.less(values, top))
                fits = pc.and_(fits, pc.fill_null(inside, True))
        told = "a number does not fit its column's type"
        failed += [
            Failed(records[position], "format-conversion-failed", "DataFormatConversion.integer_overflow", told, 1)
            for position in decoded.rows.filter(pc.invert(fits))["_position"].to_pylist()
        ]
        rows = decoded.rows.filter(fits).select(self._names)
        if not len(rows):
            return b"", failed
        encoded: bytes = bytes(encode(rows.cast(pa.schema(list(zip(self._names, self._types, strict=True)))), "parquet", ""))
        return encoded, failed


def _column(column: Mapping[str, Any]) -> Column:
    name, kind = column["Name"], column["Type"].lower()
    if kind.startswith("decimal"):
        precision, _, scale = kind.removeprefix("decimal").strip("()").partition(",")
        return Column(name, "decimal", True, int(precision or 10), int(scale or 0))
    kinds: dict[str, Any] = {
        "string": "string", "bigint": "int", "int": "int", "smallint": "int", "tinyint": "int",
        "double": "float", "float": "float", "boolean": "bool", "date": "date", "timestamp": "timestamp",
    }
    base = kind.partition("(")[0]
    if base not in kinds and base not in ("varchar", "char"):
        raise AwsError("InvalidArgumentException", f"caudal does not convert the type {kind} of column {name}")
    return Column(name, kinds.get(base, "string"), True)


def _arrow(kind: str) -> pa.DataType:
    small = {"int": pa.int32(), "smallint": pa.int16(), "tinyint": pa.int8(), "float": pa.float32()}
    return small.get(kind.lower()) or _column({"Name": "", "Type": kind}).arrow


Partitioned = dict[tuple[tuple[str, str], ...], list[Record]]


def partitioned(records: Sequence[Record], needed: set[str], most: int | None) -> tuple[Partitioned, list[Failed]]:
    """Records by their partition keys, each group in its order; and those without a key, or of one group too many."""
    groups: Partitioned = {}
    failed = []
    for record in records:
        values = dict(record.keys)
        if any(not values.get(name) for name in needed):
            told = f"the record has no partition key {sorted(name for name in needed if not values.get(name))[0]}"
            failed.append(Failed(record, "processing-failed", "DynamicPartitioning.MissingPartitionKey", told, 1))
            continue
        place = tuple(sorted((name, values[name]) for name in needed))
        if place not in groups and most is not None and len(groups) >= most:
            code, told = "DynamicPartitioning.ActivePartitionLimitExceeded", f"more than {most} partitions"
            failed.append(Failed(record, "processing-failed", code, told, 1))
            continue
        groups.setdefault(place, []).append(record)
    return groups, failed

