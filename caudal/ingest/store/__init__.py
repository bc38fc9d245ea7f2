"""The shop's operational tables: keyed items, each write one transaction with its change."""

from caudal.ingest.store.port import ABSENT, KEPT, PRESENT, Delete, Modify, Open, Page, Put, StartsWith, Store, Update, Write
from caudal.registry import open_backend

__all__ = [
    "ABSENT", "BACKENDS", "KEPT", "PRESENT", "Delete", "Modify", "Open", "Page", "Put", "StartsWith", "Store", "Update", "Write",
    "open_store",
]

BACKENDS = {
    "sqlite": "caudal.ingest.store.sqlite:SqliteStore",
    "memory": "caudal.ingest.store.memory:MemoryStore",
}


def open_store(url: str) -> Store:
    """Open the store that `url` names."""
    return open_backend(Store, BACKENDS, url)  # type: ignore[type-abstract]
