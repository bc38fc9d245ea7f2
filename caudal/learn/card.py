"""The card of a model: what it is, and everything that decided it."""

from typing import Any

import msgspec


class Card(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=False):
    """Lineage and quality of one version of a model. It lies beside the model's bytes, as JSON."""

    recommender: str
    version: int
    model: str
    """The algorithm's name."""
    options: dict[str, Any]
    snapshot: dict[str, int]
    """Table to the version of it that was trained on."""
    positions: dict[str, dict[int, int]]
    """Table to the stream positions that this version reaches, a shard each."""
    now: int
    """Time of the newest interaction, microseconds since 1970, UTC: what ages are counted from."""
    seed: int
    threads: int
    caudal: str
    """Version of caudal."""
    commit: str
    """Git commit of the folder it was trained in, with -dirty if files had changed; "" outside a repository."""
    declaration: str
    """BLAKE2b of the recommender's SQL, algorithm and options."""
    packages: dict[str, str]
    """Package to version, of those that decide the bytes."""
    interactions: int
    left_out: int = 0
    """Rows of its query that say nothing: without a user, an item, a time or a finite weight, or in the future."""
    users: int
    items: int
    """Items that the model knows."""
    evaluation: dict[str, Any]
    """What `caudal.learn.evaluate` said of a model trained before the cut; empty if the data could not tell."""
    checksum: str
    """BLAKE2b of the model's bytes."""
    bytes: int
    created: int
    """Microseconds since 1970, UTC."""

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the evaluation; empty without one."""
        metrics: dict[str, float] = self.evaluation.get("metrics", {})
        return metrics

    @property
    def label(self) -> str:
        return f"{self.recommender} v{self.version}"
