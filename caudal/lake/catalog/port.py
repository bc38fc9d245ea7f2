"""What every catalog promises. `caudal.testing.CatalogSuite` checks each promise."""

from abc import abstractmethod
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, Self, runtime_checkable

from caudal.contract import Column, Contract
from caudal.errors import Conflict, Fenced
from caudal.lake.catalog.upkeep import Base, Upkeep
from caudal.records import Commit, DataFile, Positions

Era = tuple[tuple[str, str], ...]
"""Names in files, each with the column that it means now."""


@dataclass(frozen=True)
class LakeTable:
    """A table of the lake: what one delivery fills."""

    name: str
    """Its name in SQL."""
    contract: Contract
    """Columns of its rows, beside `caudal.contract.SYSTEM`; a key if it shows a current state."""
    source: str
    """The stream that it is delivered from."""
    format: Literal["csv", "parquet", "iceberg"] = "parquet"
    compression: Literal["", "gzip", "zstd"] = ""
    hidden: tuple[Column, ...] = ()
    """Columns that were dropped on purpose: still in files, and back when they are declared again."""
    eras: tuple[Era, ...] = ()
    """What columns were called before each rename, oldest first. A file is of the first era that has all its names."""
    rebuilt: int = 0
    """The version at which it was last made anew; 0 for never."""
    verbatim: bool = False
    """Whether each row is its record as it was: no function ever made one, and the columns are the source's."""

    def same_columns(self, other: "LakeTable") -> bool:
        """Whether rows of one are rows of the other, whatever the order of their columns."""
        mine, theirs = (
            {c.name: (c.arrow, c.nullable, frozenset(c.values)) for c in table.contract.columns} for table in (self, other)
        )
        return mine == theirs


@dataclass(frozen=True)
class Snapshot:
    """A table at one commit."""

    table: LakeTable
    version: int
    """0 before the first commit."""
    time: int
    """When it was committed, microseconds since 1970, UTC; 0 before the first."""
    positions: Positions
    """Shard to the position up to which records are in it."""
    files: tuple[DataFile, ...]
    newest: int | None
    """Event time of its newest row, microseconds since 1970, UTC."""
    base: Base | None = None
    """The state that its keys had at an earlier version, if that is kept."""


class ChangedFile(NamedTuple):
    """A data file that came or went."""

    file: DataFile
    added: int
    """The version that brought it."""
    removed: int | None
    """The version that put others in its place; None while it is there."""


class Lease(NamedTuple):
    """The right to commit to a table, until somebody takes it over."""

    epoch: int
    positions: Positions
    """Where the table stands: read on from here."""


class CommitInfo(NamedTuple):
    """What one commit did."""

    version: int
    time: int
    since: Positions
    until: Positions
    records: int
    delivered: int
    dropped: int
    quarantined: int
    rows: int
    dropped_by_shard: dict[int, int]


class Replay(NamedTuple):
    """A quarantined record that has been dealt with."""

    shard: int
    position: int
    outcome: Literal["delivered", "dropped", "imported", "discarded"]
    """`imported`: written to the store, from where it comes again; `discarded`: given up on purpose."""


class Holder(NamedTuple):
    """Who may commit to a table."""

    epoch: int
    """0 before the first lease."""
    owner: str
    """"" if the lease was given up, or has ended, or its owner is known to be dead."""


class Flow(NamedTuple):
    """Whether a table is delivered."""

    paused: str = ""
    """Why it is not; "" if it is."""
    since: int = 0
    """When it was paused, microseconds since 1970, UTC; 0 if it is not."""
    accepted: Positions = {}
    """Records below these positions are delivered whatever the error budget says."""


