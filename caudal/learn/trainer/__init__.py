"""Runs training: from a snapshot of the lake to a new version of a model."""

from caudal.lake.catalog import Catalog
from caudal.lake.query import Query
from caudal.learn.registry import ModelRegistry
from caudal.learn.trainer.port import Progress, Trainer
from caudal.registry import open_backend

__all__ = ["BACKENDS", "Progress", "Trainer", "open_trainer"]

BACKENDS = {"inprocess": "caudal.learn.trainer.inprocess:InprocessTrainer"}


def open_trainer(url: str, query: Query, catalog: Catalog, models: ModelRegistry) -> Trainer:
    """Open the trainer that `url` names."""
    return open_backend(Trainer, BACKENDS, url, query, catalog, models)  # type: ignore[type-abstract]
