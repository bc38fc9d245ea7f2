"""SQL over the lake, in Athena's dialect on every engine."""

from caudal.config import QueryConfig
from caudal.lake.catalog import Catalog
from caudal.lake.files import Files
from caudal.lake.query.port import Query, SupportsStates, Tail
from caudal.registry import open_backend

__all__ = ["BACKENDS", "Query", "SupportsStates", "Tail", "open_query"]

BACKENDS = {"duckdb": "caudal.lake.query.duckdb:DuckdbQuery"}


def open_query(
    url: str, catalog: Catalog, files: Files, settings: QueryConfig, tail: Tail | None = None, database: str = ""
) -> Query:
    """Open the engine that `url` names, over one catalog, by whose name queries may call it, and what is on its way to it."""
    return open_backend(Query, BACKENDS, url, catalog, files, settings, tail, database)  # type: ignore[type-abstract]
