"""Every version of every model, and which of them is live.

The bytes and the card lie in the lake's files, written once: `models/<recommender>/v000001/model.bin` and `card.json`.
Which version is live is in one SQLite file that processes share, as a trail of switches that only grows.
"""

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import apsw
import msgspec

from caudal.errors import AlreadyExists, DataError, NotFound, UsageError
from caudal.lake.files import Files
from caudal.learn.card import Card
from caudal.learn.models import Model, load_model
from caudal.sqlite import open_database, translated

SCHEMA = """
CREATE TABLE IF NOT EXISTS model (
  recommender TEXT NOT NULL, version INTEGER NOT NULL, card TEXT NOT NULL, note TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (recommender, version));
CREATE TABLE IF NOT EXISTS switch (
  id INTEGER PRIMARY KEY, recommender TEXT NOT NULL, action TEXT NOT NULL,
  old INTEGER, version INTEGER NOT NULL, time INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS switch_recommender ON switch (recommender, id);
"""

GOOD_ENOUGH = 0.8
"""A new version goes live by itself unless its NDCG@10 falls below this share of the live one's."""


class Switch(NamedTuple):
    """One change of the live version."""

    action: Literal["promote", "rollback"]
    old: int | None
    """The version that was live before; None for the first."""
    version: int
    time: int
    """Microseconds since 1970, UTC."""


@dataclass(frozen=True)
class Version:
    """One version of a model, as a list shows it."""

    card: Card
    live: bool
    note: str
    """Why it did not go live by itself, if so."""


