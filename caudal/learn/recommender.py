"""What a pipeline file says of a recommender, and whether it can work."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, SqlglotError
from sqlglot.optimizer.annotate_types import annotate_types

from caudal.contract import SYSTEM, Contract
from caudal.errors import ContractError
from caudal.lake.query.sqltypes import athena_type
from caudal.learn.models import BACKENDS, open_model_class
from caudal.learn.models.options import Options, choose


@dataclass(frozen=True)
class Recommender:
    """A recommender, declared as SQL over the lake.

    Args:
        name: how it is called in commands and requests.
        interactions: a SELECT of `user`, `item`, `time` (timestamp) and, if wanted, `weight` (number, 1 when left out;
            a negative one takes back) from one keyed or event table. The same query, over the rows that just arrived,
            keeps the live state: so it looks at each row by itself (no aggregate, no join, no window).
        items: a SELECT of `item` and, if wanted, `available` (boolean: may be recommended), `repeatable` (boolean:
            may be bought again) and `title` from one keyed table. Without it every item seen is available and
            repeatable.
        model: `ease`, `itemknn`, `als` or `popular`.
        options: the model's own settings.
    """

    name: str
    interactions: str
    items: str = ""
    model: str = "ease"
    options: Mapping[str, Any] = field(default_factory=dict)


_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}\Z")

_NOT_ROW_WISE: tuple[tuple[type[exp.Expression], str], ...] = (
    (exp.SetOperation, "UNION, INTERSECT or EXCEPT"), (exp.With, "a WITH clause"), (exp.Subquery, "a SELECT in a SELECT"),
    (exp.Join, "a join"), (exp.Lateral, "a lateral join"), (exp.Unnest, "UNNEST"), (exp.Window, "a window"),
    (exp.Qualify, "QUALIFY"), (exp.AggFunc, "an aggregate"), (exp.Group, "GROUP BY"), (exp.Having, "HAVING"),
    (exp.Distinct, "DISTINCT"), (exp.Order, "ORDER BY"), (exp.Limit, "LIMIT"), (exp.Fetch, "FETCH FIRST"),
    (exp.Offset, "OFFSET"), (exp.TableSample, "TABLESAMPLE"), (exp.Version, "FOR TIMESTAMP or FOR VERSION"),
    (exp.CurrentTimestamp, "the current time"), (exp.CurrentDate, "the current date"),
    (exp.CurrentTime, "the current time"), (exp.CurrentDatetime, "the current time"),
    (exp.Localtime, "the current time"), (exp.Localtimestamp, "the current time"),
    (exp.Rand, "a random number"), (exp.Uuid, "a random number"), (exp.Select, "a SELECT in a SELECT"),
)
_AGGREGATES = frozenset({
    "bitwise_and_agg", "bitwise_or_agg", "checksum", "every", "geometric_mean", "histogram", "map_agg",
    "map_union", "merge", "multimap_agg", "numeric_histogram", "reduce_agg", "set_agg", "set_union",
})
"""Athena's aggregates that the parser knows as plain functions."""


_Type = exp.DataType.Type
_NAME_LIKE = ("text or a whole number", frozenset(exp.DataType.TEXT_TYPES | exp.DataType.INTEGER_TYPES))
_TIME = ("a timestamp", frozenset({_Type.TIMESTAMP, _Type.TIMESTAMPTZ, _Type.TIMESTAMPNTZ, _Type.TIMESTAMPLTZ}))
_NUMBER = ("a number", frozenset(exp.DataType.NUMERIC_TYPES))
_FLAG = ("true or false", frozenset({_Type.BOOLEAN}))
_CAST = {"text or a whole number": "varchar", "a timestamp": "timestamp", "a number": "double", "true or false": "boolean"}
_UNTOLD = frozenset({_Type.UNKNOWN, _Type.NULL})

_ONE_SELECT = "write one SELECT … FROM … in Athena's dialect"


_deferred: ContextVar[list[ContractError] | None] = ContextVar("deferred", default=None)


@contextmanager
def deferring() -> Iterator[list[ContractError]]:
    """Inside, `check_recommender` lets a recommender that cannot work pass, and keeps the error: to see all of them."""
    found: list[ContractError] = []
    token = _deferred.set(found)
    try:
        yield found
    finally:
        _deferred.reset(token)


