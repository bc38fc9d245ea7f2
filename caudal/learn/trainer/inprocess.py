"""The embedded trainer: in this process, on one thread."""

import hashlib
import os
import subprocess
from importlib.metadata import PackageNotFoundError, version
from platform import python_version
from typing import Any, Self

import msgspec
import numpy as np

from caudal.errors import CaudalError, DataError
from caudal.lake.catalog import Catalog, Snapshot
from caudal.lake.query import Query
from caudal.learn.card import Card
from caudal.learn.dataset import DAY_US, Interactions, telling
from caudal.learn.evaluate import evaluate as judge
from caudal.learn.models import open_model_class
from caudal.learn.recommender import Recommender, table_of
from caudal.learn.registry import ModelRegistry
from caudal.learn.trainer.port import Progress, Trainer

TEST_SHARE = 0.1
"""Of the time that the data spans, the last part is the test window …"""
TEST_DAYS = 30
"""… but at most so many days: more would judge the model by a shop it was not trained for."""

PACKAGES = ("numpy", "scipy", "pyarrow", "implicit", "duckdb")


class InprocessTrainer(Trainer):
    """Trains here and now."""

    def __init__(self, query: Query, catalog: Catalog, models: ModelRegistry) -> None:
        self._query, self._catalog, self._models = query, catalog, models

    @classmethod
    def open(cls, url: str, query: Query, catalog: Catalog, models: ModelRegistry) -> Self:
        return cls(query, catalog, models)

    def train(
        self, recommender: Recommender, *, seed: int, evaluate: bool = True, progress: Progress | None = None
    ) -> Card:
        tell = progress or (lambda step: None)
        tell("read")
        table = table_of(recommender.interactions)
        snapshot = self._catalog.snapshot(table)
        interactions, left_out = self._read(recommender, snapshot)
        now = min(int(interactions.times[-1]), snapshot.time)
        tell("evaluate")
        evaluation = _evaluation(recommender, interactions, seed) if evaluate else {}
        tell("train")
        model = open_model_class(recommender.model).fit(interactions, now_us=now, seed=seed, **recommender.options)
        data = model.save()
        tell("save")
        card = self._models.add(Card(
            recommender=recommender.name, version=0, model=recommender.model, options=dict(recommender.options),
            snapshot={table: snapshot.version}, positions={table: snapshot.positions}, now=now, seed=seed, threads=1,
            caudal=_version("caudal"), commit=_commit(), declaration=declaration(recommender),
            packages={"python": python_version(), **{name: _version(name) for name in PACKAGES}},
            interactions=len(interactions), left_out=left_out, users=len(interactions.users), items=len(model.items),
            evaluation=evaluation, checksum="", bytes=len(data), created=0,
        ), data)
        self._models.offer(card)
        return card

    def _read(self, recommender: Recommender, snapshot: Snapshot) -> tuple[Interactions, int]:
        """What the recommender's query says of a snapshot, and how many of its rows say nothing."""
        table = snapshot.table.name
        if not snapshot.version:
            told = f"recommender {recommender.name}: table {table} is empty"
            raise DataError(told, hint=f"deliver something to it first: caudal flush {table}")
        rows = self._query.execute(recommender.interactions, versions={table: snapshot.version})
        try:
            kept = telling(rows, snapshot.time)
            return Interactions.from_arrow(kept), len(rows) - len(kept)
        except CaudalError as error:
            raise type(error)(f"recommender {recommender.name}: {error}", hint=error.hint) from None


def test_from(times: np.ndarray[Any, np.dtype[np.int64]]) -> int:
    """Where the test begins, microseconds since 1970, UTC: the last tenth of the time spanned, at most 30 days."""
    span = int(times[-1] - times[0])
    return int(times[-1]) - min(int(span * TEST_SHARE), TEST_DAYS * DAY_US)


def declaration(recommender: Recommender) -> str:
    """BLAKE2b of what the pipeline file says of a recommender."""
    said = msgspec.json.encode(recommender, order="deterministic")
    return hashlib.blake2b(said, digest_size=16).hexdigest()


def _evaluation(recommender: Recommender, interactions: Interactions, seed: int) -> dict[str, Any]:
    """How a model trained before the test window does in it; empty if the data cannot tell."""
    cut = test_from(interactions.times)
    train, test = interactions.split(cut)
    if not len(train) or not len(test):
        return {}
    try:
        model = open_model_class(recommender.model).fit(train, now_us=cut, seed=seed, **recommender.options)
        judged = judge(model, train, test, now_us=cut)
    except DataError:
        return {}  # nobody came back: a young shop gets its model all the same
    told: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(judged))  # as the card's readers will see it
    return {"cut": cut, **told}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _commit() -> str:
    """The git commit that this folder is at; "" if it is in no repository."""
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"], capture_output=True, text=True,
            timeout=5, check=False, env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
