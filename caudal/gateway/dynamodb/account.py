"""The DynamoDB tables there are: those made here, as documents, and the pipeline's own."""

import threading
import time
from collections.abc import Callable
from typing import Any

import msgspec

from caudal.errors import AlreadyExists, NotFound
from caudal.gateway.cloud import Cloud
from caudal.gateway.documents import Documents
from caudal.gateway.dynamodb import tokens
from caudal.gateway.dynamodb.tables import Streaming, Table, declare, of_pipeline
from caudal.gateway.faults import AwsError
from caudal.ingest.store import Store

TABLE, STREAM = "dynamodb.table", "dynamodb.stream"
STREAM_SECONDS = 24 * 3600
"""How long a change is in a table's stream."""


class Account:
    """Every table of the account, by name, and every stream of changes that can still be read."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._known: dict[str, Table] = {}
        self._changing = threading.Lock()

    @property
    def store(self) -> Store:
        """Where the items are."""
        return self._cloud.stages.store

    @property
    def documents(self) -> Documents:
        return self._cloud.documents

    @property
    def _shards(self) -> int:
        return self._cloud.stages.config.stream.shards

    def start(self) -> None:
        """Finish what an earlier process left half done."""
        tokens.declare(self.store)
        for name in self.documents.all(TABLE):
            table = self._load(name)
            if table is not None and table.is_deleting:
                self._delete(table)
            elif table is not None:
                declare(self.store, table, self._shards)

    def find(self, name: str, told: str = "Requested resource not found") -> Table:
        """The table that a name or an ARN means. Raises AwsError."""
        if name.startswith("arn:"):
            name = name.partition(":table/")[2].partition("/")[0]
        table = self._known.get(name) or self._load(name)
        if table is None:
            raise AwsError("ResourceNotFoundException", told)
        self._known[name] = table
        return table

    def _load(self, name: str) -> Table | None:
        document = self.documents.get(TABLE, name)
        if document is not None:
            return msgspec.convert(document, Table, strict=False)
        pipeline = self._cloud.stages.pipeline.tables
        return of_pipeline(pipeline[name]) if name in pipeline else None

    def names(self) -> list[str]:
        """The names of all tables, sorted."""
        pipeline = [name for name, table in self._cloud.stages.pipeline.tables.items() if of_pipeline(table) is not None]
        return sorted({*self.documents.all(TABLE), *pipeline})

    def arn(self, table: str) -> str:
        """A table's ARN."""
        return self._cloud.arn("dynamodb", f"table/{table}")

    def create(self, table: Table) -> None:
        """Make a table. Raises AwsError."""
        taken = AwsError("ResourceInUseException", f"Table already exists: {table.name}")
        with self._changing:
            if table.name in self._cloud.stages.pipeline.tables or self._has(table.name):
                raise taken
            try:
                self.documents.create(TABLE, table.name, msgspec.to_builtins(table, str_keys=True))
            except AlreadyExists:
                raise taken from None
            declare(self.store, table, self._shards)

    def _has(self, name: str) -> bool:
        try:
            self._cloud.stages.stream.ends(name)
        except NotFound:
            return name in self.store.tables()
        return True

    def change(self, name: str, change: Callable[[Table], Table]) -> Table:
        """Replace a table by what `change` makes of it, nobody else coming between. Raises AwsError."""
        with self._changing:
            made = change(self.find(name))
            self.documents.put(TABLE, made.name, msgspec.to_builtins(made, str_keys=True))
            self._known[made.name] = made
            return made

    def remove(self, name: str) -> Table:
        """Delete a table with its items. Raises AwsError."""
        table = self.change(name, lambda table: msgspec.structs.replace(table, is_deleting=True))
        self._delete(table)
        return table

    def _delete(self, table: Table) -> None:
        self.store.drop(table.name)
        self._cloud.stages.stream.drop(table.name)  # it too must forget where the table's changes were
        if table.destination is not None:
            self._cloud.stages.stream.drop(table.destination.journal)
        self.documents.write(remove=[(STREAM, f"{table.name}/{stream.label}") for stream in self.streams(table.name)])
        self.documents.remove(TABLE, table.name)
        self._known.pop(table.name, None)

    def streams(self, table: str = "") -> list[Streaming]:
        """Streams of a table, or of all, that can still be read."""
        prefix = f"{table}/" if table else ""
        documents = self.documents.all(STREAM, prefix=prefix).values()
        found = (msgspec.convert(document, Streaming, strict=False) for document in documents)
        return [stream for stream in found if not stream.until or stream.ended > time.time() - STREAM_SECONDS]

    def stream(self, arn: str) -> Streaming | None:
        """The stream of that ARN; None if there is none."""
        name, _, label = arn.partition(":table/")[2].partition("/stream/")
        document: dict[str, Any] | None = self.documents.get(STREAM, f"{name}/{label}")
        return msgspec.convert(document, Streaming, strict=False) if document is not None else None

    def keep_stream(self, stream: Streaming) -> None:
        """Remember a stream, or that it has ended."""
        self.documents.put(STREAM, f"{stream.table}/{stream.label}", msgspec.to_builtins(stream, str_keys=True))
