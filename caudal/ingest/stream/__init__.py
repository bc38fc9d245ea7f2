"""The durable, ordered, replayable log of changes between the shop and the lake."""

from caudal.ingest.stream.port import Stream, SupportsBackpressure, SupportsGate, SupportsRetention, shard_of
from caudal.registry import open_backend

__all__ = ["BACKENDS", "Stream", "SupportsBackpressure", "SupportsGate", "SupportsRetention", "open_stream", "shard_of"]

BACKENDS = {
    "sqlite": "caudal.ingest.stream.sqlite:SqliteStream",
    "memory": "caudal.ingest.stream.memory:MemoryStream",
}


def open_stream(url: str) -> Stream:
    """Open the stream that `url` names."""
    return open_backend(Stream, BACKENDS, url)  # type: ignore[type-abstract]
