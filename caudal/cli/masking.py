"""Quarantined records on screen, without what the contract says is personal."""

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


def masked(raw: bytes, contract: "Contract") -> str | None:
    """The record as text with personal values masked; None if it cannot be told where in it they are."""
    personal = {name.lower() for c in contract.columns if c.personal for name in (c.name, *c.old_names)}
    if not personal:
        return as_text(raw)
    try:
        record = _decode(raw)
    except (ValueError, ArithmeticError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    return _encode(_mask(record, personal)).decode()


def _mask(value: Any, personal: set[str]) -> Any:
    if isinstance(value, dict):
        return {
            name: MASK if name.lower() in personal and inner is not None else _mask(inner, personal)
            for name, inner in value.items()
        }
    return [_mask(inner, personal) for inner in value] if isinstance(value, list) else value
