"""What the lake's files mean: tables, columns, partitions, snapshots."""

from collections.abc import Iterable

from caudal.lake.catalog.port import (
    Catalog,
    ChangedFile,
    CommitInfo,
    Era,
    Flow,
    LakeTable,
    Lease,
    Replay,
    Snapshot,
    SupportsFlush,
)
from caudal.lake.catalog.shadow import Shadow, SupportsShadows, is_shadow, shadow_name
from caudal.lake.catalog.upkeep import DELETED, Base, Expired, Totals, Versions
from caudal.registry import open_backend

__all__ = [
    "BACKENDS", "DELETED", "Base", "Catalog", "ChangedFile", "CommitInfo", "Era", "Expired", "Flow", "LakeTable", "Lease",
    "Replay", "Shadow", "Snapshot", "SupportsFlush", "SupportsShadows", "Totals", "Versions", "declared", "is_shadow",
    "open_catalog", "shadow_name",
]

BACKENDS = {
    "sqlite": "caudal.lake.catalog.sqlite:SqliteCatalog",
    "memory": "caudal.lake.catalog.memory:MemoryCatalog",
}


def open_catalog(url: str, database: str) -> Catalog:
    """Open the catalog that `url` names, at one database: a pipeline's tables."""
    return open_backend(Catalog, BACKENDS, url, database)  # type: ignore[type-abstract]


def declared(catalog: Catalog, tables: Iterable[LakeTable]) -> Catalog:
    """The catalog, with the tables declared to it; closed if that fails. Raises ContractError."""
    try:
        for table in tables:
            catalog.declare(table)
    except BaseException:
        catalog.close()
        raise
    return catalog
