"""Makes a table of the lake anew beside live traffic: its records delivered again, by today's transform, into a shadow table.

The shadow is filled by a writer like any other, so it may be killed anywhere and goes on where the catalog says. Records that
have left the stream come from a table of the lake that keeps them as they were. Records outside the range that was asked for
are not delivered again: their rows are taken over.
"""

import hashlib
import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import msgspec

from caudal.contract import UserFunction
from caudal.errors import Conflict, ContractError, NotFound, Unavailable, UsageError
from caudal.ingest.carry import Carrier
from caudal.ingest.past import Past, Since
from caudal.ingest.stream import Stream
from caudal.ingest.writer import open_writer
from caudal.lake.catalog import LakeTable, Shadow, Snapshot, SupportsShadows, declared, open_catalog, shadow_name
from caudal.lake.catalog.evolution import evolve
from caudal.lake.compare import Comparison, compare
from caudal.pipeline import Stages
from caudal.records import Positions
from caudal.tables import Table

CATCH_UPS = 3
"""How often a swap lets the shadow catch up with a table that goes on meanwhile, before it holds that back."""

PATIENCE = 3
"""Of the writers' `lease_seconds`: how long a swap waits until the table is held back."""


class Range(NamedTuple):
    """Records to deliver again; of shards that are not named, none."""

    start: Positions
    stop: Positions | None = None
    """The first that keep their rows again; None for none: what the stream brings from now on is delivered anew as well."""


class Plan(msgspec.Struct, frozen=True):
    """What a rebuild is to do; kept with the shadow."""

    start: Positions
    """Rows of records before these are taken over."""
    stop: Positions | None
    """Rows of records from these on, up to `there`, are taken over; None for none."""
    there: Positions
    """Where the table stood when the rebuild began."""
    code: str
    """Digest of the transform and the columns."""


@dataclass
class Rebuilt:
    """Where a shadow stands."""

    table: str
    shadow: str
    began: int
    """Microseconds since 1970, UTC."""
    records: int
    """Records that it accounts for."""
    waiting: int
    """Records of the stream that it does not."""
    behind: int
    """Records that its table accounts for and it does not."""
    rows: int
    dropped: int
    quarantined: int


def open_for_rebuild(stages: Stages, name: str) -> None:
    """Open the catalog without declaring the table `name` to it: that may be another than it was, which is why it is rebuilt.

    To be called before anything else of the stages is opened.
    """
    catalog = open_catalog(stages.config.url("catalog"), stages.pipeline.name)
    lake = (into for table in stages.pipeline.tables.values() for into in table.lake.values())
    stages.catalog = declared(catalog, (into for into in lake if into.name != name))


def rebuild(stages: Stages, name: str, wanted: Range | None = None) -> Rebuilt:
    """Begin the rebuild of a table, or go on with it, until its shadow has all that the stream holds now.

    Without `wanted`, all of history. Raises UsageError if that is no more to be had, or if the transform, the columns or the
    range are not those that the rebuild began with; NotFound if there is no such table; Unavailable while another process is
    at it.
    """
    work = _Work(stages, name)
    work.begin(wanted)
    work.run()
    return work.state()


def compare_rebuilt(stages: Stages, name: str, examples: int = 5) -> Comparison:
    """What the shadow has other than its table, of the records that both have. Raises NotFound if there is no shadow."""
    shadow, catalog = _Work(stages, name).shadow(), stages.catalog
    return compare(stages.query, catalog.snapshot(name), catalog.snapshot(shadow.name), examples)


def swap_rebuilt(stages: Stages, name: str) -> int:
    """Let the shadow catch up, and put it in the place of its table; returns the version that this makes.

    Writers that were opened before deliver no more. Raises NotFound if there is no shadow, UsageError if it is not of today's
    transform.
    """
    work = _Work(stages, name)
    if (writer := stages.writers.pop(name, None)) is not None:
        writer.close()
    for _ in range(CATCH_UPS):
        if (version := work.swapped()) is not None:
            return version
    return _swap_paused(stages, work, name)


def _swap_paused(stages: Stages, work: "_Work", name: str) -> int:
    """Swap a table that always goes on meanwhile: its writer is held back, which it sees when it next renews its lease."""
    catalog, before = stages.catalog, stages.catalog.flow(name)
    catalog.pause(name, f"its rebuild is being swapped in; if that was cut short, do it again: caudal rebuild {name} --swap")
    until = time.monotonic() + PATIENCE * stages.config.writer.lease_seconds
    try:
        while (version := work.swapped()) is None:
            if time.monotonic() > until:
                raise Unavailable(f"table {name} goes on being delivered while its rebuild is to take its place",
                                  hint="try again; if it stays so, stop `caudal up` meanwhile")
    finally:
        if not before.paused:
            catalog.resume(name, before.accepted)
    return version


