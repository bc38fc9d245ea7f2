"""How a table of the lake may change while its files stay as they are.

    added     a new column that may be NULL: earlier rows show NULL         at once
    restored  a column that was dropped comes back with its data            at once
    widened   a type that holds every earlier value exactly                 at once
    renamed   earlier files and records show it under the new name          deliberately: `Catalog.evolve`
    dropped   hidden; its data is kept                                      deliberately, named one by one
    refused   whatever else: narrower or other types, columns that are gone, another key, partition, format or source
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from caudal.contract import Column
from caudal.errors import ContractError
from caudal.lake.catalog.port import Era, LakeTable

_INT_DIGITS = 19

Kind = Literal["added", "restored", "widened", "renamed", "dropped", "refused"]

DELIBERATE = ("renamed", "dropped")


class ColumnChange(NamedTuple):
    """What becomes of one column, or of the table as a whole."""

    kind: Kind
    column: str
    """Its name from now on; "" for the table."""
    before: str = ""
    """Its type until now; "" for a new one."""
    after: str = ""
    old_name: str = ""
    """Of a renamed one."""
    why: str = ""
    """Of a refused one."""
    hint: str = ""


@dataclass(frozen=True)
class Evolution:
    """From a table as it is to the table that was declared."""

    table: LakeTable
    """The table afterwards, if nothing is refused."""
    changes: tuple[ColumnChange, ...]

    def of(self, *kinds: Kind) -> list[ColumnChange]:
        """The changes of some kinds."""
        return [change for change in self.changes if change.kind in kinds]

    def check(self, deliberately: bool) -> LakeTable:
        """The table afterwards. Raises ContractError if something is refused, or takes a deliberate step and this is none."""
        refused, name = self.of("refused"), self.table.name
        if refused:
            more = f"; {len(refused) - 1} more: see `caudal plan`" if refused[1:] else ""
            raise ContractError(f"table {name}: {refused[0].why}{more}", hint=refused[0].hint)
        waiting = [] if deliberately else self.of("renamed", "dropped")
        if waiting:
            what = f"renamed from {waiting[0].old_name}" if waiting[0].kind == "renamed" else "dropped"
            raise ContractError(f"table {name}: column {waiting[0].column} is {what}, and that is not applied yet",
                                hint="see `caudal plan`, then run `caudal apply`")
        return self.table


def evolve(old: LakeTable, new: LakeTable, drop: Collection[str] = ()) -> Evolution:
    """What `new` makes of `old`, if the columns `drop` are to be hidden."""
    changes = list(_fixed(old, new))
    had = {column.name: column for column in (*old.hidden, *old.contract.columns)}
    visible = {column.name for column in old.contract.columns}
    names = {column.name for column in new.contract.columns}
    origins = {column.name: _origin(column, had, names) for column in new.contract.columns}
    renamed = {stored: name for era in old.eras for stored, name in era if stored != name and name in visible - names}
    for column in new.contract.columns:
        changes += _change(column, origins[column.name], visible, renamed.get(column.name, ""))
    gone = [column for column in old.contract.columns if column not in origins.values()]
    changes += [_leaving(old.name, column, column.name in drop, new.contract.renames.get(column.name, "")) for column in gone]
    leaving = {column.name for column in gone}
    changes += [_undroppable(name, name in names) for name in drop if name not in leaving]
    made = _made(old, new, origins, gone)
    return Evolution(made, (*changes, *_ambiguous(made)))


def _origin(column: Column, had: dict[str, Column], names: set[str]) -> Column | None:
    """The column that it was until now."""
    if column.name in had:
        return had[column.name]
    return next((had[name] for name in column.old_names if name in had and name not in names), None)


def _change(column: Column, before: Column | None, visible: set[str], renamed_to: str) -> Iterator[ColumnChange]:
    name = column.name
    if before is None and renamed_to:
        yield ColumnChange("refused", name, after=shown_type(column), why=f"column {name} is called {renamed_to} by now",
                           hint=f'this pipeline file is older than the table; to go back, mark it renamed("{renamed_to}")')
    elif before is None:
        if column.nullable:
            yield ColumnChange("added", name, after=shown_type(column))
        else:
            yield ColumnChange("refused", name, after=shown_type(column), hint=f"declare it {name}: … | None",
                               why=f"new column {name} may not be NULL, and earlier rows have no value for it")
    if before is None:
        return
    types = shown_type(before), shown_type(column)
    narrower = _narrower(before, column)
    if narrower is not None:
        yield ColumnChange("refused", name, *types, why=f"column {name} is {types[0]}, the pipeline says {types[1]}{narrower}",
                           hint="put it back, add a column of another name beside it, or make the table anew: caudal rebuild")
    elif before.name != name:
        yield ColumnChange("renamed", name, *types, old_name=before.name)
    elif name not in visible:
        yield ColumnChange("restored", name, *types)
    elif _holds(before) != _holds(column):
        yield ColumnChange("widened", name, *types)


def _leaving(table: str, column: Column, wanted: bool, renamed_to: str) -> ColumnChange:
    if wanted:
        return ColumnChange("dropped", column.name, before=shown_type(column))
    why = f"column {column.name} is gone"
    if renamed_to:
        why = f"column {column.name} is renamed to {renamed_to}, which is a column already"
    return ColumnChange("refused", column.name, before=shown_type(column), why=why, hint=(
        f'put it back; if it has another name now, mark that renamed("{column.name}"); to hide it and keep its data: '
        f"caudal apply --drop {table}.{column.name}"
    ))


def _undroppable(name: str, declared: bool) -> ColumnChange:
    if declared:
        why, hint = f"column {name} is to be dropped, and it is still declared", "remove it from the class first"
    else:
        why, hint = f"column {name} is to be dropped, and there is none", "`caudal tables` shows the columns"
    return ColumnChange("refused", name, why=why, hint=hint)


def _made(old: LakeTable, new: LakeTable, origins: dict[str, Column | None], gone: list[Column]) -> LakeTable:
    """The table with its columns in the order in which they came, and what earlier files call them."""
    came = {origin.name: name for name, origin in origins.items() if origin is not None}
    known = [came[column.name] for column in old.contract.columns if column.name in came]
    names = [*known, *(column.name for column in new.contract.columns if column.name not in known)]
    hidden = [column for column in old.hidden if column.name not in came] + [replace(column, nullable=True) for column in gone]
    eras = old.eras
    if any(before != after for before, after in came.items()):
        here: Era = tuple((column.name, column.name) for column in (*old.contract.columns, *old.hidden))
        eras = tuple(tuple((stored, came.get(name, name)) for stored, name in era) for era in (*eras, here))
    contract = replace(new.contract, columns=tuple(new.contract.column(name) for name in names))
    return replace(new, contract=contract, hidden=tuple(hidden), eras=eras, rebuilt=old.rebuilt,
                   verbatim=old.verbatim and new.verbatim)


def _ambiguous(table: LakeTable) -> Iterator[ColumnChange]:
    """Refuses names that would make a file written from now on look like one of an earlier era that means something else."""
    names = {column.name for column in table.contract.columns}
    for era in table.eras:
        meant = dict(era)
        if names <= set(meant):
            for name in sorted(name for name in names if meant[name] != name):
                yield ColumnChange("refused", name, hint="choose a name that the table never had", why=(
                    f"column {name}: in earlier files that name means {meant[name]}, and they could not be told apart"
                ))


def _fixed(old: LakeTable, new: LakeTable) -> Iterator[ColumnChange]:
    for what, before, after in (
        ("format", old.format, new.format), ("source", old.source, new.source), ("key", old.contract.key, new.contract.key),
        ("partition", old.contract.partition, new.contract.partition), ("form", old.contract.form, new.contract.form),
    ):
        if before != after:
            yield ColumnChange("refused", "", why=f"its {what} is {_shown(before)}, the pipeline says {_shown(after)}",
                               hint="put it back, or declare a table of another name beside this one")


def _shown(value: object) -> str:
    return repr(value) if isinstance(value, str) else str(value)


def _narrower(before: Column, after: Column) -> str | None:
    """Why a column cannot hold what it held, if that needs words; None if it can."""
    if (before.kind, after.kind) == ("int", "decimal"):
        if after.precision - after.scale < _INT_DIGITS:
            return f": whole numbers have up to {_INT_DIGITS} digits before the point"
    elif (before.kind, after.kind) == ("date", "timestamp"):
        return ": a day is no instant, for no time zone says when it begins"
    elif before.kind in ("int", "decimal") and after.kind == "float":
        return ": a float rounds"
    elif before.kind != after.kind:
        return ""
    if before.kind == "decimal" and (
        after.scale < before.scale or after.precision - after.scale < before.precision - before.scale
    ):
        return ": fewer digits before or after the point"
    if after.values and not set(before.values or ("",)) <= set(after.values):
        return ": earlier rows may hold other values"
    if before.nullable and not after.nullable:
        return ": earlier rows may be NULL"
    return None


def _holds(column: Column) -> tuple[object, ...]:
    return column.arrow, column.nullable, frozenset(column.values)


def shown_type(column: Column) -> str:
    """A column's type in words."""
    values = f" of {'|'.join(column.values)}" if column.values else ""
    kind = "json" if column.kind == "json" else column.sql
    return f"{kind}{values}{'' if column.nullable else ' not null'}"