class Catalog(Upkeep):
    """The tables of one database.

    Data files, quarantined records and the positions that they reach become visible in one step, and these positions
    are the only truth about what has been read. Only the holder of a table's lease commits to it: each taking of the
    lease has a higher epoch, and a commit under an older one is refused.
    """

    @classmethod
    @abstractmethod
    def open(cls, url: str, database: str) -> Self:
        """Open a database of the catalog that `url` names, creating it if it is missing."""

    @abstractmethod
    def declare(self, table: LakeTable) -> None:
        """Create a table, or make the changes to it that harm nobody: see `caudal.lake.catalog.evolution`.

        New columns that may be NULL show NULL in earlier rows, wider types earlier values exactly, and a dropped column
        comes back with its data. A change ends the lease: what was made by the older contract is not committed. Raises
        ContractError, with the reason, for any other difference.
        """

    @abstractmethod
    def evolve(self, table: LakeTable, drop: Collection[str] = ()) -> None:
        """The same, and also what takes a deliberate step: declared renames, and hiding the columns `drop`.

        All of it or nothing; files stay as they are. Raises ContractError for what is refused even so.
        """

    @abstractmethod
    def tables(self) -> dict[str, LakeTable]:
        """Name to table, sorted."""

    @abstractmethod
    def lease(self, table: str, owner: str, seconds: float) -> Lease:
        """Take or renew the lease for some seconds; taking raises the epoch, renewing does not.

        Raises Unavailable while another owner that seems alive holds it.
        """

    @abstractmethod
    def holder(self, table: str) -> Holder:
        """Who holds the lease now. Its epoch is the newest ever given out: no object of a later one can be there."""

    @abstractmethod
    def release(self, table: str, owner: str) -> None:
        """Give the lease up, and with it the right to commit; nothing happens if another has it."""

    @abstractmethod
    def commit(self, table: str, commit: Commit) -> int:
        """Make a commit visible, and return its version.

        Repeating the last commit returns its version again and changes nothing. Raises Fenced if the lease was given
        up or taken by another, Conflict if `commit.since` is not where the table stands or `commit.until` is before it.
        """

    @abstractmethod
    def snapshot(self, table: str, version: int | None = None) -> Snapshot:
        """The table now, or as of a version. Raises NotFound, saying which versions there are.

        Of a table without commits there is version 0, which is empty.
        """

    @abstractmethod
    def changed_files(self, table: str, since: int) -> list[ChangedFile]:
        """Data files that came or went after the version `since`, 0 for all of them; in the order in which they came.

        Costs what has changed, whatever the history. Raises NotFound if that version is not kept, or if the table was made
        anew since.
        """

    @abstractmethod
    def commits(self, table: str, since: int = 0) -> list[CommitInfo]:
        """What each commit did, oldest first: of those that can be read, and not before `since`, microseconds since 1970."""

    @abstractmethod
    def quarantine(self, table: str) -> list[DataFile]:
        """Files of quarantined records, oldest first."""

    @abstractmethod
    def replay(
        self, table: str, replays: list[Replay], files: list[DataFile], rows: int, audit: Sequence[DataFile] = ()
    ) -> int:
        """Make rows of once quarantined records visible and mark these as dealt with; returns the version.

        `audit` are files that say how, shown by `audit` in the same step. Needs no lease, for it moves no position.
        Raises Conflict if one of them was dealt with before, NotFound if nothing was ever committed, and so nothing
        quarantined.
        """

    @abstractmethod
    def replayed(self, table: str, among: Sequence[tuple[int, int]] | None = None) -> dict[tuple[int, int], str]:
        """(shard, position) of each quarantined record that was dealt with, and its outcome: of `among`, or of all."""

    @abstractmethod
    def replays(self, table: str) -> dict[tuple[int, str], int]:
        """How many quarantined records were dealt with, by shard and outcome."""

    @abstractmethod
    def audit(self, table: str) -> list[DataFile]:
        """Files that say how records were edited or discarded, oldest first."""

    @abstractmethod
    def pause(self, table: str, why: str) -> None:
        """Keep, until `resume`, that the table is not to be delivered; moves no position. The first reason stands."""

    @abstractmethod
    def resume(self, table: str, accepted: Positions) -> None:
        """Let the table be delivered again; records below `accepted` are no longer held against its error budget."""

    @abstractmethod
    def flow(self, table: str) -> Flow:
        """Whether the table is paused, and what was accepted when it was last resumed."""

    @abstractmethod
    def close(self) -> None:
        """Release what was opened."""


@runtime_checkable
class SupportsFlush(Protocol):
    """A catalog through which anybody can ask a table's writer to commit what it has."""

    def ask_flush(self, table: str) -> None:
        """Ask for one."""

    def flush_asked(self, table: str) -> int:
        """How often a flush was asked for, ever."""


def newest_after(before: int | None, commit: Commit) -> int | None:
    """The event time of a table's newest row after a commit: one that brings no row, or older ones, changes nothing."""
    return max((time for time in (before, commit.newest) if time is not None), default=None)


def check_commit(table: str, epoch: int, positions: Positions, last: CommitInfo | None, commit: Commit) -> bool:
    """Whether `commit` has taken effect already, as `last`: the last that moved positions.

    Raises Fenced or Conflict if it may not take effect.
    """
    if commit.epoch != epoch or epoch == 0:
        raise Fenced(f"table {table}: a writer of epoch {commit.epoch} tried to commit, and the lease is at {epoch}",
                     hint="another writer took over; this one stops")
    if last is not None and (last.since, last.until) == (commit.since, commit.until):
        return True
    if any(commit.until.get(shard, 0) < offset for shard, offset in commit.since.items()):
        raise Conflict(
            f"table {table}: a commit goes back from {commit.since} to {commit.until}", hint="read the positions again"
        )
    if {k: v for k, v in commit.since.items() if v} != {k: v for k, v in positions.items() if v}:
        raise Conflict(f"table {table}: a commit starts at {commit.since}, and the table stands at {positions}",
                       hint="read the positions again")
    return False