class ModelRegistry:
    """Keeps models; a version is never changed, and its number never used again."""

    def __init__(self, files: Files, folder: Path) -> None:
        self._files = files
        self._db = open_database(folder / "models.db", SCHEMA, self)

    def add(self, card: Card, data: bytes) -> Card:
        """Keep a new version; returns the card with version, checksum, size and time filled in.

        The first version of a recommender goes live at once.
        """
        checksum = _checksum(data)
        version = self._claim(card.recommender, data)
        card = msgspec.structs.replace(
            card, version=version, checksum=checksum, bytes=len(data), created=time.time_ns() // 1000
        )
        text = msgspec.json.format(msgspec.json.encode(card), indent=2)
        self._files.put(_path(card.recommender, version, "card.json"), text)

        def work(db: apsw.Connection) -> None:
            db.execute("INSERT INTO model (recommender, version, card) VALUES (?, ?, ?)",
                       (card.recommender, version, text.decode()))
            if _live(db, card.recommender) is None:
                _switch(db, card.recommender, "promote", version)

        self._db.transact(work)
        return card

    def _claim(self, recommender: str, data: bytes) -> int:
        """Write the bytes under the next free number: files are written once, so two trainers never share one."""
        version = 1 + max((found.card.version for found in self.versions(recommender)), default=0)
        while True:
            try:
                self._files.put(_path(recommender, version, "model.bin"), data)
                return version
            except AlreadyExists:
                version += 1

    def versions(self, recommender: str) -> list[Version]:
        """All versions, oldest first; none is no error."""
        live = self.live(recommender)
        with translated(self._db.path):
            rows = list(self._db.reader.execute(
                "SELECT card, note FROM model WHERE recommender = ? ORDER BY version", (recommender,)
            ))
        cards = [(msgspec.json.decode(text, type=Card), note) for text, note in rows]
        return [Version(card, card.version == live, note) for card, note in cards]

    def card(self, recommender: str, version: int) -> Card:
        """The card of one version. Raises NotFound."""
        with translated(self._db.path):
            text = self._db.reader.execute(
                "SELECT card FROM model WHERE recommender = ? AND version = ?", (recommender, version)
            ).get
        if text is None:
            known = [found.card.version for found in self.versions(recommender)]
            raise NotFound(f"{recommender} has no model version {version}", hint=(
                f"its versions are {', '.join(map(str, known))}" if known else f"train one: caudal train {recommender}"
            ))
        return msgspec.json.decode(text, type=Card)

    def live(self, recommender: str) -> int | None:
        """The live version; None before the first. Cheap enough to ask each second."""
        with translated(self._db.path):
            return _live(self._db.reader, recommender)

    def history(self, recommender: str) -> list[Switch]:
        """Every change of the live version, oldest first."""
        with translated(self._db.path):
            return _history(self._db.reader, recommender)

    def in_use(self, recommender: str) -> list[Card]:
        """Cards of the live version and of the one that a rollback would bring back, as far as there are any."""
        with translated(self._db.path):
            pile = _pile(_history(self._db.reader, recommender))
        return [self.card(recommender, version) for version in dict.fromkeys(pile[-2:])]

    def promote(self, recommender: str, version: int) -> Card:
        """Make a version live, once its bytes are proven whole. Nothing happens if it is live already."""
        card = self.card(recommender, version)
        self._verify(card)

        def work(db: apsw.Connection) -> None:
            if _live(db, recommender) != version:
                _switch(db, recommender, "promote", version)

        self._db.transact(work)
        return card

    def rollback(self, recommender: str) -> Card:
        """Make the version live that was so before, once its bytes are proven whole. Nothing is trained.

        Raises UsageError if there is none, DataError if it is missing or damaged; the live version then stays.
        """
        seen = self.live(recommender)
        card = self.card(recommender, self._before(_history(self._db.reader, recommender), recommender))
        self._verify(card)

        def work(db: apsw.Connection) -> None:
            if _live(db, recommender) != seen:
                raise UsageError(f"{recommender}: another process changed the live version meanwhile",
                                 hint="look at its history, then decide again")
            _switch(db, recommender, "rollback", card.version)

        self._db.transact(work)
        return card

    @staticmethod
    def _before(history: list[Switch], recommender: str) -> int:
        """The version under the live one."""
        pile = _pile(history)
        if len(pile) < 2:
            raise UsageError(f"{recommender}: no earlier version was live", hint="promote one by its number")
        return pile[-2]

    def offer(self, card: Card) -> str:
        """Promote a new version unless it is clearly worse than the live one; returns why not, or ""."""
        live = self.live(card.recommender)
        if live == card.version:
            return ""
        old = self.card(card.recommender, live).metrics.get("ndcg@10") if live is not None else None
        new = card.metrics.get("ndcg@10")
        if old is None or (new is not None and new >= GOOD_ENOUGH * old):
            self.promote(card.recommender, card.version)
            return ""
        told = f"its NDCG@10 is {new:.4f}" if new is not None else "it could not be evaluated"
        note = f"{told}, that of the live version {live} is {old:.4f}"
        self._db.transact(lambda db: db.execute(
            "UPDATE model SET note = ? WHERE recommender = ? AND version = ?", (note, card.recommender, card.version)
        ).get)
        return note

    def load(self, recommender: str, version: int | None = None) -> tuple[Model, Card]:
        """A version, by default the live one. Raises NotFound, DataError if it is missing or damaged."""
        version = self.live(recommender) if version is None else version
        if version is None:
            raise NotFound(f"{recommender} has no model yet", hint=f"train one: caudal train {recommender}")
        card = self.card(recommender, version)
        return load_model(self._verify(card)), card

    def export(self, recommender: str, version: int) -> tuple[bytes, bytes]:
        """A version's card, as JSON, and its bytes, verified. Raises NotFound."""
        card = self.card(recommender, version)
        return self._files.get(_path(recommender, version, "card.json")), self._verify(card)

    def _verify(self, card: Card) -> bytes:
        """The bytes of a version, proven to be those that were added."""
        path = _path(card.recommender, card.version, "model.bin")
        hint = "the live version was left as it is; promote another, or train again"
        try:
            data = self._files.get(path)
        except NotFound:
            raise DataError(f"model {card.label}: its file {path} is missing", hint=hint) from None
        if _checksum(data) != card.checksum:
            raise DataError(f"model {card.label}: its file {path} is damaged: its checksum does not match", hint=hint)
        return data

    def close(self) -> None:
        """Release what was opened."""
        self._db.close(self)


def _checksum(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=32).hexdigest()


def _path(recommender: str, version: int, name: str) -> str:
    return f"models/{recommender}/v{version:06}/{name}"


def _live(db: apsw.Connection, recommender: str) -> int | None:
    found: int | None = db.execute(
        "SELECT version FROM switch WHERE recommender = ? ORDER BY id DESC LIMIT 1", (recommender,)
    ).get
    return found


def _history(db: apsw.Connection, recommender: str) -> list[Switch]:
    return [Switch(*row) for row in db.execute(
        "SELECT action, old, version, time FROM switch WHERE recommender = ? ORDER BY id", (recommender,)
    )]


def _pile(history: list[Switch]) -> list[int]:
    """Versions with the live one last: a promotion puts one on top, a rollback takes it off."""
    pile: list[int] = []
    for switch in history:
        if switch.action == "promote":
            pile.append(switch.version)
        else:
            pile.pop()
    return pile


def _switch(db: apsw.Connection, recommender: str, action: str, version: int) -> None:
    db.execute("INSERT INTO switch (recommender, action, old, version, time) VALUES (?, ?, ?, ?, ?)",
               (recommender, action, _live(db, recommender), version, time.time_ns() // 1000))