def check_recommender(recommender: Recommender, contracts: Mapping[str, Contract], taken: set[str]) -> None:
    """Raise ContractError for a recommender that cannot work, naming it, what is wrong, and the mend."""
    try:
        _check(recommender, contracts, taken)
    except ContractError as error:
        found = _deferred.get()
        if found is None:
            raise
        found.append(error)


def _check(recommender: Recommender, contracts: Mapping[str, Contract], taken: set[str]) -> None:
    where = f"recommender {recommender.name}"
    if not _NAME.match(recommender.name):
        raise ContractError(f"{where}: not a name", hint="use lower-case letters, digits, _ and -, a letter first")
    if recommender.name in taken:
        raise ContractError(f"{where}: declared twice", hint="give one of them another name")
    rows = _read(f"{where}, interactions", recommender.interactions, contracts)
    rows.need({"user": "customer_id", "item": "product_id", "time": "sold_at"}, {"weight"})
    rows.check_types({"user": _NAME_LIKE, "item": _NAME_LIKE, "time": _TIME, "weight": _NUMBER})
    if recommender.items:
        items = _read(f"{where}, items", recommender.items, contracts)
        items.need({"item": "product_id"}, {"available", "repeatable", "title"})
        items.check_types({"item": _NAME_LIKE, "available": _FLAG, "repeatable": _FLAG, "title": _NAME_LIKE})
        if not items.contract.key:
            raise ContractError(f"{where}, items: {items.contract.name} has no key, so nothing in it can change",
                                hint="declare it with @pipeline.table(key=[...])")
    _check_model(where, recommender)


def table_of(sql: str) -> str:
    """The one table that a checked query reads."""
    table = sqlglot.parse_one(sql, read="athena").find(exp.Table)
    assert table is not None, "check_recommender passed it"
    return str(table.name).lower()


@dataclass(frozen=True)
class _Reading:
    """A parsed query over one table."""

    where: str
    select: exp.Select
    contract: Contract

    @property
    def outputs(self) -> dict[str, exp.Expression]:
        """Output column to expression; `*` stands for the contract's columns."""
        found: dict[str, exp.Expression] = {}
        for shown in self.select.expressions:
            if shown.is_star:
                found |= {column.name.lower(): exp.column(column.name) for column in self.contract.columns}
            else:
                found[shown.alias_or_name.lower()] = shown.unalias()
        return found

    def need(self, wanted: Mapping[str, str], optional: set[str]) -> None:
        missing = [name for name in wanted if name not in self.outputs]
        if not missing:
            return
        others = [name for name in self.outputs if name not in {*wanted, *optional}]
        near = get_close_matches(missing[0], others, 1, cutoff=0.7)
        example = near[0] if near else wanted[missing[0]]
        raise ContractError(f"{self.where}: selects no column {' and no column '.join(missing)}",
                            hint=f"name it: SELECT {example} AS {missing[0]}, …")

    def check_types(self, wanted: Mapping[str, tuple[str, frozenset[exp.DataType.Type]]]) -> None:
        """Refuse an output that is known to have another type: name to (what it must be, such types)."""
        tree = self.select.copy()
        kinds = {field.name.lower(): athena_type(field.type) for field in self.contract.row_schema}
        for column in list(tree.find_all(exp.Column)):
            if column.name.lower() in kinds and not _is_parameter(column):
                column.replace(exp.cast(exp.null(), kinds[column.name.lower()]))
        annotate_types(tree, dialect="athena")
        types = {shown.alias_or_name.lower(): shown.type for shown in tree.expressions if not shown.is_star}
        types |= {name: exp.DataType.build(kinds[name]) for name in wanted if name in kinds and name not in types}
        for name, (kind, fitting) in wanted.items():
            found = types.get(name)
            if name in self.outputs and found is not None and found.this not in {*fitting, *_UNTOLD}:
                shown = self.outputs[name].sql(dialect="athena")
                raise ContractError(f"{self.where}: {name} is {found.sql().lower()}, not {kind}",
                                    hint=f"select {kind}: CAST({shown} AS {_CAST[kind]}) AS {name}")


