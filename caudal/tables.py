"""One table of the shop as a pipeline declares it: a contract, and the deliveries that take it to the lake."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from caudal.config import Config
from caudal.contract import Column, Contract, Delivery, Form, Partition, UserFunction, read_contract
from caudal.errors import ContractError, InvalidItem
from caudal.ingest.store import Store
from caudal.ingest.stream import Stream
from caudal.ingest.tail import StreamTail
from caudal.ingest.transform import Transform, check_delivery, open_transform
from caudal.ingest.transform.values import Misfit, exact_value
from caudal.ingest.writer import Writer, open_writer
from caudal.lake.catalog import Catalog, LakeTable
from caudal.lake.files import Files
from caudal.naming import SHADOW, snake
from caudal.records import Positions

Layout: TypeAlias = Partition | Sequence[Partition] | None
"""How a table's rows are spread over folders."""


@dataclass(frozen=True)
class Table:
    """A contract, and how its changes reach the lake."""

    contract: Contract
    deliveries: dict[str, Delivery]
    """Name in SQL to delivery."""
    lake: dict[str, LakeTable]
    """Name in SQL to what the delivery fills."""

    @property
    def name(self) -> str:
        return self.contract.name

    @property
    def keyed(self) -> bool:
        """Whether it holds items; otherwise events are appended to it."""
        return bool(self.contract.key)

    @property
    def stored(self) -> bool:
        """Whether the application writes its items to the store; otherwise records of another system are ingested."""
        return self.keyed and self.contract.form == "caudal"

    def reached(self, catalog: Catalog) -> list[Positions]:
        """How far each delivery has come in the table's stream."""
        return [catalog.snapshot(name).positions for name in self.lake]


def contracts(tables: Mapping[str, Table]) -> dict[str, Contract]:
    """Each table's own contract."""
    return {name: table.contract for name, table in tables.items()}


def lake_contracts(tables: Mapping[str, Table]) -> dict[str, Contract]:
    """Name in SQL to the contract of its rows."""
    return {name: into.contract for table in tables.values() for name, into in table.lake.items()}


def declare_in(store: Store, tables: Mapping[str, Table], shards: int) -> Store:
    """Create the tables that are written here in the store, which reads a key as the lake does: one row there, one item here."""
    for table in tables.values():
        contract = table.contract
        if table.stored:
            readers = [partial(_read_key, contract.name, contract.column(name)) for name in contract.key]
            store.declare(contract.name, contract.key, shards, readers, contract.renames, contract.ttl)
    return store


def _read_key(table: str, column: Column, value: Any) -> Any:
    try:
        return exact_value(column, value, lambda _: None)
    except Misfit as misfit:
        told = f"{table}: {misfit.detail}, and it is part of the key"
        raise InvalidItem(told, hint=f"give {column.name} as {column.sql}") from None


def open_transforms(tables: Mapping[str, Table], url: str, config: Config | None = None) -> dict[str, Transform]:
    """Name in SQL to what makes its rows of records: the one that its writer runs."""
    return {
        name: open_transform(url, table.contract, table.lake[name].contract, delivery.transform, config)  # type: ignore[arg-type]
        for table in tables.values() for name, delivery in table.deliveries.items()
    }


def open_tail(tables: Mapping[str, Table], url: str, stream: Stream) -> StreamTail:
    """What is on its way to the lake, as SQL shows it.

    Not of deliveries with a function of the user's: that may be slow, or do more than make rows, and runs once.
    """
    plain = {name for table in tables.values() for name, delivery in table.deliveries.items() if delivery.transform is None}
    return StreamTail(stream, {name: made for name, made in open_transforms(tables, url).items() if name in plain})


class Writers(dict[str, Writer]):
    """Lake table to its writer, opened when it is first asked for: one a table, for each holds the table's lease."""

    def __init__(
        self, config: Config, database: str, tables: Mapping[str, Table], stream: Stream, files: Files, catalog: Catalog
    ) -> None:
        super().__init__()
        self._config, self._database, self._tables = config, database, tables
        self._stages = stream, files, catalog

    def __missing__(self, name: str) -> Writer:
        table = next(table for table in self._tables.values() if name in table.lake)
        self[name] = made = open_writer(
            self._config, self._database, table.contract, table.deliveries[name], table.lake[name], *self._stages
        )
        return made

    def close(self) -> None:
        """Give every lease up."""
        while self:
            self.popitem()[1].close()


def declare_table(
    tables: dict[str, Table], cls: type, name: str, key: Sequence[str], partition: Layout, deliveries: Sequence[Delivery],
    form: Form = "caudal",
) -> Table:
    """Read a table's class and deliveries, and add it to the pipeline's tables. Raises ContractError."""
    taken = {name for table in tables.values() for name in (table.name, *table.lake)}
    contract = read_contract(cls, name=name or snake(cls.__name__), key=key, partition=partition, form=form)
    if not deliveries:
        raise ContractError(f"table {contract.name}: no deliveries", hint="leave the argument out, or give a Delivery()")
    table = Table(contract, {}, {})
    for first, delivery in zip([True] + [False] * len(deliveries), deliveries, strict=False):
        delivery = replace(delivery, transform=_as_function(delivery.transform))
        into = _into(cls, contract, delivery, first)
        check_delivery(contract, into, delivery)
        _check_free(into.name, [*taken, *table.lake, *([] if into.name == contract.name else [contract.name])])
        table.deliveries[into.name] = delivery
        table.lake[into.name] = LakeTable(
            into.name, into, contract.name, delivery.format, delivery.compression, verbatim=delivery.transform is None
        )
    tables[table.name] = table
    return table


def declaring(
    tables: dict[str, Table], name: str, key: Sequence[str], partition: Layout, deliveries: Sequence[Delivery], form: Form
) -> Callable[[type], type]:
    """A decorator that declares the table of a class: see `declare_table`."""

    def declare(cls: type) -> type:
        declare_table(tables, cls, name, key, partition, deliveries, form)
        return cls

    return declare


def _into(cls: type, contract: Contract, delivery: Delivery, first: bool) -> Contract:
    """The contract of the delivered rows, under the name that they show in SQL."""
    if delivery.into is None:
        default = contract.name if first else f"{contract.name}_{delivery.format}"
        key = contract.key
        partition = delivery.partition if delivery.partition is not None else contract.partition
    else:
        default, key, partition = snake(delivery.into.__name__), tuple(delivery.key), delivery.partition or ()
    return read_contract(delivery.into or cls, name=delivery.name or default, key=key, partition=partition, form=contract.form)


def _as_function(given: UserFunction | Callable[..., Any] | None) -> UserFunction | None:
    return given if given is None or isinstance(given, UserFunction) else UserFunction(given)


def _check_free(name: str, taken: Iterable[str]) -> None:
    if name.endswith(SHADOW):
        raise ContractError(f"{name}: a name that ends in {SHADOW} is that of a table being rebuilt", hint="choose another")
    for used in taken:
        if {name.lower(), f"{name}_history".lower()} & {used.lower(), f"{used}_history".lower()}:
            raise ContractError(f"{name}: two tables would show under that name", hint="give one a name=…")
