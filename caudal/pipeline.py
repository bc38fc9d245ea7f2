"""THE MAP: what a pipeline declares, and the stages that it opens, in the order in which data takes them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from caudal.config import Config, load_config
from caudal.contract import Contract, Delivery, Partition, UserFunction, read_contract, snake
from caudal.errors import ContractError
from caudal.ingest.store import Store, open_store
from caudal.ingest.stream import Stream, open_stream
from caudal.ingest.transform import check_delivery
from caudal.ingest.writer import Writer, open_writer
from caudal.lake.catalog import Catalog, LakeTable, open_catalog
from caudal.lake.files import Files, open_files
from caudal.lake.query import Query, open_query
from caudal.learn.recommender import Recommender, check_recommender
from caudal.learn.registry import ModelRegistry
from caudal.learn.trainer import Trainer, open_trainer


@dataclass(frozen=True)
class Table:
    """One table of the shop: its contract, and how its changes reach the lake."""

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


@dataclass
class Pipeline:
    """A shop's tables, transforms and recommenders. Nothing in it names a back end."""

    name: str
    tables: dict[str, Table] = field(default_factory=dict)
    recommenders: dict[str, Recommender] = field(default_factory=dict)

    def table(
        self, *, key: Sequence[str], partition: Partition | Sequence[Partition] | None = None,
        deliveries: Sequence[Delivery] = (Delivery(),), name: str = "",
    ) -> Callable[[type], type]:
        """Declare a table of items, keyed by `key`: each write of one is a change."""
        if not key:
            raise ContractError(f"table {name or '…'}: an empty key", hint="name its key columns, or use @pipeline.events")
        return lambda cls: self._declare(cls, name, key, partition, deliveries)

    def events(
        self, *, partition: Partition | Sequence[Partition] | None = None,
        deliveries: Sequence[Delivery] = (Delivery(),), name: str = "",
    ) -> Callable[[type], type]:
        """Declare a table of events: facts that are only ever added."""
        return lambda cls: self._declare(cls, name, (), partition, deliveries)

    def recommender(self, name: str, **declared: Any) -> Recommender:
        """Declare a recommender: see `caudal.learn.recommender.Recommender`."""
        made = Recommender(name, **declared)
        check_recommender(made, {t.name: t.contract for t in self.tables.values()}, set(self.recommenders))
        self.recommenders[name] = made
        return made

    def _declare(
        self, cls: type, name: str, key: Sequence[str],
        partition: Partition | Sequence[Partition] | None, deliveries: Sequence[Delivery],
    ) -> type:
        contract = read_contract(cls, name=name or snake(cls.__name__), key=key, partition=partition)
        named, lake = {}, {}
        for n, delivery in enumerate(deliveries):
            delivery = replace(delivery, transform=_as_transform(delivery.transform))
            into = contract if delivery.into is None else read_contract(
                delivery.into, name=delivery.name or snake(delivery.into.__name__), key=delivery.key
            )
            sql_name = delivery.name or (into.name if n == 0 or delivery.into else f"{contract.name}_{delivery.format}")
            if delivery.partition is not None:
                into = read_contract(
                    delivery.into or cls, name=sql_name, key=delivery.key if delivery.into else key, partition=delivery.partition
                )
            into = replace(into, name=sql_name)
            check_delivery(contract, into, delivery)
            self._check_free(sql_name, {**named, contract.name: None} if n else named)
            named[sql_name] = delivery
            lake[sql_name] = LakeTable(sql_name, into, contract.name, delivery.format, delivery.compression)
        if not named:
            raise ContractError(f"table {contract.name}: no deliveries", hint="leave the argument out, or give a Delivery()")
        self.tables[contract.name] = Table(contract, named, lake)
        return cls

    def _check_free(self, name: str, here: dict[str, Any]) -> None:
        taken = {n for t in self.tables.values() for n in (t.name, *t.lake)} | set(here)
        for used in taken:
            if {name.lower(), f"{name}_history".lower()} & {used.lower(), f"{used}_history".lower()}:
                raise ContractError(f"{name}: two tables would show under that name", hint="give one a name=…")

    def open(self, config: Config | None = None) -> "Stages":
        """Open the stages that the configuration names."""
        return Stages(self, config or load_config(Path()))


def _as_transform(given: UserFunction | Callable[..., Any] | None) -> UserFunction | None:
    return given if given is None or isinstance(given, UserFunction) else UserFunction(given)


class Stages:
    """A pipeline's stages, each opened when it is first used, all closed together."""

    def __init__(self, pipeline: Pipeline, config: Config) -> None:
        self.pipeline = pipeline
        self.config = config

    @cached_property
    def store(self) -> Store:
        store = open_store(self.config.url("store"))
        for table in self.pipeline.tables.values():
            if table.keyed:
                store.declare(table.name, table.contract.key, self.config.stream.shards)
        return store

    @cached_property
    def stream(self) -> Stream:
        stream = open_stream(self.config.url("stream"))
        for name in self.pipeline.tables:
            stream.create(name, self.config.stream.shards)
        return stream

    @cached_property
    def files(self) -> Files:
        return open_files(self.config.url("files"))

    @cached_property
    def catalog(self) -> Catalog:
        catalog = open_catalog(self.config.url("catalog"), self.pipeline.name)
        for table in self.pipeline.tables.values():
            for lake_table in table.lake.values():
                catalog.declare(lake_table)
        return catalog

    def writer(self, name: str) -> Writer:
        """A writer of the lake table `name`."""
        source = next(table for table in self.pipeline.tables.values() if name in table.lake)
        return open_writer(self.config, self.pipeline.name, source.contract, source.deliveries[name], source.lake[name],
                           self.stream, self.files, self.catalog)

    @cached_property
    def query(self) -> Query:
        return open_query(self.config.url("query"), self.catalog, self.files, self.config.query)

    @cached_property
    def models(self) -> ModelRegistry:
        return ModelRegistry(self.files, Path(self.config.folder))

    @cached_property
    def trainer(self) -> Trainer:
        return open_trainer(self.config.url("trainer"), self.query, self.catalog, self.models)

    def close(self) -> None:
        """Close what was opened."""
        for stage in ("query", "catalog", "stream", "store"):
            if stage in self.__dict__:
                self.__dict__.pop(stage).close()

    def __enter__(self) -> "Stages":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
