"""JSON lines: an object a line, attributes that the contract does not know included."""

import codecs
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from caudal.contract import Contract
from caudal.errors import UsageError
from caudal.ingest.importer.port import BadLine, Block, item_value
from caudal.ingest.items import decode_item
from caudal.ingest.transform.form import UNREADABLE
from caudal.ingest.transform.renames import open_decoder
from caudal.ingest.transform.values import Misfit
from caudal.records import Item, Records

BLOCK_BYTES = 4 << 20


def read_json(path: Path, contract: Contract) -> Iterator[Block]:
    """Read a file of JSON lines, plain or compressed (.gz, .zst)."""
    decoder = open_decoder(contract, "plain")
    total, first = path.stat().st_size, 1
    with pa.OSFile(str(path)) as file:
        for lines in _line_blocks(file, path):
            block = Block(min(file.tell(), total), total)
            numbers = [n for n, text in enumerate(lines, first) if text.strip()]
            kept = [lines[n - first] for n in numbers]
            decoded = decoder.decode(Records.of(0, 0, kept))
            bad = {rejected.position: rejected for rejected in decoded.rejected}
            for n, text in enumerate(kept):
                if n in bad:
                    block.rejected.append(BadLine(bad[n].reason, f"line {numbers[n]}: {bad[n].detail}", text))
                else:
                    _add(block, text, numbers[n], contract)
            first += len(lines)
            yield block


def read_line(raw: bytes, contract: Contract) -> Item:
    """The item of one line that was rejected. Raises Misfit."""
    for rejected in _decoder(contract).decode(Records.of(0, 0, [raw])).rejected:
        raise Misfit(rejected.reason, rejected.detail)
    return _item(raw, contract)


@cache
def _decoder(contract: Contract) -> Any:
    return open_decoder(contract, "plain")


def _add(block: Block, text: bytes, line: int, contract: Contract) -> None:
    try:
        block.items.append(_item(text, contract))
    except Misfit as misfit:
        block.rejected.append(BadLine(misfit.reason, f"line {line}: {misfit.detail}", text))


def _item(text: bytes, contract: Contract) -> Item:
    try:
        item = decode_item(text)
        for column in contract.columns:
            if column.kind == "float":
                item_value(contract, column, item.get(column.name))
    except (*UNREADABLE, ValueError, ArithmeticError):  # in an attribute that the contract does not know
        raise Misfit("invalid_item", "an item cannot hold one of its attributes") from None
    return item


def _line_blocks(file: pa.NativeFile, path: Path) -> Iterator[list[bytes]]:
    try:
        source = pa.input_stream(file, compression={".gz": "gzip", ".zst": "zstd"}.get(path.suffix))
        rest = source.read(len(codecs.BOM_UTF8)).removeprefix(codecs.BOM_UTF8)
        while data := source.read(BLOCK_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            yield [line + b"\n" for line in lines]
        if rest.strip():
            yield [rest]
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(f"{path}: cannot be read: {error}", hint="check the file") from None
