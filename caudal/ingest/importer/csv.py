"""CSV of other people: types from the contract, columns by header, nothing guessed.

NULL is an empty field and "" is the empty text; a field that is not what its column says makes its line a bad one.
Numbers with grouping, such as 1,234.50, are read only when a locale says so, and only if the groups are right.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from caudal.contract import Column, Contract
from caudal.errors import UsageError
from caudal.ingest.changes import Layout
from caudal.ingest.importer.columns import as_items, values_of_text
from caudal.ingest.importer.port import BadLine, Block, item_value
from caudal.ingest.transform.text import from_text
from caudal.ingest.transform.values import Misfit
from caudal.records import Item

BLOCK_BYTES = 4 << 20

LOCALES = {"": ("", "."), "en_US": (",", "."), "en_GB": (",", "."), "de_DE": (".", ","), "es_ES": (".", ","),
           "fr_FR": ("\u202f", ","), "it_IT": (".", ","), "nl_NL": (".", ",")}
"""Locale to its grouping and decimal characters."""


def read_csv(path: Path, contract: Contract, locale: str = "") -> Iterator[Block]:
    """Read a CSV file with a header line, plain or compressed (.gz, .zst)."""
    if locale not in LOCALES:
        raise UsageError(f"no locale {locale}", hint=f"use one of {', '.join(filter(None, LOCALES))}")
    total = path.stat().st_size
    bad: list[BadLine] = []

    def short_or_long(row: pacsv.InvalidRow) -> str:
        reason = "too_few_fields" if row.actual_columns < row.expected_columns else "too_many_fields"
        where = f"line {row.number}: " if row.number else ""
        bad.append(BadLine(reason, f"{where}{row.actual_columns} fields, {row.expected_columns} expected", row.text.encode()))
        return "skip"

    layout = Layout("csv", tuple(_header(path)), locale)
    with pa.OSFile(str(path)) as file:  # not Python's: Arrow reads ahead in a thread, and may outlive the interpreter
        header = list(layout.columns)
        columns = _columns(path, [contract.renames.get(name, name) for name in header], contract)
        reader = _open(path, file, header, short_or_long)
        row = 0
        while True:
            try:
                batch = reader.read_next_batch()
            except StopIteration:
                break
            except (pa.ArrowInvalid, OSError) as error:
                raise UsageError(f"{path}: cannot be read past row {row}: {error}", hint="mend the file") from None
            block = Block(min(file.tell(), total), total, [], bad[:], layout)
            bad.clear()
            _read_batch(contract, batch, columns, LOCALES[locale], row, block)
            row += len(batch)
            yield block
        if bad:
            yield Block(total, total, [], bad, layout)


def _header(path: Path) -> list[str]:
    """The names in the header line."""
    try:
        with pa.input_stream(str(path), compression=_compression(path)) as source:
            line = source.read(1 << 20).split(b"\n", 1)[0] + b"\n"
        names: list[str] = pacsv.read_csv(pa.BufferReader(line)).schema.names if line.strip() else []
    except (pa.ArrowInvalid, OSError, UnicodeDecodeError) as error:
        raise _not_csv(path, error) from None
    return names


def _open(path: Path, file: Any, header: list[str], handler: Callable[[pacsv.InvalidRow], str]) -> pacsv.CSVStreamingReader:
    try:
        return pacsv.open_csv(
            pa.input_stream(file, compression=_compression(path)),
            read_options=pacsv.ReadOptions(block_size=BLOCK_BYTES, use_threads=False),
            parse_options=pacsv.ParseOptions(newlines_in_values=True, invalid_row_handler=handler),
            convert_options=_fields_of(header),
        )
    except (pa.ArrowInvalid, OSError) as error:
        raise _not_csv(path, error) from None


def _fields_of(columns: Sequence[str]) -> pacsv.ConvertOptions:
    """Every field as bytes: NULL if there is nothing, not even quotes."""
    return pacsv.ConvertOptions(
        column_types=dict.fromkeys(columns, pa.binary()), null_values=[""],
        strings_can_be_null=True, quoted_strings_can_be_null=False, check_utf8=False,
    )


def _compression(path: Path) -> str | None:
    return {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)


def _not_csv(path: Path, error: Exception) -> UsageError:
    return UsageError(f"{path}: not a CSV file: {error}", hint="it needs a header line, commas and UTF-8")


def _columns(path: Path, header: list[str], contract: Contract) -> list[Column]:
    """The contract's columns in the file's order; columns that it does not know stay text."""
    known = {column.name: column for column in contract.columns}
    missing = [c.name for c in contract.columns if c.name not in header and not c.nullable]
    if missing:
        raise UsageError(f"{path}: has no column {missing[0]}, which {contract.name} needs",
                         hint=f"its header is {', '.join(header) or 'empty'}")
    if len(set(header)) != len(header):
        raise UsageError(f"{path}: two columns of one name in the header", hint="rename one")
    return [known.get(name) or Column(name, "string", nullable=True) for name in header]


def _read_batch(
    contract: Contract, batch: pa.RecordBatch, columns: list[Column], locale: tuple[str, str], done: int, block: Block
) -> None:
    try:
        values = [values_of_text(column, data, locale[1] == ".") for column, data in zip(columns, batch.columns, strict=True)]
    except pa.ArrowInvalid:
        pass  # at least one field does not fit, or takes a closer look
    else:
        block.items = as_items(columns, values)
        return
    fields = [column.to_pylist() for column in batch.columns]
    for n, row in enumerate(zip(*fields, strict=True), done + 1):
        try:
            block.items.append(_item(contract, row, columns, locale))
        except Misfit as misfit:
            block.rejected.append(BadLine(misfit.reason, f"row {n}: {misfit.detail}", join_line(row)))


def _item(contract: Contract, row: tuple[bytes | None, ...], columns: list[Column], locale: tuple[str, str]) -> Item:
    item = {}
    for column, data in zip(columns, row, strict=True):
        if data is None and column.nullable:
            continue
        try:
            text = data.decode() if data is not None else None
        except UnicodeDecodeError:
            raise Misfit("invalid_utf8", f"{column.name} is not UTF-8") from None
        if text is not None and column.kind in ("int", "decimal", "float"):
            text = _plain_number(column, text, locale)
        item[column.name] = item_value(contract, column, from_text(column.kind, text))
    return item


def _plain_number(column: Column, text: str, locale: tuple[str, str]) -> str:
    """A number's text without grouping, and with a decimal point. Raises Misfit for grouping that is wrong."""
    group, point = locale
    if not group:
        if "," in text:
            raise Misfit("number_format", f"{column.name} has a comma, and no locale says what it means")
        return text
    if group in text:
        if not re.match(rf"[+-]?\d{{1,3}}({re.escape(group)}\d{{3}})+({re.escape(point)}\d+)?\Z", text, re.ASCII):
            raise Misfit("number_grouping", f"{column.name} has groups that are not of three digits")
        text = text.replace(group, "")
    return text.replace(point, ".")