def drop_rebuilt(stages: Stages, name: str) -> int:
    """Give the shadow up and remove its objects; returns how many. Raises NotFound if there is no shadow."""
    work = _Work(stages, name)
    work.shadow()
    files = work.shadows.drop_shadow(name)
    for file in files:
        stages.files.delete(file.path)
    return len(files)


def rebuilds(stages: Stages) -> list[Rebuilt]:
    """Every rebuild of a declared table that is under way, or waits for its swap."""
    catalog = stages.catalog
    there = catalog.shadows() if isinstance(catalog, SupportsShadows) else {}
    return [_state(stages, there[name]) for table in stages.pipeline.tables.values() for name in table.lake if name in there]


def positions_at(stream: Stream, name: str, time: int) -> Positions:
    """Positions of the first records that were appended at or after a time, microseconds since 1970, UTC.

    Raises UsageError if the stream no longer holds what came before.
    """
    found = {}
    for shard, ends in stream.ends(name).items():
        low, high = ends.oldest, ends.next
        while low < high:
            middle = (low + high) // 2
            if stream.read(name, shard, middle, limit_bytes=1).times[0] < time:
                low = middle + 1
            else:
                high = middle
        if low == ends.oldest > 0:
            raise UsageError(f"stream {name}, shard {shard}: what was appended at that time has left the stream",
                             hint="give positions, as _shard and _position have them, or no range for all of history")
        found[shard] = low
    return found


