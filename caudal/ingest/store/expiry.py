"""When an item expires: the attribute that its table names, in seconds since 1970 or as ISO 8601 text."""

import re
import time
from datetime import UTC, datetime
from decimal import Decimal

from caudal.records import Item

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}")


def expires_at(item: Item, ttl: str) -> float | None:
    """When an item expires, seconds since 1970; None for never, and for what is no time."""
    value = item.get(ttl) if ttl else None
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str) or not _TIME.match(value):
        return None
    try:
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def unless_expired(item: Item | None, ttl: str, now: float | None = None) -> Item | None:
    """The item, None once it expired."""
    if item is None or not ttl:
        return item
    at = expires_at(item, ttl)
    return None if at is not None and at <= (time.time() if now is None else now) else item
