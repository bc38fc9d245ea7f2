"""Which shard a record of another system goes to: the same for all records of one item."""

from collections.abc import Callable

import msgspec

from caudal.contract import Contract
from caudal.ingest.transform.form import UNREADABLE

Image = dict[str, msgspec.Raw]

_LONGEST = 64
"""Bytes of a record without a key that stand for one."""


class _Images(msgspec.Struct):
    NewImage: Image = {}
    OldImage: Image = {}


class _Dynamodb(msgspec.Struct):
    dynamodb: _Images


class _Debezium(msgspec.Struct):
    before: Image | None = None
    after: Image | None = None
    payload: "_Debezium | None" = None


_dynamodb = msgspec.json.Decoder(_Dynamodb).decode
_debezium = msgspec.json.Decoder(_Debezium).decode


def _dynamodb_image(record: bytes) -> Image:
    images = _dynamodb(record).dynamodb
    return images.NewImage or images.OldImage


def _debezium_image(record: bytes) -> Image:
    found = _debezium(record)
    found = found.payload or found
    return found.after or found.before or {}


_IMAGES: dict[str, Callable[[bytes], Image]] = {
    "plain": msgspec.json.Decoder(Image).decode, "dynamodb": _dynamodb_image, "debezium": _debezium_image,
}


def shard_key(contract: Contract) -> Callable[[bytes], bytes]:
    """From a record to the key by which its shard is chosen: that of the item, as it is written."""
    image_of = _IMAGES[contract.form]

    def key_of(record: bytes) -> bytes:
        try:
            image = image_of(record)
        except UNREADABLE:
            image = {}
        return b"\0".join(bytes(image[name]) for name in contract.key if name in image) or record[:_LONGEST]

    return key_of
