"""The database that queries run in: empty, locked, and with a few macros of ours."""

from pathlib import Path
from typing import Any

import duckdb

from caudal.config import QueryConfig
from caudal.lake.query.sources import text

_MACROS = (
    # n / d in whole numbers, rounded half away from zero
    "CREATE MACRO caudal_divide(n, d) AS sign(n)::HUGEINT * sign(d)::HUGEINT * ((abs(n) * 2 + abs(d)) // (abs(d) * 2))",
    # a map of {k, v} pairs; of a key that is there twice, the first
    "CREATE MACRO caudal_map(l) AS map_from_entries(list_filter(l, lambda e, i: e.k IS NOT NULL"
    " AND list_position(list_transform(l, lambda o: o.k), e.k) = i))",
    # the elements of a list, each once, in their order
    "CREATE MACRO caudal_distinct(l) AS list_filter(l, lambda e, i: list_position(l, e) = i)",
    # a map of {k, v} pairs; of each key, all values
    "CREATE MACRO caudal_multimap(l) AS map_from_entries(list_transform(caudal_distinct(list_filter(list_transform(l, lambda e:"
    " e.k),"
    " lambda e: e IS NOT NULL)), lambda k: {'k': k, 'v': list_transform(list_filter(l, lambda e: e.k = k), lambda e: e.v)}))",
)


def connect(settings: QueryConfig, folder: Path, lake: Path | None) -> Any:
    """An empty database that reads the lake's folder and its own, and cannot be talked out of it."""
    db = duckdb.connect(":memory:", config={
        "memory_limit": f"{settings.memory_mb}MB", **({"threads": settings.threads} if settings.threads else {}),
        "temp_directory": str(folder / "spill"), "autoinstall_known_extensions": False, "autoload_known_extensions": False,
        "allow_community_extensions": False, "python_enable_replacements": False,
    })
    for macro in _MACROS:
        db.execute(macro)
    folders = ", ".join(text(f"{path}/") for path in (folder, lake) if path is not None)
    for setting in ("TimeZone = 'UTC'", "parquet_metadata_cache = true", f"allowed_directories = [{folders}]",
                    "enable_external_access = false", "lock_configuration = true"):
        db.execute(f"SET {setting}")
    return db
