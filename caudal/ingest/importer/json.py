"""JSON lines: an object a line, attributes that the contract does not know included."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from caudal.contract import Contract
from caudal.errors import UsageError
from caudal.ingest.importer.port import BadLine, Block
from caudal.ingest.items import decode_item
from caudal.ingest.transform.decode import Decoder
from caudal.records import Records

BLOCK_BYTES = 4 << 20


def read_json(path: Path, contract: Contract) -> Iterator[Block]:
    """Read a file of JSON lines, plain or compressed (.gz, .zst)."""
    decoder = Decoder(contract, "plain")
    total, line = path.stat().st_size, 1
    with path.open("rb") as file:
        for lines in _line_blocks(file, path):
            block = Block(min(file.tell(), total), total)
            kept = [text for text in lines if text.strip()]
            decoded = decoder.decode(Records.of(0, line, kept))
            bad = {rejected.position: rejected for rejected in decoded.rejected}
            for n, text in enumerate(kept, line):
                if n in bad:
                    block.rejected.append(BadLine(bad[n].reason, f"line {n}: {bad[n].detail}", text))
                else:
                    block.items.append(decode_item(text))
            line += len(kept)
            yield block


def _line_blocks(file: object, path: Path) -> Iterator[list[bytes]]:
    try:
        source = pa.input_stream(file, compression={".gz": "gzip", ".zst": "zstd"}.get(path.suffix))
        rest = b""
        while data := source.read(BLOCK_BYTES):
            *lines, rest = (rest + data).split(b"\n")
            yield [line + b"\n" for line in lines]
        if rest.strip():
            yield [rest]
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error}", hint="check the file") from None
