"""JSON records to Arrow columns in C (`rows.c`), outside of Python's lock: the part of a delivery that each byte goes through.

It is compiled when the package is built (`build_caudal.py`), and needs nothing of Python: it is called with the addresses of
Arrow's and NumPy's memory.
"""

import ctypes
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from caudal.contract import TIMESTAMP
from caudal.errors import CaudalError
from caudal.records import Records

Names: TypeAlias = tuple[str, ...]
"""Names of members, from a record's own inwards."""


class Kind(IntEnum):
    """What a member holds; as in `rows.c`."""

    OBJECT, TEXT, INTEGER, DECIMAL, FLOAT, BOOLEAN, DATE, TIME, NESTED, BYTES = range(10)


class Flag(IntFlag):
    """More about a member; as in `rows.c`."""

    QUOTED = 1
    """Its number stands in a string."""
    FILLED = 2
    """An object in which at least one member has a value."""
    CLOSED = 4
    """An object that has known members only."""
    NOTED = 8
    """An object whose unknown members are reported."""


@dataclass(frozen=True)
class Member:
    """A member of a JSON object that is read, and those inside it."""

    name: str
    kind: Kind
    inside: tuple["Member", ...] = ()
    flags: int = 0
    type: pa.DataType | None = None
    """Arrow's, of a decimal."""


@dataclass(frozen=True)
class Read:
    """Columns of records, one entry a record."""

    columns: dict[Names, pa.Array]
    """By path; of an object, whether it was there."""
    odd: npt.NDArray[np.bool_]
    """Records that only the exact reader can judge: their entries mean nothing."""
    unknown: npt.NDArray[np.bool_]
    """Records with an unknown member in an object whose unknown members are reported."""


_SPAN = 24
"""Bytes that say where a text is."""
_SIZES = {Kind.OBJECT: 0, Kind.INTEGER: 8, Kind.DECIMAL: 16, Kind.BOOLEAN: 1, Kind.DATE: 4, Kind.TIME: 8}
_TYPES = {Kind.INTEGER: pa.int64(), Kind.DATE: pa.date32(), Kind.TIME: TIMESTAMP, Kind.BYTES: pa.binary()}
_MEMBER = np.dtype([
    ("name", "u8"), *((name, "i4") for name in ("length", "kind", "flags", "precision", "scale", "first", "count")),
    ("seen", "i8"), ("bytes", "i8"), ("values", "u8"), ("valid", "u8"),
], align=True)
"""`member` of `rows.c`."""


class Reader:
    """Reads records that are JSON objects with some members.

    Args:
        members: those that are read; what else there is is only looked at for whether it is JSON.
        flags: of the records themselves, which are objects.
    """

    def __init__(self, members: tuple[Member, ...], flags: int = 0) -> None:
        self._paths: list[Names] = [()]
        self._members = [Member("", Kind.OBJECT, members, flags)]
        self._names = []
        table = []
        for place, member in enumerate(self._members):  # grows as it is gone through
            name = member.name.encode()
            self._names.append(ctypes.create_string_buffer(name))
            decimal = member.type or pa.decimal128(1)
            table.append((
                ctypes.addressof(self._names[-1]), len(name), member.kind, member.flags, decimal.precision, decimal.scale,
                len(self._members), len(member.inside), -1, 0, 0, 0,
            ))
            self._members += member.inside
            self._paths += [(*self._paths[place], each.name) for each in member.inside]
        self._table = np.array(table, _MEMBER)

    def read(self, records: Records, where: npt.NDArray[np.int64] | None = None) -> Read:
        """Read the records, or those at the indices `where`. Never raises for what is in one."""
        starts, stops = records.offsets[:-1], records.offsets[1:]
        if where is not None:
            starts, stops = starts[where], stops[where]
        data, count = np.frombuffer(records.data, np.uint8), len(starts)
        starts, stops = np.ascontiguousarray(starts), np.ascontiguousarray(stops)
        table = self._table.copy()
        values = [pa.allocate_buffer(count * _SIZES.get(member.kind, _SPAN)) for member in self._members]
        valid = np.zeros((len(table), (count + 7) // 8), np.uint8)
        odd, unknown = np.zeros((2, count), np.uint8)
        table["values"] = [each.address for each in values]
        table["valid"] = valid.ctypes.data + valid.strides[0] * np.arange(len(table))
        _library.caudal_read(
            data.ctypes.data, starts.ctypes.data, stops.ctypes.data, count, table.ctypes.data, len(table), odd.ctypes.data,
            unknown.ctypes.data,
        )
        columns = {}
        for member, path, spans, bits, size in zip(self._members, self._paths, values, valid, table["bytes"], strict=True):
            made = [spans] if member.kind in _SIZES else [pa.allocate_buffer(4 * (count + 1)), pa.allocate_buffer(int(size))]
            if member.kind not in _SIZES:
                copied = data.ctypes.data, spans.address, bits.ctypes.data, count, made[1].address, made[0].address
                _library.caudal_bytes(*copied, odd.ctypes.data) if member.kind == Kind.BYTES else _library.caudal_texts(*copied)
            columns[path] = _array(member, count, [pa.py_buffer(bits), *made])
        return Read(columns, odd.view(bool), unknown.view(bool))


def _array(member: Member, count: int, buffers: list[pa.Buffer]) -> pa.Array:
    if member.kind == Kind.OBJECT:
        return pa.Array.from_buffers(pa.bool_(), count, [None, buffers[0]])
    if member.kind == Kind.BOOLEAN:
        bits = np.packbits(np.frombuffer(buffers[1], np.uint8), bitorder="little")
        return pa.Array.from_buffers(pa.bool_(), count, [buffers[0], pa.py_buffer(bits)])
    made = pa.Array.from_buffers(member.type or _TYPES.get(member.kind, pa.string()), count, buffers)
    return made.cast(pa.float64()) if member.kind == Kind.FLOAT else made


def _load() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(Path(__file__).with_name("rows.so")))
    except OSError as error:
        raise CaudalError(
            f"caudal's compiled part cannot be loaded ({error}): install caudal again; from its source, with pip install -e ."
        ) from None
    address, count = ctypes.c_void_p, ctypes.c_int64
    library.caudal_read.argtypes = [address, address, address, count, address, count, address, address]
    library.caudal_texts.argtypes = [address, address, address, count, address, address]
    library.caudal_bytes.argtypes = [*library.caudal_texts.argtypes, address]
    for function in (library.caudal_read, library.caudal_texts, library.caudal_bytes):
        function.restype = None
    return library


_library = _load()
