"""Quarantined records on screen, without what the contract says is personal."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from caudal.contract import Contract

MASK = "***"

_decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def as_text(raw: bytes) -> str:
    """Bytes as text; what is not UTF-8 as escapes."""
    return raw.decode(errors="backslashreplace").rstrip("\n")


def masked(raw: bytes, contract: "Contract", origin: str = "") -> str | None:
    """The record as text with personal values masked; None if it cannot be told where in it they are.

    `origin` is that of a line of an import.
    """
    personal = {name.lower() for c in contract.columns if c.personal for name in (c.name, *c.old_names)}
    if not personal:
        return as_text(raw)
    if header := _header(origin):
        return _masked_line(raw, header, personal)
    try:
        record = _decode(raw)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    return _encode(_mask(record, personal)).decode()


def _header(origin: str) -> Sequence[str]:
    """The columns of a line of CSV; none if it is no CSV."""
    from caudal.ingest.changes import Origin

    return msgspec.json.decode(origin, type=Origin).layout.columns if origin else ()


def _masked_line(raw: bytes, header: Sequence[str], personal: set[str]) -> str | None:
    from caudal.ingest.importer.csv import join_line, split_line
    from caudal.ingest.transform.values import Misfit

    try:
        fields = split_line(raw, header)
    except Misfit:
        return None
    return as_text(join_line([
        MASK.encode() if name.lower() in personal and field is not None else field
        for name, field in zip(header, fields, strict=True)
    ]))


def _mask(value: Any, personal: set[str]) -> Any:
    if isinstance(value, dict):
        return {
            name: MASK if name.lower() in personal and inner is not None else _mask(inner, personal)
            for name, inner in value.items()
        }
    return [_mask(inner, personal) for inner in value] if isinstance(value, list) else value
