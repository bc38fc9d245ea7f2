"""What a table's rows are: from the user's annotated class to columns with exact types."""

import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from functools import cached_property
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from caudal.budget import ErrorBudget
from caudal.errors import ContractError
from caudal.forms import CHAIN, check_form
from caudal.forms import SYSTEM as SYSTEM
from caudal.forms import TIMESTAMP as TIMESTAMP
from caudal.forms import Form as Form
from caudal.naming import check_name, is_name

Kind = Literal["string", "int", "decimal", "float", "bool", "date", "timestamp", "bytes", "json"]



@dataclass(frozen=True)
class Digits:
    """Precision and scale of a decimal column: `Annotated[Decimal, Digits(12, 2)]`."""

    precision: int
    scale: int = 0


class _Mark(str):
    """A mark in `Annotated[...]`."""


personal = _Mark("personal")
"""The column identifies or describes a person: never printed, erasable."""

ttl = _Mark("ttl")
"""The column says when the item expires: a datetime, or whole seconds since 1970 (UTC)."""


@dataclass(frozen=True)
class renamed:
    """The column was called `old` before: its data is kept. Renamed twice, it has two of these marks."""

    old: str


@dataclass(frozen=True)
class Column:
    """One column of a contract."""

    name: str
    kind: Kind
    nullable: bool = False
    precision: int = 0
    scale: int = 0
    values: tuple[str, ...] = ()
    personal: bool = False
    ttl: bool = False
    old_names: tuple[str, ...] = ()
    """What it was called before, in files, records and items."""

    @property
    def arrow(self) -> pa.DataType:
        """The column's type in Arrow; nested values are JSON text."""
        if self.kind == "decimal":
            return pa.decimal128(self.precision, self.scale)
        return {
            "string": pa.string(), "int": pa.int64(), "float": pa.float64(), "bool": pa.bool_(),
            "date": pa.date32(), "timestamp": TIMESTAMP, "bytes": pa.binary(), "json": pa.string(),
        }[self.kind]

    @property
    def sql(self) -> str:
        """The column's type in Athena's DDL."""
        if self.kind == "decimal":
            return f"decimal({self.precision},{self.scale})"
        return {
            "string": "string", "int": "bigint", "float": "double", "bool": "boolean",
            "date": "date", "timestamp": "timestamp", "bytes": "binary", "json": "string",
        }[self.kind]


@dataclass(frozen=True)
class Partition:
    """How one column's value becomes a folder: `sold_at_day=2026-01-02`."""

    column: str
    unit: Literal["identity", "year", "month", "day", "hour"]

    @property
    def folder(self) -> str:
        """The folder's key; lower case, for Athena reads no other."""
        name = self.column if self.unit == "identity" else f"{self.column}_{self.unit}"
        return name.lower()


def identity(column: str) -> Partition:
    """One folder a value: for columns with few values (country, channel)."""
    return Partition(column, "identity")


def year(column: str) -> Partition:
    """One folder a year (UTC) of a date or datetime column."""
    return Partition(column, "year")


def month(column: str) -> Partition:
    """One folder a month (UTC) of a date or datetime column."""
    return Partition(column, "month")


def day(column: str) -> Partition:
    """One folder a day (UTC) of a date or datetime column."""
    return Partition(column, "day")


def hour(column: str) -> Partition:
    """One folder an hour (UTC) of a datetime column."""
    return Partition(column, "hour")


@dataclass(frozen=True)
class UserFunction:
    """User code between record and row."""

    function: Callable[..., Any]
    each: Literal["record", "batch", "lambda"] = "record"

    @property
    def name(self) -> str:
        return getattr(self.function, "__name__", repr(self.function))


def per_batch(function: Callable[[pa.Table], pa.Table]) -> UserFunction:
    """A transform that takes an Arrow table of the contract's columns and returns one."""
    return UserFunction(function, "batch")


def lambda_handler(function: Callable[[dict[str, Any], Any], dict[str, Any]]) -> UserFunction:
    """An AWS Lambda handler with Firehose's contract: `records[].recordId/data` in and out."""
    return UserFunction(function, "lambda")


@dataclass(frozen=True)
class Delivery:
    """One way in which a table reaches the lake.

    Args:
        format: `parquet`, `csv`, or `iceberg`: Parquet that is published as Iceberg tables besides.
        compression: of CSV: "", `gzip` or `zstd`; Parquet is always zstd.
        partition: folders, instead of the table's.
        buffer_bytes: bytes of records that make a batch.
        buffer_seconds: age of the oldest waiting record that makes a batch.
        transform: a function per record (dict to dict, list of dicts or None), or `per_batch(...)`, or
            `lambda_handler(...)`.
        into: an annotated class that describes the transformed rows, when they are not the table's own; `key` is its key.
        error_budget: when too many records do not fit, pause; by default all of them go to quarantine.
        name: the name in SQL; by default the table's for its first delivery, else `<table>_<format>`.
    """

    format: Literal["csv", "parquet", "iceberg"] = "parquet"
    compression: Literal["", "gzip", "zstd"] = ""
    partition: Partition | Sequence[Partition] | None = None
    buffer_bytes: int = 64 << 20
    buffer_seconds: float = 1.0
    transform: UserFunction | Callable[..., Any] | None = None
    into: type | None = None
    key: Sequence[str] = ()
    error_budget: ErrorBudget | None = None
    name: str = ""


