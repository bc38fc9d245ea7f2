"""What the pipeline file would change of the lake's tables, and what each change would break."""

import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from caudal.contract import Column, UserFunction
from caudal.errors import QueryError, UsageError
from caudal.ingest.transform.uses import mention
from caudal.lake.catalog import Catalog, LakeTable, is_shadow
from caudal.lake.catalog.evolution import ColumnChange, evolve
from caudal.lake.query.uses import columns_used
from caudal.pipeline import Pipeline
from caudal.tables import Table

MOST_FILES = 1000
"""Files of SQL that are looked at."""

NO_SOURCES = frozenset({"caudal-data", "node_modules", "venv"})
"""Folders in which nobody keeps queries."""


class Use(NamedTuple):
    """Something that names a column."""

    kind: str
    """transform, recommender or query."""
    name: str
    where: str
    """File and line; "" where the name says it."""
    certain: bool


@dataclass(frozen=True)
class PlannedChange:
    """What becomes of a column, and who uses it under the name that it has now."""

    change: ColumnChange
    used_by: tuple[Use, ...] = ()

    @property
    def breaks(self) -> tuple[Use, ...]:
        """Who would stop working for certain."""
        return tuple(use for use in self.used_by if use.certain) if self.change.kind in ("renamed", "dropped") else ()

    @property
    def refused(self) -> bool:
        """Whether it stops everything."""
        return self.change.kind == "refused" or bool(self.breaks)


@dataclass(frozen=True)
class TablePlan:
    """One table of the lake."""

    table: LakeTable
    """As it is declared."""
    new: bool
    drop: tuple[str, ...]
    changes: tuple[PlannedChange, ...]


@dataclass(frozen=True)
class Plan:
    """What `caudal plan` shows and `caudal apply` does."""

    tables: list[TablePlan]
    left: tuple[str, ...] = ()
    """Tables of the lake that are no longer declared: they stay as they are."""
    problems: list[str] = field(default_factory=list)
    """What is wrong with recommenders."""

    @property
    def ok(self) -> bool:
        """Whether all of it can be applied."""
        return not self.problems and not any(change.refused for table in self.tables for change in table.changes)


def read_plan(
    pipeline: Pipeline, catalog: Catalog, folder: Path, drop: Sequence[str] = (), problems: Sequence[str] = ()
) -> Plan:
    """Compare a pipeline with its catalog; changes nothing.

    `drop` names columns to hide, as TABLE.COLUMN; queries are the files *.sql of `folder`. Raises UsageError for a table
    that is not there.
    """
    there = catalog.tables()
    wanted = _dropped(pipeline, drop)
    uses = _Uses(pipeline, there, folder)
    plans = []
    for table in pipeline.tables.values():
        for name, lake in table.lake.items():
            known = there.get(name)
            evolution = evolve(known or lake, lake, wanted.get(name, ()))
            changes = tuple(PlannedChange(change, uses.of(table, lake, change)) for change in evolution.changes)
            plans.append(TablePlan(lake, known is None, wanted.get(name, ()), changes))
    declared = {plan.table.name for plan in plans}
    return Plan(plans, tuple(name for name in there if name not in declared and not is_shadow(name)), list(problems))


def apply_plan(catalog: Catalog, plan: Plan) -> None:
    """Make the tables what the plan says; each as a whole. Raises ContractError if one is another by now."""
    for table in plan.tables:
        catalog.evolve(table.table, table.drop)


def _dropped(pipeline: Pipeline, drop: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Lake table to the columns to hide in it."""
    found: dict[str, tuple[str, ...]] = {}
    every = {name: [name] for table in pipeline.tables.values() for name in table.lake}
    every |= {name: [into for into, delivery in table.deliveries.items() if delivery.into is None]
              for name, table in pipeline.tables.items()}
    for text in drop:
        table, point, column = text.partition(".")
        if not (point and column):
            raise UsageError(f"--drop {text}: not TABLE.COLUMN", hint="write --drop sale.note")
        if table not in every:
            raise UsageError(f"--drop {text}: no table {table}", hint=f"there is {', '.join(every)}")
        found |= {name: (*found.get(name, ()), column) for name in every[table]}
    return found


class _Uses:
    """Who uses which column."""

    def __init__(self, pipeline: Pipeline, there: Mapping[str, LakeTable], folder: Path) -> None:
        known = {name: list(table.contract.columns) for name, table in there.items()}
        for table in pipeline.tables.values():
            for name, lake in table.lake.items():
                names = {column.name for column in known.setdefault(name, [])}
                known[name] += [column for column in lake.contract.columns if column.name not in names]
        self._queries = list(_queries(pipeline, folder, known))

    def of(self, table: Table, lake: LakeTable, change: ColumnChange) -> tuple[Use, ...]:
        """Who uses the column under the name that it has now; nobody uses a new one."""
        return tuple(dict.fromkeys(self._of(table, lake, change.old_name or change.column))) if change.before else ()

    def _of(self, table: Table, lake: LakeTable, column: str) -> Iterator[Use]:
        given = lake.contract.columns == table.contract.columns  # then functions read the column, and else one makes it
        for into, delivery in table.deliveries.items():
            function = delivery.transform
            if isinstance(function, UserFunction) and (given or into == lake.name):
                place = mention(function, column)
                if place is not None:
                    yield Use("transform", function.name, f"delivery {into}, {place.where}", place.certain and given)
        for kind, name, used, text in self._queries:
            if used is None and column.lower() in text and lake.name.lower() in text:
                yield Use(kind, name, "", certain=False)
            elif used is not None and (lake.name.lower(), column.lower()) in used:
                yield Use(kind, name, "", certain=True)


def _queries(
    pipeline: Pipeline, folder: Path, known: Mapping[str, Sequence[Column]]
) -> Iterator[tuple[str, str, set[tuple[str, str]] | None, str]]:
    """Kind, name, the columns that it reads (None: it cannot be told), and text of each query."""
    texts = [("recommender", name, sql) for name, r in pipeline.recommenders.items() for sql in (r.interactions, r.items) if sql]
    for path in itertools.islice(_sql_files(folder), MOST_FILES):
        texts.append(("query", str(path.relative_to(folder)), path.read_text("utf-8", "replace")))
    for kind, name, text in texts:
        try:
            yield kind, name, columns_used(text, known, pipeline.name), text.lower()
        except QueryError:
            yield kind, name, None, text.lower()


def _sql_files(folder: Path) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name not in NO_SOURCES)
        yield from (Path(root) / name for name in sorted(names) if name.endswith(".sql"))
