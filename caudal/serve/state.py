"""The live state of one recommender: the lake's snapshot, and every change since.

The recommender's own queries run over the snapshot and over each row that arrives, so that a purchase counts the same
in training, at start and a millisecond after it was written. A change of an item takes its before-image back and adds
its after-image: what is cancelled or deleted is forgotten.
"""

import threading
import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from caudal.errors import CaudalError
from caudal.ingest.stream import Stream
from caudal.ingest.transform import Transform
from caudal.lake.catalog import Catalog
from caudal.lake.query import Query
from caudal.learn.dataset import Codes, Times
from caudal.learn.recommender import Recommender, table_of
from caudal.records import Records
from caudal.serve.catalogue import Catalogue, Listing
from caudal.serve.follower import Follower, Start
from caudal.serve.histories import Histories, Popularity, Rows, Touches, by_user
from caudal.serve.rows import ImageReader, Images

Apply = Callable[[pa.Table | None, pa.Table | None], None]


class _Source(NamedTuple):
    """A query over one table, and how the table's changes are read."""

    sql: str
    table: str
    read: Callable[[Records], Images]


class LiveState:
    """What is known of shoppers and items, milliseconds behind the stream."""

    def __init__(
        self, recommender: Recommender, transforms: Mapping[str, Transform],
        query: Query, catalog: Catalog, stream: Stream,
    ) -> None:
        self._query, self._catalog = query, catalog
        self._lock = threading.RLock()
        """Held by whoever changes; readers take none."""
        self.catalogue = Catalogue(unlisted=not recommender.items)
        self.histories = Histories(Touches.of(_TOUCHES.empty_table()), np.empty(0, np.int32))
        self._popularity = Popularity(0)
        self.now = 0
        """Time of the newest interaction, microseconds since 1970, UTC: never later than the clock, never going back."""
        self.skipped = 0
        """Records on which the recommender's query failed."""
        table, name, images = self._source(recommender.interactions, transforms)
        self._interactions = _Source(recommender.interactions, table, images.read)
        self.followers = [Follower(stream, name, self._load_interactions, self._follow_interactions)]
        if recommender.items:
            table, name, images = self._source(recommender.items, transforms)
            self._items = _Source(recommender.items, table, images.read_latest)
            self.followers.append(Follower(stream, name, self._load_items, self._follow_items))

    def _source(self, sql: str, transforms: Mapping[str, Transform]) -> tuple[str, str, ImageReader]:
        """The lake table of a query, its stream, and what reads that."""
        table = self._catalog.snapshot(table_of(sql)).table
        return table.name, table.source, ImageReader(transforms[table.name], table.contract)

    def start(self) -> None:
        """Load the snapshots, then follow the streams."""
        for follower in self.followers:
            follower.start()

    def close(self) -> None:
        """Stop following."""
        for follower in self.followers:
            follower.close()

    def popularity(self, items: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Weight sold of each of the first `items` items, as `Interactions.popularity` at `now`: shape (items,)."""
        return self._popularity.at(self.now, items)

    def codes(self, items: pa.StringArray) -> Codes:
        """Codes of items, new ones for those never seen."""
        with self._lock:
            return self.catalogue.codes(items.to_pylist())

    def _load(self, source: _Source) -> tuple[pa.Table | None, Start]:
        """The query's rows at the table's newest snapshot (None before the first commit), and where to read on."""
        snapshot = self._catalog.snapshot(source.table)
        start = Start(snapshot.positions, snapshot.newest or 0)
        if not snapshot.version:
            return None, start
        return self._query.execute(source.sql, versions={source.table: snapshot.version}), start

    def _load_interactions(self) -> Start:
        table, start = self._load(self._interactions)
        touches = Touches.of(_TOUCHES.empty_table() if table is None else table)
        with self._lock:
            codes = self.catalogue.codes_of(touches.items)
            now = _newest(touches.times)
            popularity = Popularity(now)
            popularity.add(codes, touches.times, touches.weights, len(self.catalogue))
            self.histories, self._popularity, self.now = Histories(touches, codes), popularity, now
        return start

    def _load_items(self) -> Start:
        table, start = self._load(self._items)
        with self._lock:
            if table is None:
                self.catalogue.keep_only([])
            else:
                listing = Listing.of(table)
                self.catalogue.keep_only(listing.items)
                self.catalogue.list(listing)
        return start

    def _follow_interactions(self, records: Records) -> None:
        self._each(records, self._interactions, self._apply_interactions)

    def _follow_items(self, records: Records) -> None:
        self._each(records, self._items, self._apply_items)

    def _each(self, records: Records, source: _Source, apply: Apply) -> None:
        """Apply the records; if the query fails on one, all the others."""
        images = source.read(records)
        try:
            now, before = (self._select(source, rows) for rows in images)
        except CaudalError as error:
            if error.retry:
                raise
            if len(records) == 1:
                self.skipped += 1
                return
            middle = len(records) // 2
            self._each(records[:middle], source, apply)
            self._each(records[middle:], source, apply)
            return
        with self._lock:
            apply(now, before)

    def _select(self, source: _Source, rows: pa.Table) -> pa.Table | None:
        return self._query.execute(source.sql, tables={source.table: rows}) if len(rows) else None

    def _apply_interactions(self, now: pa.Table | None, before: pa.Table | None) -> None:
        added, taken = (self._grouped(table, sign) for table, sign in ((now, 1.0), (before, -1.0)))
        self.histories.change(added, taken)

    def _grouped(self, table: pa.Table | None, sign: float) -> dict[str, Rows]:
        if table is None or not len(table):
            return {}
        touches = Touches.of(table)
        codes = self.catalogue.codes_of(touches.items)
        self._popularity.add(codes, touches.times, sign * touches.weights, len(self.catalogue))
        if sign > 0:
            self.now = max(self.now, _newest(touches.times))
        return by_user(touches, codes)

    def _apply_items(self, now: pa.Table | None, before: pa.Table | None) -> None:
        listing = None if now is None else Listing.of(now)
        if before is not None:
            listed = set(listing.items) if listing is not None else set()
            self.catalogue.withdraw(item for item in Listing.of(before).items if item not in listed)
        if listing is not None:
            self.catalogue.list(listing)


def _newest(times: Times) -> int:
    """The latest of the times, but not later than now; 0 if there is none."""
    return min(int(times.max(initial=0)), time.time_ns() // 1000)


_TOUCHES = pa.schema({"user": pa.string(), "item": pa.string(), "time": pa.timestamp("us")})
