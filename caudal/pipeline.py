"""THE MAP: what a pipeline declares, and the stages that it opens, in the order in which data takes them."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from caudal.config import Config, load_config
from caudal.contract import Delivery, Form
from caudal.errors import ContractError, NotFound
from caudal.ingest.events import EventLog
from caudal.ingest.store import Store, open_store
from caudal.ingest.stream import Stream, open_stream
from caudal.ingest.stream.gate import Backpressure, held_back
from caudal.ingest.writer import Writer
from caudal.lake.catalog import Catalog, declared, open_catalog
from caudal.lake.files import Files, open_files
from caudal.lake.query import Query, open_query
from caudal.learn.recommender import Recommender, check_recommender
from caudal.learn.registry import ModelRegistry
from caudal.learn.trainer import Trainer, open_trainer
from caudal.naming import check_name
from caudal.serve import Endpoint, Shop, open_endpoint
from caudal.tables import Layout, Table, Writers, contracts, declare_in, declaring, lake_contracts, open_tail, open_transforms
from caudal.urls import checked


class Pipeline:
    """A shop's tables, transforms and recommenders. Nothing in it names a back end."""

    def __init__(self, name: str) -> None:
        self.name = check_name("pipeline", name)
        self.file: Path | None = None  # that it was loaded from
        self.tables: dict[str, Table] = {}
        self.recommenders: dict[str, Recommender] = {}

    def table(
        self, *, key: Sequence[str], partition: Layout = None,
        deliveries: Sequence[Delivery] = (Delivery(),), name: str = "", form: Form = "caudal",
    ) -> Callable[[type], type]:
        """Declare a table of items, keyed by `key`: each write of one is a change; `form` says if another system makes them."""
        if not key:
            raise ContractError(f"table {name or '…'}: an empty key", hint="name its key columns, or use @pipeline.events")
        return declaring(self.tables, name, key, partition, deliveries, form)

    def events(
        self, *, partition: Layout = None,
        deliveries: Sequence[Delivery] = (Delivery(),), name: str = "", form: Form = "caudal",
    ) -> Callable[[type], type]:
        """Declare a table of events: facts that are only ever added."""
        return declaring(self.tables, name, (), partition, deliveries, form)

    def recommender(self, name: str, **declared: Any) -> Recommender:
        """Declare a recommender: see `caudal.learn.recommender.Recommender`."""
        made = Recommender(name, **declared)
        check_recommender(made, lake_contracts(self.tables), set(self.recommenders))
        self.recommenders[name] = made
        return made

    def open(self, config: Config | None = None) -> "Stages":
        """Open the stages that the configuration names; by default that of the working folder."""
        return Stages(self, config or load_config(Path()))


class Stages:
    """A pipeline's stages, each opened when it is first used, all closed together."""

    def __init__(self, pipeline: Pipeline, config: Config) -> None:
        self.pipeline = pipeline
        self.config = checked(config)

    @cached_property
    def store(self) -> Store:
        store = held_back(open_store(self.config.url("store")), self.gate)
        return declare_in(store, self.pipeline.tables, self.config.stream.shards)

    @cached_property
    def stream(self) -> Stream:
        stream = held_back(open_stream(self.config.url("stream")), self.gate)
        for name in self.pipeline.tables:
            stream.create(name, self.config.stream.shards)
        return stream

    @cached_property
    def gate(self) -> Backpressure:
        return Backpressure(self.config.stream, lambda: self.stream, lambda name: self.table(name).reached(self.catalog))

    def events(self, table: str) -> EventLog:
        """Where events of a table are appended."""
        return EventLog(self.stream, self.table(table).contract)

    @cached_property
    def files(self) -> Files:
        return open_files(self.config.url("files"))

    @cached_property
    def catalog(self) -> Catalog:
        lake = (into for table in self.pipeline.tables.values() for into in table.lake.values())
        return declared(open_catalog(self.config.url("catalog"), self.pipeline.name), lake)

    @cached_property
    def writers(self) -> Writers:
        return Writers(self.config, self.pipeline.name, self.pipeline.tables, self.stream, self.files, self.catalog)

    def writer(self, name: str) -> Writer:
        """The writer of the lake table `name`: one, however often it is asked for."""
        return self.writers[name]

    @cached_property
    def query(self) -> Query:
        tail = open_tail(self.pipeline.tables, self.config.url("transform"), self.stream)
        return open_query(self.config.url("query"), self.catalog, self.files, self.config.query, tail, self.pipeline.name)

    @cached_property
    def models(self) -> ModelRegistry:
        return ModelRegistry(self.files, Path(self.config.folder))

    @cached_property
    def trainer(self) -> Trainer:
        return open_trainer(self.config.url("trainer"), self.query, self.catalog, self.models)

    def endpoint(self) -> Endpoint:
        """The endpoint; it answers once it is started."""
        return open_endpoint(self.config.url("endpoint"), self.shop())

    def shop(self) -> Shop:
        """What an endpoint serves."""
        tables, recommenders = self.pipeline.tables, self.pipeline.recommenders
        return Shop(
            contracts(tables), open_transforms(tables, self.config.url("transform"), self.config), recommenders, self.store,
            self.stream, self.catalog, self.query, self.models, self.config.endpoint.stale_seconds)

    def table(self, name: str) -> Table:
        """A declared table. Raises NotFound."""
        if name not in self.pipeline.tables:
            raise NotFound(f"no table {name}", hint=f"there is {', '.join(self.pipeline.tables) or 'none'}")
        return self.pipeline.tables[name]

    def close(self) -> None:
        """Close what was opened."""
        for stage in ("writers", "models", "query", "catalog", "stream", "store"):
            if stage in self.__dict__:
                self.__dict__.pop(stage).close()

    def __enter__(self) -> "Stages":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
