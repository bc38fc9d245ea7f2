"""The JSON documents of a file: one a line, or one behind the other, or one over many lines."""

import codecs
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from pathlib import Path

import msgspec
import pyarrow as pa

from caudal.errors import UsageError

BLOCK_BYTES = 4 << 20
LONGEST = 64 << 20
"""Bytes of one document; what is longer is taken as lines."""

_whole = msgspec.json.Decoder(msgspec.Raw).decode
_scan = JSONDecoder().raw_decode
_SUFFIXES = {".gz": "gzip", ".zst": "zstd"}


def read_documents(path: Path) -> Iterator[tuple[list[bytes], int, int]]:
    """Documents, with bytes of the file read so far and in all. What is no JSON comes as the line that it is.

    Raises UsageError if the file cannot be read.
    """
    if not path.is_file():
        raise UsageError(f"{path}: no such file", hint="check the path")
    total, rest, last = path.stat().st_size, b"", False
    try:
        with path.open("rb") as file, pa.input_stream(file, compression=_SUFFIXES.get(path.suffix)) as source:
            while not last:
                data = source.read(BLOCK_BYTES)
                last = not data
                documents, rest = split(rest.removeprefix(codecs.BOM_UTF8) + data, last)
                yield documents, min(file.tell(), total) if not last else total, total
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(f"{path}: cannot be read: {error}", hint="check the file") from None


def split(data: bytes, last: bool) -> tuple[list[bytes], bytes]:
    """The documents in some bytes of a file, and the bytes that belong to one that goes on behind them."""
    text = data.decode("utf-8", "surrogateescape")
    found, place, scanned = [], 0, 0
    while (place := _skip(text, place)) < len(text):
        end = text.find("\n", place)
        if place >= scanned and _is_document(text[place : end if end >= 0 else None]):
            end = end if end >= 0 else len(text)
        else:
            scanned = max(scanned, end)  # to try the whole line again for each of its documents would take for ever
            try:
                end = _scan(text, place)[1]
            except (JSONDecodeError, RecursionError):
                if not last and "\n{" not in text[place:] and len(text) - place < LONGEST:
                    break
                end = end if end >= 0 else len(text)
        found.append(_bytes(text[place:end]).rstrip())
        place = end
    return found, b"" if place >= len(text) else _bytes(text[place:])


def _is_document(line: str) -> bool:
    try:
        _whole(line)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return True


def _skip(text: str, place: int) -> int:
    """The next place that is not white."""
    while place < len(text) and text[place] in " \t\r\n":
        place += 1
    return place


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
