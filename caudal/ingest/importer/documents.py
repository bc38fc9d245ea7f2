"""The JSON documents of a file: one a line, or one behind the other, or one over many lines."""

import codecs
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from pathlib import Path

import msgspec
import pyarrow as pa

from caudal.errors import UsageError

BLOCK_BYTES = 512 << 10
"""Small, for Python counts the lines before each error that it finds."""

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
                data = source.read(max(BLOCK_BYTES, len(rest)))
                last = not data
                documents, rest = split((rest + data).removeprefix(codecs.BOM_UTF8), last)
                yield documents, min(file.tell(), total) if not last else total, total
    except (OSError, pa.ArrowInvalid) as error:
        raise UsageError(f"{path}: cannot be read: {error}", hint="check the file") from None


def split(data: bytes, last: bool) -> tuple[list[bytes], bytes]:
    """The documents in some bytes of a file, and the bytes that belong to one that goes on behind them."""
    text = data.decode("utf-8", "surrogateescape")
    found, place, scanned, another = [], 0, 0, 0
    while (place := _skip(text, place)) < len(text):
        line = text.find("\n", place)
        end = line if line >= 0 else len(text)
        if place < scanned or not _is_document(text[place:end]):
            scanned = end  # to try the whole line again for each of its documents would take for ever
            finish = _end(text, place)
            if finish < 0:
                if 0 <= another <= place:
                    another = text.find("\n{", place)
                goes_on = another < 0 and (line < 0 or text[place] in "{[")
                if goes_on and not last and len(text) - place < LONGEST:
                    break
            else:
                end = finish
        found.append(_bytes(text[place:end]).rstrip())
        place = end
    return found, b"" if place >= len(text) else _bytes(text[place:])


def _end(text: str, place: int) -> int:
    """The place behind the object or list that starts here; -1 if there is none, or not all of it."""
    if text[place] not in "{[":
        return -1
    try:
        return _scan(text, place)[1]
    except (JSONDecodeError, RecursionError):
        return -1


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
