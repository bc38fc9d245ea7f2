"""Partition projection: partitions that a table's properties say, and nobody lists."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product

from caudal.errors import QueryError
from caudal.gateway.documents import Document

MOST = 100_000
"""Partitions that a projection may have."""

_JAVA = {"yyyy": "%Y", "MM": "%m", "dd": "%d", "HH": "%H", "mm": "%M", "ss": "%S"}
_UNITS = {"SECONDS": 1, "MINUTES": 60, "HOURS": 3600, "DAYS": 86_400, "WEEKS": 604_800}


def is_projected(table: Document) -> bool:
    """Whether a table's partitions are projected."""
    return str(table.get("Parameters", {}).get("projection.enabled", "")).lower() == "true"


def projected(table: Document, tests: Sequence[str | None]) -> list[tuple[list[str], str]]:
    """Values and location of each partition. Raises QueryError."""
    properties, keys = table["Parameters"], [key["Name"] for key in table["PartitionKeys"]]
    columns = [_values(name, properties) for name in keys]
    count = 1
    for values in columns:
        count *= len(values)
    if count > MOST:
        raise QueryError(f"INVALID_TABLE_PROPERTY: the projection of {table['Name']} has more than {MOST} partitions",
                         hint="give it a narrower range")
    base = table["StorageDescriptor"].get("Location", "").rstrip("/")
    template = properties.get("storage.location.template") or "/".join([base, *(f"{key}=${{{key}}}" for key in keys)])
    made = []
    for values in map(list, product(*columns)):
        where = template
        for key, value in zip(keys, values, strict=True):
            where = where.replace(f"${{{key}}}", value)
        made.append((values, where))
    return made


def _values(name: str, properties: Document) -> list[str]:
    def setting(what: str, default: str = "") -> str:
        return str(properties.get(f"projection.{name}.{what}", default))

    kind = setting("type").lower()
    try:
        if kind == "enum":
            return [value.strip() for value in setting("values").split(",")]
        if kind == "integer":
            low, high = (int(text) for text in setting("range").split(","))
            digits = int(setting("digits", "0"))
            return [f"{number:0{digits}}" for number in range(low, high + 1, int(setting("interval", "1")))]
        if kind == "date":
            return list(_dates(setting("range"), setting("format"), int(setting("interval", "1")), setting("interval.unit")))
    except ValueError:
        told = f"INVALID_TABLE_PROPERTY: the projection of {name} cannot be read"
        raise QueryError(told, hint="see projection.*.range, format, interval") from None
    raise QueryError(f"NOT_SUPPORTED: projection of {name} by type {kind or '(none)'}", hint="use enum, integer or date")


def _dates(given: str, form: str, interval: int, unit: str) -> Iterator[str]:
    pattern = re.sub(r"'([^']*)'", r"\1", re.sub(r"yyyy|MM|dd|HH|mm|ss", lambda found: _JAVA[found.group()], form))
    low, high = (_date(text.strip(), pattern) for text in given.split(","))
    unit = (unit or ("HOURS" if "HH" in form else "DAYS" if "dd" in form else "MONTHS" if "MM" in form else "YEARS")).upper()
    unit = unit if unit.endswith("S") else f"{unit}S"
    at, n = low, 0
    while at <= high and n <= MOST:
        yield at.strftime(pattern)
        n += 1
        if unit in ("MONTHS", "YEARS"):
            months = low.month - 1 + n * interval * (12 if unit == "YEARS" else 1)
            at = low.replace(year=low.year + months // 12, month=months % 12 + 1)
        else:
            at = low + timedelta(seconds=n * interval * _UNITS[unit])


def _date(text: str, pattern: str) -> datetime:
    """A date of a range: as the format has it, or `NOW`, or `NOW-3DAYS`."""
    found = re.fullmatch(r"NOW\s*(?:([+-])\s*(\d+)\s*([A-Z]+))?", text, re.IGNORECASE)
    if not found:
        return datetime.strptime(text, pattern).replace(tzinfo=UTC)
    now = datetime.now(UTC).replace(microsecond=0)
    if not found[1]:
        return now
    unit = found[3].upper() if found[3].upper().endswith("S") else f"{found[3].upper()}S"
    days = {"MONTHS": 30 * 86_400, "YEARS": 365 * 86_400}
    if unit not in _UNITS and unit not in days:
        raise ValueError(unit)
    return now + timedelta(seconds=int(f"{found[1]}{found[2]}") * (_UNITS.get(unit) or days[unit]))