def _read(where: str, sql: str, contracts: Mapping[str, Contract]) -> _Reading:
    select = _parse(where, sql)
    for part in select.walk():
        if part is select:
            continue
        told = next((told for kind, told in _NOT_ROW_WISE if isinstance(part, kind)), "")
        if isinstance(part, exp.Anonymous) and part.name.lower() in _AGGREGATES:
            told = "an aggregate"
        if told:
            raise ContractError(
                f"{where}: has {told}",
                hint="the query also runs over each row as it arrives, so it may only pick, compute and filter (WHERE)",
            )
    contract = _contract(where, select, contracts)
    _check_columns(where, select, contract)
    return _Reading(where, select, contract)


def _parse(where: str, sql: str) -> exp.Select:
    try:
        parsed = sqlglot.parse(sql, read="athena")
    except ParseError as error:
        first = error.errors[0] if error.errors else {}
        place = f" at line {first['line']}, column {first['col']}" if first.get("line") else ""
        told = str(first.get("description", error)).partition(" but got <")[0]
        raise ContractError(f"{where}: the SQL cannot be read{place}: {told}", hint=_ONE_SELECT) from None
    except SqlglotError as error:
        raise ContractError(f"{where}: the SQL cannot be read: {error}", hint=_ONE_SELECT) from None
    statements = [statement for statement in parsed if statement is not None]
    if len(statements) != 1:
        raise ContractError(f"{where}: {len(statements)} statements", hint=_ONE_SELECT)
    if isinstance(statements[0], exp.SetOperation):
        raise ContractError(f"{where}: has UNION, INTERSECT or EXCEPT",
                            hint="declare one recommender a table, or write both facts to one table")
    if not isinstance(statements[0], exp.Select):
        raise ContractError(f"{where}: is no SELECT", hint=_ONE_SELECT)
    return statements[0]


def _contract(where: str, select: exp.Select, contracts: Mapping[str, Contract]) -> Contract:
    tables = list(select.find_all(exp.Table))
    if len(tables) != 1 or not tables[0].name:
        raise ContractError(f"{where}: reads {len(tables)} tables, and it must be one", hint=_ONE_SELECT)
    name, known = tables[0].name.lower(), {name.lower(): contract for name, contract in contracts.items()}
    if tables[0].db:
        raise ContractError(f"{where}: {tables[0].sql()} names a database", hint=f"write FROM {name}")
    if name in known:
        return known[name]
    base = name.removesuffix("_history")
    if base in known:
        hint = f"write FROM {base}: what is changed or deleted is taken back"
        raise ContractError(f"{where}: reads {name}", hint=hint)
    near = get_close_matches(name, known, 1)
    listed = f"there is {', '.join(known)}" if known else "declare its table above it"
    raise ContractError(f"{where}: there is no table {name}", hint=f"did you mean {near[0]}?" if near else listed)


def _check_columns(where: str, select: exp.Select, contract: Contract) -> None:
    known = [column.name.lower() for column in contract.columns]
    if not contract.key:
        known += SYSTEM.names
    for column in select.find_all(exp.Column):
        name = column.name.lower()
        if name in known or isinstance(column.this, exp.Star) or _is_parameter(column):
            continue
        near = get_close_matches(name, known, 1)
        raise ContractError(f"{where}: table {contract.name} has no column {column.name}",
                            hint=f"did you mean {near[0]}?" if near else f"its columns are {', '.join(known)}")


def _is_parameter(column: exp.Column) -> bool:
    """Whether it is the x of `x -> …`."""
    function = column.find_ancestor(exp.Lambda)
    while function is not None:
        if column.name in {parameter.name for parameter in function.expressions}:
            return True
        function = function.find_ancestor(exp.Lambda)
    return False


def _check_model(where: str, recommender: Recommender) -> None:
    try:
        if recommender.model not in BACKENDS or recommender.options:
            choose(_options_of(recommender.model), recommender.options)
    except ContractError as error:
        raise ContractError(f"{where}: {error}", hint=error.hint) from None


def _options_of(model: str) -> type[Options]:
    """The settings that the algorithm's file declares."""
    module = import_module(open_model_class(model).__module__)
    kinds = (kind for kind in vars(module).values() if isinstance(kind, type) and issubclass(kind, Options))
    return next(kind for kind in kinds if kind.__module__ == module.__name__)
