"""A model as bytes, with nothing in them that runs.

    caudal model 1\\n          15 bytes
    SHA-256 of the rest       32 bytes
    NumPy's .npz              plain arrays, no pickle

The .npz holds the model's arrays under their names, and three more: `items` (UTF-8, one after another), `item_ends`
(where each ends, int64) and `meta` (JSON: kind, settings). Same model, same bytes: zip entries carry a fixed date.
"""

import hashlib
import io
import zipfile
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from caudal.errors import DataError

MAGIC = b"caudal model 1\n"
_DIGEST = hashlib.sha256().digest_size

Arrays = dict[str, npt.NDArray[Any]]


class Artifact(NamedTuple):
    """What the bytes hold."""

    kind: str
    items: pa.StringArray
    settings: dict[str, float]
    arrays: Arrays


def pack(
    kind: str, items: pa.StringArray, settings: Mapping[str, float], arrays: Mapping[str, npt.NDArray[Any]]
) -> bytes:
    """The bytes of a model of this kind."""
    texts = [item.encode() for item in items.to_pylist()]
    meta = msgspec.json.encode({"kind": kind, "settings": dict(settings)}, order="deterministic")
    body = io.BytesIO()
    np.savez(
        body, allow_pickle=False, **dict(sorted(arrays.items())),
        items=np.frombuffer(b"".join(texts), np.uint8),
        item_ends=np.cumsum([len(text) for text in texts], dtype=np.int64),
        meta=np.frombuffer(meta, np.uint8),
    )
    return MAGIC + hashlib.sha256(body.getbuffer()).digest() + body.getvalue()


def unpack(kind: str, data: bytes) -> Artifact:
    """What `pack` put in. Raises DataError if the bytes are damaged or of another kind of model."""
    artifact = _read(data)
    if artifact.kind != kind:
        raise DataError(f"these are the bytes of a model {artifact.kind!r}, not {kind!r}")
    return artifact


def kind_of(data: bytes) -> str:
    """The name of the algorithm that made these bytes. Raises DataError if they are damaged."""
    return _read(data).kind


def _read(data: bytes) -> Artifact:
    start = len(MAGIC) + _DIGEST
    body = data[start:]
    if data[: len(MAGIC)] != MAGIC:
        raise DataError("these bytes are no model of caudal's", hint="this version reads format 1")
    if hashlib.sha256(body).digest() != data[len(MAGIC) : start]:
        raise DataError("the model is damaged: its checksum does not match", hint="fetch it again, or train anew")
    try:
        with np.load(io.BytesIO(body), allow_pickle=False) as stored:
            arrays: Arrays = {name: stored[name] for name in stored.files}
        meta = msgspec.json.decode(arrays.pop("meta").tobytes(), type=_Meta)
        text, ends = arrays.pop("items").tobytes(), arrays.pop("item_ends")
        items = pa.array(
            [text[a:b].decode() for a, b in zip(np.r_[0, ends[:-1]], ends, strict=True)], pa.string()
        )
    except (ValueError, KeyError, OSError, zipfile.BadZipFile, msgspec.MsgspecError) as error:
        raise DataError(f"the model cannot be read: {error}") from error
    return Artifact(meta.kind, items, meta.settings, arrays)


class _Meta(msgspec.Struct):
    kind: str
    settings: dict[str, float]