def split_line(raw: bytes, columns: Sequence[str]) -> tuple[bytes | None, ...]:
    """The fields of one line. Raises Misfit if it has not one for each column."""
    try:
        read = pacsv.read_csv(
            pa.BufferReader(raw),
            read_options=pacsv.ReadOptions(column_names=columns, use_threads=False, block_size=len(raw) + 1),
            parse_options=pacsv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
            convert_options=_fields_of(columns),
        )
    except pa.ArrowInvalid:
        raise Misfit("csv_fields", f"a line has not the {len(columns)} fields of the header") from None
    if len(read) != 1:
        raise Misfit("csv_fields", f"{len(read)} lines, where one was")
    return tuple(column[0].as_py() for column in read.columns)


def read_line(raw: bytes, contract: Contract, layout: Layout) -> Item:
    """The item of one line that was rejected. Raises Misfit."""
    known = {column.name: column for column in contract.columns}
    names = [contract.renames.get(name, name) for name in layout.columns]
    columns = [known.get(name) or Column(name, "string", nullable=True) for name in names]
    item = _item(contract, split_line(raw, layout.columns), columns, LOCALES.get(layout.locale, LOCALES[""]))
    for column in contract.columns:
        if column.name not in item:
            item_value(contract, column, None)
    return item


def join_line(row: Sequence[bytes | None]) -> bytes:
    """Fields as a line."""
    return b",".join(b"" if field is None else b'"' + field.replace(b'"', b'""') + b'"' for field in row) + b"\n"
