"""A table that is made anew beside the one that SQL shows, and then put in its place: what `caudal rebuild` needs of a catalog.

The shadow is a table like any other, with a writer, positions and a quarantine of its own; its name ends in `SUFFIX`, and no
table of a pipeline has such a name.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple, Protocol, runtime_checkable

from caudal.errors import Conflict, NotFound
from caudal.lake.catalog.evolution import evolve
from caudal.lake.catalog.port import LakeTable
from caudal.lake.catalog.upkeep import Totals
from caudal.naming import SHADOW as SUFFIX
from caudal.records import DataFile, Positions


class Shadow(NamedTuple):
    """What is being made anew."""

    table: str
    """The table that it is for."""
    name: str
    """Its own name in SQL."""
    began: int
    """Microseconds since 1970, UTC."""
    plan: str
    """What is to be done, in the words of who began it."""


@runtime_checkable
class SupportsShadows(Protocol):
    """A catalog whose tables can be made anew and swapped in one step."""

    def begin_shadow(self, table: str, made: LakeTable, plan: str) -> Shadow:
        """Create an empty shadow of a table, of the definition `made`; if there is one already, it is left as it is."""

    def shadows(self) -> dict[str, Shadow]:
        """Table to its shadow."""

    def swap(self, table: str) -> int:
        """Put the shadow in the place of its table, in one step; returns the table's version.

        Files, quarantine and positions are the shadow's from then on, and the shadow is no more. Leases of both are ended:
        what their writers were about to commit is refused. Versions of before go on being readable if the new columns can
        show their rows; if not they are expired. Raises NotFound if there is no shadow, Conflict if it is behind its table.
        """

    def drop_shadow(self, table: str) -> list[DataFile]:
        """Give a shadow up; returns its files, whose objects can go. Raises NotFound if there is none."""


def shadow_name(table: str) -> str:
    """What the shadow of a table is called."""
    return table + SUFFIX


def is_shadow(table: str) -> bool:
    """Whether a table of the catalog is the shadow of another."""
    return table.endswith(SUFFIX)


def no_shadow(table: str) -> NotFound:
    """The error for a shadow that is not there."""
    return NotFound(f"table {table} is not being rebuilt", hint=f"caudal rebuild {table}")


def check_ahead(table: str, there: Positions, shadow: Positions) -> None:
    """Raises Conflict if the shadow lacks records that its table has."""
    if any(shadow.get(shard, 0) < offset for shard, offset in there.items()):
        raise Conflict(f"table {table}: its shadow stands at {shadow}, and the table at {there}", hint="let it catch up first")


def swapped(old: LakeTable, made: LakeTable, version: int) -> tuple[LakeTable, bool]:
    """The table after a swap that makes a version, and whether it can show the rows of earlier ones."""
    evolution = evolve(old, replace(made, name=old.name))
    readable = not evolution.of("refused")
    return replace(evolution.table if readable else made, name=old.name, rebuilt=version), readable


def difference(after: Totals, before: Totals) -> Totals:
    """What a swap adds to the totals of a table; less than nothing of what the new one has less of."""
    dropped = _minus(after.dropped_by_shard, before.dropped_by_shard)
    return Totals._make((*(a - b for a, b in zip(after[:5], before[:5], strict=True)), dropped))


def _minus(after: Mapping[int, int], before: Mapping[int, int]) -> dict[int, int]:
    return {shard: after.get(shard, 0) - before.get(shard, 0) for shard in sorted({*after, *before})}
