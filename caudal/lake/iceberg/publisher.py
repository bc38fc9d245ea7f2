"""Publishing through PyIceberg: its SQL catalog in a SQLite file, its tables beside the lake's."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import duckdb
import pyarrow as pa
from pyiceberg.catalog.sql import SqlCatalog
from pyiceberg.exceptions import (
    CommitFailedException,
    NamespaceAlreadyExistsError,
    NoSuchTableError,
    TableAlreadyExistsError,
    ValidationException,
)
from pyiceberg.table import Table
from sqlalchemy.exc import SQLAlchemyError

from caudal.config import Config
from caudal.contract import Contract
from caudal.errors import BackendError, ConfigError, Conflict, NotFound, Unavailable, UsageError
from caudal.lake.catalog import Catalog, ChangedFile, Snapshot, is_shadow
from caudal.lake.files import Files
from caudal.lake.iceberg.current import Current
from caudal.lake.iceberg.expiry import expire
from caudal.lake.iceberg.history import History
from caudal.lake.iceberg.mark import Mark, Publication, commit_files, read_mark
from caudal.lake.iceberg.port import Published, Publisher
from caudal.lake.iceberg.replacing import MANIFEST_BYTES, MANIFESTS, Change
from caudal.lake.iceberg.schema import evolve, schema_of, spec_of
from caudal.registry import path_of

_PROPERTIES = {
    "format-version": "2",
    "commit.retry.num-retries": "0",  # a repeated commit would add its files to whatever another publisher added
    "commit.manifest-merge.enabled": "true",
    "commit.manifest.min-count-to-merge": str(MANIFESTS),
    "commit.manifest.target-size-bytes": str(MANIFEST_BYTES),
    "write.object-storage.enabled": "true",
    "write.object-storage.partitioned-paths": "false",  # no value in a path: it may be long, or hold any character
    "write.parquet.compression-codec": "zstd",
    "write.parquet.compression-level": "1",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
}


class IcebergPublisher(Publisher):
    """One SQL catalog for a pipeline; namespace `<pipeline>`, tables `<table>` and `<table>_history`."""

    def __init__(self, config: Config, database: str, catalog: Catalog, files: Files, iceberg: SqlCatalog, root: str) -> None:
        self._database = database
        self._catalog = catalog
        self._files = files
        self._keep = config.iceberg.keep_snapshots
        self._iceberg = iceberg
        self._root = root
        self._history = History(files)
        self._current = Current(files, config.query)

    @classmethod
    def open(cls, config: Config, database: str, catalog: Catalog, files: Files) -> Self:
        """Open the catalog that the configuration names, creating it if it is missing."""
        url = config.url("iceberg")
        root = files.location("iceberg")
        if not url.startswith("sqlite:") or not path_of(url):
            raise ConfigError(f"iceberg.url is {url}: no such catalog", hint="write sqlite:folder/iceberg.db")
        if root is None:
            raise ConfigError(f"files.url is {config.url('files')}: no engine can read Iceberg tables there",
                              hint="write file:folder")
        path = Path(path_of(url)).resolve()
        with _translated("the Iceberg catalog"):
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
            iceberg = SqlCatalog(
                "caudal", uri=f"sqlite:///{path}", warehouse=f"file://{root}",
                **{"py-io-impl": "caudal.lake.iceberg.fileio.DurableFileIO"},
            )
        return cls(config, database, catalog, files, iceberg, root)

    def tables(self) -> list[str]:
        return [name for name, table in self._catalog.tables().items() if table.format == "iceberg" and not is_shadow(name)]

    def publish(self, table: str) -> list[Published]:
        snapshot = self._snapshot(table)
        contract = snapshot.table.contract
        with _translated(f"iceberg table {table}"):
            if not contract.key:
                return [self._bring(table, snapshot, True, self._history.bring)]
            return [
                self._bring(f"{table}_history", snapshot, True, self._history.bring),
                self._bring(table, snapshot, False, self._current.bring),
            ]

    def expire(self, table: str) -> int:
        contract = self._snapshot(table).table.contract
        names = [table, f"{table}_history"] if contract.key else [table]
        with _translated(f"iceberg table {table}"):
            return sum(
                expire(self._iceberg.load_table((self._database, name)), self._keep, Path(self._folder(name)))
                for name in names if self._iceberg.table_exists((self._database, name))
            )

    def close(self) -> None:
        self._current.close()
        self._iceberg.close()

    def _snapshot(self, table: str) -> Snapshot:
        snapshot = self._catalog.snapshot(table)
        if snapshot.table.format != "iceberg":
            raise UsageError(f"table {table} is delivered as {snapshot.table.format}",
                             hint='give it a Delivery("iceberg") in the pipeline file')
        return snapshot

    def _bring(self, name: str, snapshot: Snapshot, is_history: bool, work: Callable[[Publication], Change]) -> Published:
        """Bring one Iceberg table to the snapshot, in one commit."""
        table, contract = self._open(name, snapshot.table.contract, is_history), snapshot.table.contract
        mark, change = read_mark(table), Change([], [])
        with table.transaction() as tx:
            came_back = evolve(table, tx, contract, is_history)
            if came_back or (mark.version if mark else 0) < snapshot.version:
                start = (None, []) if came_back else self._since(snapshot, mark)
                change = work(Publication(table, tx, snapshot, *start))
                commit_files(tx, change, Mark(snapshot.version, snapshot.positions))
        version = max(snapshot.version, mark.version if mark else 0)
        return Published(name, version, table.metadata.current_snapshot_id, table.metadata_location,
                         len(change.added), len(change.removed))

    def _since(self, snapshot: Snapshot, mark: Mark | None) -> tuple[Mark | None, list[ChangedFile]]:
        """What the Iceberg table shows and what came since; (None, []) if it has to be made from the snapshot anew."""
        if mark is None:
            return None, []
        try:
            changed = self._catalog.changed_files(snapshot.table.name, mark.version)
        except NotFound:  # expired: nobody published for long
            return None, []
        return mark, [one for one in (_as_of(one, snapshot.version) for one in changed)
                      if mark.version < one.added <= snapshot.version or one.removed is not None]

    def _open(self, name: str, contract: Contract, is_history: bool) -> Table:
        """The Iceberg table, created if it is missing."""
        identifier = (self._database, name)
        try:
            return self._iceberg.load_table(identifier)
        except NoSuchTableError:
            schema = schema_of(contract, is_history)
            with suppress(NamespaceAlreadyExistsError):
                self._iceberg.create_namespace(self._database)
            return self._iceberg.create_table(
                identifier, schema, f"file://{self._folder(name)}", spec_of(contract, schema),
                properties={**_PROPERTIES, "schema.name-mapping.default": schema.name_mapping.model_dump_json()},
            )

    def _folder(self, name: str) -> str:
        return f"{self._root}/{self._database}/{name}"


def _as_of(changed: ChangedFile, version: int) -> ChangedFile:
    """What was known at a version: a file that went later was there."""
    return changed._replace(removed=None) if changed.removed is not None and changed.removed > version else changed


@contextmanager
def _translated(what: str) -> Iterator[None]:
    """Errors of the packages beneath as caudal's, without any value of the data."""
    try:
        yield
    except (CommitFailedException, ValidationException, TableAlreadyExistsError) as error:
        raise Conflict(f"{what}: somebody else committed to it meanwhile", hint="publish again") from error
    except FileNotFoundError as error:
        raise BackendError(f"{what}: a file is gone: {error}", hint=(
            "was the folder moved? Iceberg's metadata names whole paths: remove iceberg.db and the folder iceberg, publish again"
        )) from error
    except (OSError, SQLAlchemyError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise Unavailable(f"{what}: {reason}", hint="check space, permissions and who else has iceberg.db open") from error
    except (pa.ArrowException, duckdb.Error) as error:
        raise BackendError(f"{what}: {type(error).__name__}", hint="run `caudal verify`") from error