@dataclass(frozen=True)
class Contract:
    """A table's declared columns, key and partition."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    partition: tuple[Partition, ...] = ()
    form: Form = "caudal"

    @property
    def schema(self) -> pa.Schema:
        """The declared columns in Arrow."""
        return pa.schema([pa.field(c.name, c.arrow, nullable=c.nullable) for c in self.columns])

    @property
    def row_schema(self) -> pa.Schema:
        """The columns of a row in the lake: the declared ones, then `system`."""
        return pa.schema([*self.schema, *self.system])

    @property
    def system(self) -> pa.Schema:
        """The columns that a row carries beside its own."""
        return pa.schema([*SYSTEM, *CHAIN]) if self.form == "dynamodb" else SYSTEM

    @property
    def foreign(self) -> bool:
        """Whether another system makes its records, which then come repeated, and not always in their order."""
        return self.form in ("dynamodb", "debezium")

    @cached_property
    def known_names(self) -> frozenset[str]:
        """What members of an item may be called: the columns' names, now and before."""
        return frozenset(name for column in self.columns for name in (column.name, *column.old_names))

    def column(self, name: str) -> Column:
        """The column called `name`; KeyError if there is none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    @property
    def ttl(self) -> str:
        """The column that says when an item expires; "" if none does."""
        return next((c.name for c in self.columns if c.ttl), "")

    @property
    def personal(self) -> frozenset[str]:
        return frozenset(c.name for c in self.columns if c.personal)

    @property
    def renames(self) -> dict[str, str]:
        """Old name to column."""
        return {old: c.name for c in self.columns for old in c.old_names}


def read_contract(
    cls: type, *, name: str, key: Iterable[str] = (), partition: Partition | Sequence[Partition] | None = None,
    form: Form = "caudal",
) -> Contract:
    """Read the contract that the annotations of `cls` declare; refuse one that cannot work.

    Raises ContractError, naming the table, the column and the mend.
    """
    try:
        hints = get_type_hints(cls, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
        raise ContractError(f"table {name}: {error}", hint="define or import the type above the class") from None
    columns = tuple(_column(name, column, hint) for column, hint in hints.items())
    partitions = (partition,) if isinstance(partition, Partition) else tuple(partition or ())
    if not all(isinstance(part, Partition) for part in partitions):
        raise ContractError(f"table {name}: its partition is {partition!r}", hint='write day("column"), or identity("column")')
    contract = Contract(name, columns, (key,) if isinstance(key, str) else tuple(key), partitions, form)
    _check(contract)
    return contract


def _column(table: str, name: str, hint: Any) -> Column:
    where = f"table {table}, column {name}"
    if not is_name(name):
        raise ContractError(f"{where}: not a column name",
                            hint="use letters, digits and _, a letter first; _… names are caudal's own")
    marks: list[Any] = []
    hint, nullable = _peel(hint, marks)
    for mark in marks:
        if type(mark) is str and mark in (personal, ttl):
            raise ContractError(f"{where}: {mark!r} in quotes marks nothing", hint=f"from caudal import {mark}; no quotes")
    known = [m for m in marks if isinstance(m, Digits | _Mark | renamed)]
    digits = next((m for m in known if isinstance(m, Digits)), None)
    old = tuple(m.old for m in known if isinstance(m, renamed))
    column = Column(name, _kind(where, hint, digits), nullable, personal=personal in known, ttl=ttl in known, old_names=old)
    if digits is not None:
        if column.kind != "decimal":
            raise ContractError(f"{where}: {digits} on a {column.kind}", hint="make it Annotated[Decimal, Digits(...)]")
        if not 1 <= digits.precision <= 38 or not 0 <= digits.scale <= digits.precision:
            raise ContractError(f"{where}: {digits} is out of range", hint="precision 1 to 38, scale 0 to precision")
        column = Column(**{**vars(column), "precision": digits.precision, "scale": digits.scale})
    if get_origin(hint) is Literal:
        column = Column(**{**vars(column), "values": get_args(hint)})
    if column.ttl and column.kind not in ("int", "timestamp"):
        raise ContractError(f"{where}: a TTL column is a {column.kind}", hint="make it a datetime or an int of seconds")
    return column


def _peel(hint: Any, marks: list[Any]) -> tuple[Any, bool]:
    """Strip `Annotated` and `| None`, collecting marks; says whether None was allowed."""
    if get_origin(hint) is Annotated:
        inner, *more = get_args(hint)
        marks.extend(more)
        return _peel(inner, marks)
    if get_origin(hint) in (Union, UnionType) and NoneType in get_args(hint):
        rest = [a for a in get_args(hint) if a is not NoneType]
        if len(rest) == 1:
            return _peel(rest[0], marks)[0], True
    return hint, False


def _kind(where: str, hint: Any, digits: Digits | None) -> Kind:
    if hint is Decimal:
        if digits is None:
            raise ContractError(f"{where}: a Decimal without digits", hint="write Annotated[Decimal, Digits(precision, scale)]")
        return "decimal"
    if get_origin(hint) is Literal:
        if not all(isinstance(v, str) for v in get_args(hint)):
            raise ContractError(f"{where}: {hint} has values that are not text", hint="use str values in Literal[...]")
        return "string"
    if hint in (list, dict) or get_origin(hint) in (list, dict):
        return "json"
    kinds: dict[Any, Kind] = {
        str: "string", int: "int", float: "float", bool: "bool", date: "date", datetime: "timestamp", bytes: "bytes",
    }
    try:
        return kinds[hint]
    except (KeyError, TypeError):
        raise ContractError(
            f"{where}: {typing._type_repr(hint)} is not a column type",
            hint="use str, int, Decimal, float, bool, date, datetime, bytes, list, dict or Literal, each | None if it may miss",
        ) from None


def _check(contract: Contract) -> None:
    table = f"table {contract.name}"
    names = [c.name for c in contract.columns]
    check_form(table, contract.form)
    check_name("table", contract.name)
    if not names:
        raise ContractError(f"{table}: has no columns", hint="annotate the class: household_id: str")
    seen: dict[str, str] = {}
    for name in names:
        if name.lower() in seen:
            raise ContractError(f"{table}: columns {seen[name.lower()]} and {name} differ only in case (column_collision)",
                                hint="rename one: catalogs lower-case every name")
        seen[name.lower()] = name
    _check_renames(table, contract)
    if len(set(contract.key)) < len(contract.key):
        raise ContractError(f"{table}: its key {contract.key} names a column twice", hint="name each once")
    for name in contract.key:
        column = _known(contract, name, "key")
        if column.kind in ("float", "json", "bool", "bytes"):
            raise ContractError(f"{table}: key column {name} is a {column.kind}, and such values do not identify an item",
                                hint="key columns are str, int, Decimal, date or datetime")
        if column.nullable:
            raise ContractError(f"{table}: key column {name} may be NULL", hint=f"remove `| None` from {name}")
    for partition in contract.partition:
        column = _known(contract, partition.column, "partition")
        if column.nullable:
            raise ContractError(f"{table}: partition on column {column.name}, which may be NULL",
                                hint=f"remove `| None` from {column.name}, or partition on a column that is always there")
        if column.personal:
            raise ContractError(f"{table}: partition on column {column.name}, which is personal and would stand in paths",
                                hint="partition on a column that says nothing about a person")
        _check_partition(table, partition, column, contract.key)
        if partition.unit != "identity" and partition.folder in seen:
            raise ContractError(
                f"{table}: {partition.unit}({column.name!r}) makes a column {partition.folder}, and there is one "
                f"(column_collision)", hint=f"rename {seen[partition.folder]}",
            )
    if len(set(contract.partition)) < len(contract.partition):
        raise ContractError(f"{table}: partitioned twice by the same", hint="name each once")
    if sum(c.ttl for c in contract.columns) > 1:
        raise ContractError(f"{table}: has more than one TTL column", hint="mark one column with ttl")


def _check_renames(table: str, contract: Contract) -> None:
    taken = {column.name: column.name for column in contract.columns}
    for column, old in ((c, old) for c in contract.columns for old in c.old_names):
        where = f"{table}, column {column.name}: renamed({old!r})"
        if not is_name(old):
            raise ContractError(f"{where} is not a column name", hint='write what it was called: renamed("qty")')
        if old in taken or column.name in contract.key:
            why = f"{old} also means column {taken[old]}" if old in taken else "it is part of the key, which never changes"
            raise ContractError(f"{where}, and {why}", hint="choose a name that no column has or had; leave a key as it is")
        taken[old] = column.name


def _check_partition(table: str, partition: Partition, column: Column, key: tuple[str, ...]) -> None:
    if partition.unit == "identity":
        if column.kind in ("float", "json", "bytes", "decimal", "timestamp"):
            raise ContractError(f"{table}: identity({column.name!r}) of a {column.kind}", hint="use day(...) or a text column")
        if column.name in key:
            raise ContractError(
                f"{table}: identity({column.name!r}) makes one folder a key; engines stop at 500 open partitions",
                hint="partition on a column with few values, or on day(...) or month(...) of a time",
            )
    elif column.kind not in ("date", "timestamp") or (partition.unit == "hour" and column.kind == "date"):
        raise ContractError(
            f"{table}: {partition.unit}({column.name!r}) of a {column.kind}",
            hint="use a datetime column (year, month and day also take a date)",
        )


def _known(contract: Contract, name: str, what: str) -> Column:
    try:
        return contract.column(name)
    except KeyError:
        from difflib import get_close_matches

        near = get_close_matches(name, [c.name for c in contract.columns], 1)
        raise ContractError(
            f"table {contract.name}: {what} column {name} is not among its columns",
            hint=f"did you mean {near[0]}?" if near else f"its columns are {', '.join(c.name for c in contract.columns)}",
        ) from None
