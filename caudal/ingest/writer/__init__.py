"""From the stream to the lake: batches, files, commits."""

from caudal.config import Config
from caudal.contract import Contract, Delivery
from caudal.ingest.stream import Stream
from caudal.ingest.writer.port import Writer
from caudal.lake.catalog import Catalog, LakeTable
from caudal.lake.files import Files
from caudal.registry import find_backend

__all__ = ["BACKENDS", "Writer", "open_writer"]

BACKENDS = {"inprocess": "caudal.ingest.writer.inprocess:InprocessWriter"}


def open_writer(
    config: Config, database: str, source: Contract, delivery: Delivery, table: LakeTable,
    stream: Stream, files: Files, catalog: Catalog,
) -> Writer:
    """Open the writer of one delivery: the one that the configuration names."""
    backend = find_backend(Writer, BACKENDS, config.url("writer"))  # type: ignore[type-abstract]
    return backend.open(config.url("writer"), config, database, source, delivery, table, stream, files, catalog)