class _Work:
    """The rebuild of one table."""

    def __init__(self, stages: Stages, name: str) -> None:
        tables = stages.pipeline.tables
        if not any(name in table.lake for table in tables.values()):
            names = ", ".join(lake for table in tables.values() for lake in table.lake)
            raise NotFound(f"no table {name} in the lake of {stages.pipeline.name}", hint=f"there is {names}")
        if not isinstance(stages.catalog, SupportsShadows):
            raise UsageError(f"{stages.config.url('catalog')}: this catalog cannot hold a table beside another",
                             hint="use sqlite: as catalog.url")
        self.stages, self.name, self.catalog, self.shadows = stages, name, stages.catalog, stages.catalog
        self.table: Table = next(table for table in tables.values() if name in table.lake)
        self.delivery = replace(self.table.deliveries[name], error_budget=None)  # who compares sees what does not fit
        self.made = replace(self.table.lake[name], name=shadow_name(name))

    def shadow(self) -> Shadow:
        """The table's shadow. Raises NotFound."""
        found = self.shadows.shadows().get(self.name)
        if found is None:
            raise NotFound(f"table {self.name} is not being rebuilt", hint=f"begin with: caudal rebuild {self.name}")
        return found

    def state(self) -> Rebuilt:
        """Where the shadow stands."""
        return _state(self.stages, self.shadow())

    def begin(self, wanted: Range | None) -> None:
        """Create the shadow, unless there is one: then what is wanted must be what that is for."""
        if self.name in self.shadows.shadows():
            if wanted is not None:
                self._check_same(self._plan(self._kept().there, wanted))
            return
        live = self.catalog.snapshot(self.name)
        plan = self._plan(live.positions, wanted)
        self._check_table(live.table, wanted)
        self._past(plan, {})
        self.shadows.begin_shadow(self.name, self.made, msgspec.json.encode(plan).decode())

    def swapped(self) -> int | None:
        """Let the shadow catch up and take its table's place; the version, None if the table went on meanwhile."""
        self.run()
        try:
            return self.shadows.swap(self.name)
        except Conflict:
            return None

    def run(self) -> None:
        """Bring the shadow to where the stream is now. Each step finds done what a killed one did."""
        plan = self._kept()
        self._check_same(msgspec.structs.replace(plan, code=self._code()))
        self._carry(plan.start)
        if plan.stop is not None:
            self._deliver(plan, plan.stop)
            self._carry(plan.there)
        self._deliver(plan, None)

    def _carry(self, goal: Positions) -> None:
        if _missing(self._done(), goal):
            stages, live = self.stages, self.catalog.snapshot(self.name)
            Carrier(self.catalog, stages.files, stages.query, stages.pipeline.name, live, self.made,
                    stages.config.writer.lease_seconds).carry(goal)

    def _deliver(self, plan: Plan, stop: Positions | None) -> None:
        stages = self.stages
        stream = Since(stages.stream, self._past(plan, self._done()), stop)
        writer = open_writer(stages.config, stages.pipeline.name, self.table.contract, self.delivery, self.made, stream,
                             stages.files, self.catalog)
        try:
            writer.flush()
        finally:
            writer.close()

    def _done(self) -> Positions:
        return self.catalog.snapshot(self.made.name).positions

    def _kept(self) -> Plan:
        return msgspec.json.decode(self.shadow().plan, type=Plan)

    def _plan(self, there: Positions, wanted: Range | None) -> Plan:
        if wanted is None:
            return Plan({}, None, there, self._code())
        shards = self.stages.stream.ends(self.table.name)
        unknown = [shard for shard in (*wanted.start, *(wanted.stop or ())) if shard not in shards]
        if unknown:
            raise UsageError(f"stream {self.table.name} has no shard {unknown[0]}", hint=f"its shards are 0 to {len(shards) - 1}")
        start = {shard: min(wanted.start.get(shard, offset), offset) for shard, offset in there.items()}
        stop = None
        if wanted.stop is not None:
            stop = {shard: max(start[shard], min(wanted.stop.get(shard, offset), offset)) for shard, offset in there.items()}
        return Plan(start, stop, there, self._code())

    def _code(self) -> str:
        """Digest of what makes rows of records; what the function calls is not looked at."""
        function = self.delivery.transform
        text = _source(function) if isinstance(function, UserFunction) else ""
        return hashlib.blake2b(msgspec.json.encode((self.made, self.table.contract, text)), digest_size=16).hexdigest()

    def _check_same(self, plan: Plan) -> None:
        """Raises UsageError if the shadow is of another plan: its rows would be of two kinds."""
        kept = self._kept()
        if plan != kept:
            what = "the transform or the columns are" if plan.code != kept.code else "the range is"
            raise UsageError(f"table {self.name}: {what} not what its rebuild began with",
                             hint=f"give that up and begin again: caudal rebuild {self.name} --drop")

    def _check_table(self, live: LakeTable, wanted: Range | None) -> None:
        """Raises what stands against the rebuild, before it begins."""
        if wanted is not None and not (live.same_columns(self.made) and live.contract.key == self.made.contract.key):
            raise UsageError(f"table {self.name}: its columns are other ones now, and rows outside of the range have the old",
                             hint="rebuild all of history: leave the range out")
        other = "declare a table of another name beside it"
        if live.source != self.made.source:
            raise ContractError(f"table {self.name}: its records were those of {live.source}", hint=other)
        refused = evolve(live, replace(self.made, name=self.name)).of("refused")
        if refused and "iceberg" in (live.format, self.made.format):
            raise ContractError(f"table {self.name}: its Iceberg table cannot follow: {refused[0].why}", hint=other)

    def _past(self, plan: Plan, done: Positions) -> Past | None:
        """What stands in for records that are to be delivered and have left the stream; None if there are none.

        Raises UsageError if nothing does.
        """
        ends = self.stages.stream.ends(self.table.name)
        gone = {}
        for shard, end in ends.items():
            first = max(done.get(shard, 0), plan.start.get(shard, 0))
            if first < end.oldest and (plan.stop is None or first < plan.stop.get(shard, 0)):
                gone[shard] = end.oldest
        if not gone:
            return None
        source = self._as_they_were(gone)
        if source is None:
            held = ",".join(f"{shard}:{end.oldest}" for shard, end in ends.items())
            raise UsageError(f"table {self.name}: its first records have left the stream, and no table of the lake has them as "
                             "they were, made without a function from records of caudal's own",
                             hint=f"deliver again what the stream holds, and take over the rows of before: --from {held}")
        return Past(self.catalog, self.stages.files, self.stages.query, source)

    def _as_they_were(self, gone: Mapping[int, int]) -> Snapshot | None:
        there = self.catalog.tables()
        for name in self.table.lake if self.table.contract.form == "caudal" else ():
            if name in there and there[name].verbatim:
                snapshot = self.catalog.snapshot(name)
                if not _missing(snapshot.positions, gone):
                    return snapshot
        return None


def _source(function: UserFunction) -> str:
    try:
        return f"{function.each} {inspect.getsource(function.function)}"
    except (OSError, TypeError):  # made by hand, or of another language
        return f"{function.each} {function.name}"


def _state(stages: Stages, shadow: Shadow) -> Rebuilt:
    snapshot, totals = stages.catalog.snapshot(shadow.name), stages.catalog.totals(shadow.name)
    there, now = stages.catalog.snapshot(shadow.table).positions, stages.stream.now(snapshot.table.source)
    done = snapshot.positions
    return Rebuilt(shadow.table, shadow.name, shadow.began, sum(done.values()), _missing(done, now), _missing(done, there),
                   totals.rows, totals.dropped, totals.quarantined)


def _missing(done: Positions, goal: Mapping[int, int]) -> int:
    """Records below the goal that are not done."""
    return sum(max(0, offset - done.get(shard, 0)) for shard, offset in goal.items())
