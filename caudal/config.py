"""Where a pipeline runs and how: one section a stage, in path order; everything has a default.

Read from `caudal.toml` beside the pipeline file, then from the environment: `CAUDAL_WRITER_LEASE_SECONDS=30` sets
`[writer] lease_seconds`. An unknown section or key is an error.
"""

import os
import threading
import tomllib
from collections.abc import Mapping
from difflib import get_close_matches
from math import inf
from pathlib import Path
from typing import Any

import msgspec

from caudal.errors import ConfigError


class StoreConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[store]`: the operational tables."""

    url: str = "sqlite:{folder}/store.db"
    """Where items are."""
    deletes_hours: float = 720.0
    """How long a delete is remembered: so long, an import as of before does not bring the item back."""


class StreamConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[stream]`: the log of changes and events."""

    url: str = "sqlite:{folder}/store.db"
    """Where changes and events are; for the embedded store, its own file."""
    shards: int = 4
    """Shards of a new stream; an existing one keeps its number."""
    retention_hours: float = 168.0
    """Records older than this are dropped once every delivery has them."""
    waiting_mb: float = 16384.0
    """Undelivered records of a table at which its writes are refused, and slowed down from three quarters on; 0 for any."""
    free_mb: float = 256.0
    """Free space on the disk of the stream below which nothing is written to it."""


class TransformConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[transform]`: from record to row."""

    url: str = "process:"
    """Where the user's functions run: each in a process of its own, or `inprocess:`, in the writer's, without limits."""
    seconds: float = 30.0
    """How long one call of a function may take, in a process of its own."""
    memory_mb: int = 1024
    """Memory that a function may take, in a process of its own; measured on Linux."""


class WriterConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[writer]`: from stream to lake."""

    url: str = "inprocess:"
    """What delivers."""
    lease_seconds: float = 10.0
    """How long a writer that has gone silent keeps its tables, unless it is known to be dead."""


class FilesConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[files]`: the lake's objects."""

    url: str = "file:{folder}"
    """Where the lake's objects are."""


class CatalogConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[catalog]`: what the objects mean."""

    url: str = "sqlite:{folder}/catalog.db"
    """Where the lake's tables are described."""


class IcebergConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[iceberg]`: tables that are published as Iceberg."""

    url: str = "sqlite:{folder}/iceberg.db"
    """Where the catalog of the Iceberg tables is."""
    every_seconds: float = 60.0
    """How often `caudal up` publishes; 0 for never."""
    keep_snapshots: int = 100
    """Newest snapshots that stay."""


class QueryConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[query]`: SQL."""

    url: str = "duckdb:"
    """What runs SQL."""
    memory_mb: int = 4096
    """Memory that queries may use together."""
    threads: int = 0
    """Threads of a query; 0 for one a core."""
    seconds: float = 1800.0
    """How long a query may take, as in Athena, before it is stopped."""
    fresh: bool = True
    """Whether a query sees what has arrived but is not in the lake's files yet."""


class TrainerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[trainer]`: models."""

    url: str = "inprocess:"
    """What trains."""
    every_seconds: float = 3600.0
    """How often `caudal up` retrains; 0 for never."""
    seed: int = 0
    """Same data and same seed: same model."""


class EndpointConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[endpoint]`: answers."""

    url: str = "http://127.0.0.1:8420"
    """Where the HTTP API listens."""
    stale_seconds: float = 60.0
    """Lag from which health and status say that data is stale."""


class MaintainConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[maintain]`: merging, expiry, clean-up."""

    every_seconds: float = 60.0
    """How often `caudal up` looks after the data; 0 for never."""
    file_mb: float = 32.0
    """Files smaller than this are merged into ones that are not."""
    keep_hours: float = 168.0
    """How far back every version of a table can be read."""
    keep_versions: int = 10
    """Versions that can be read however old they are."""
    keep_model_hours: float = 720.0
    """How far back the version that a live model, or the one before it, was trained on is kept, and all since."""
    orphan_hours: float = 24.0
    """Age from which an object that no version names is removed: a killed writer left it."""


class GatewayConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[gateway]`: the AWS endpoint of `caudal up --aws`."""

    url: str = "http://127.0.0.1:4566"
    """Where AWS's APIs listen."""
    region: str = "us-east-1"
    """The region that resources are in; requests for any other are answered just the same."""
    credentials: str = ""
    """An AWS credentials file: with it, only requests that one of its profiles signed are answered."""
    limits: bool = False
    """Whether AWS's quotas and throttling are in force, as `caudal up --aws-limits` has it."""
    disorder: int = 0
    """A seed, as `caudal up --aws-disorder` has it: DynamoDB's changes come to Kinesis late and repeated; 0 for as they are."""


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A pipeline's whole configuration: a section a stage."""

    folder: str = "caudal-data"
    """Where embedded state lies, relative to the pipeline file; `{folder}` in a URL stands for it."""
    store: StoreConfig = StoreConfig()
    stream: StreamConfig = StreamConfig()
    transform: TransformConfig = TransformConfig()
    writer: WriterConfig = WriterConfig()
    files: FilesConfig = FilesConfig()
    catalog: CatalogConfig = CatalogConfig()
    iceberg: IcebergConfig = IcebergConfig()
    query: QueryConfig = QueryConfig()
    trainer: TrainerConfig = TrainerConfig()
    endpoint: EndpointConfig = EndpointConfig()
    maintain: MaintainConfig = MaintainConfig()
    gateway: GatewayConfig = GatewayConfig()

    def url(self, stage: str) -> str:
        """The URL of a stage, with `{folder}` filled in."""
        url: str = getattr(self, stage).url
        return url.replace("{folder}", self.folder)


NOT_SETTINGS = frozenset({"CAUDAL_PIPELINE", "CAUDAL_DEBUG", "CAUDAL_DEMO_ROWS", "CAUDAL_FAULT_ROUNDS", "CAUDAL_FAULT_SEED"})
"""Variables that the command line and the tests read."""

SECTIONS = tuple(field for field in Config.__struct_fields__ if field != "folder")


def load_config(folder: Path, environment: Mapping[str, str] = os.environ) -> Config:
    """Read the configuration of the pipeline in `folder`.

    Raises ConfigError, naming the file, the key and the mend.
    """
    path = folder / "caudal.toml"
    try:
        settings: dict[str, Any] = tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="mend that line; TOML wants key = value below a [section]") from None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="check its permissions") from None
    _check_names(settings, str(path))
    _apply(settings, environment)
    try:
        config = msgspec.convert(settings, Config)
    except msgspec.ValidationError as error:
        what, _, where = str(error).partition(" - at `$.")
        raise ConfigError(f"{path}: {where.rstrip('`') or 'top level'}: {what}", hint="see docs/configuration.md") from None
    _check_values(config)
    return msgspec.structs.replace(config, folder=str(folder / config.folder))


def _check_names(settings: dict[str, Any], where: str) -> None:
    for name, value in settings.items():
        if name not in Config.__struct_fields__:
            raise _unknown(where, name, Config.__struct_fields__)
        if name in SECTIONS:
            if not isinstance(value, dict):
                raise ConfigError(f"{where}: {name} is a section", hint=f"write [{name}], and below it its settings")
            for key in value:
                if key not in _fields(name):
                    raise _unknown(where, f"{name}.{key}", [f"{name}.{field}" for field in _fields(name)])


def _fields(section: str) -> tuple[str, ...]:
    fields: tuple[str, ...] = type(getattr(Config(), section)).__struct_fields__
    return fields


def _unknown(where: str, name: str, known: Any) -> ConfigError:
    near = get_close_matches(name, known, 1)
    return ConfigError(
        f"{where}: no setting {name}", hint=f"did you mean {near[0]}?" if near else f"there is {', '.join(known)}"
    )


def _apply(settings: dict[str, Any], environment: Mapping[str, str]) -> None:
    """Put `CAUDAL_SECTION_KEY` over what the file says."""
    known = {f"CAUDAL_{section}_{key}".upper(): (section, key) for section in SECTIONS for key in _fields(section)}
    for variable, text in environment.items():
        if variable == "CAUDAL_FOLDER":
            settings["folder"] = text
        elif variable in known:
            section, key = known[variable]
            settings.setdefault(section, {})[key] = _typed(variable, text, getattr(getattr(Config(), section), key))
        elif variable.startswith("CAUDAL_") and variable not in NOT_SETTINGS:
            raise _unknown("environment", variable, ["CAUDAL_FOLDER", *known])


def _typed(variable: str, text: str, default: Any) -> Any:
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ConfigError(f"{variable}={text}: neither true nor false", hint="write it as true or false")
        return text.lower() == "true"
    try:
        return type(default)(text)
    except ValueError:
        raise ConfigError(f"{variable}={text}: not a number", hint=f"write it as {default}") from None


def _check_values(config: Config) -> None:
    for name, value, low, high in (
        ("stream.shards", config.stream.shards, 1, 1024), ("writer.lease_seconds", config.writer.lease_seconds, 1, inf),
        ("transform.seconds", config.transform.seconds, 0.1, threading.TIMEOUT_MAX),
        ("transform.memory_mb", config.transform.memory_mb, 64, 1 << 30),
        ("stream.retention_hours", config.stream.retention_hours, 0, inf),
        ("stream.waiting_mb", config.stream.waiting_mb, 0, inf), ("stream.free_mb", config.stream.free_mb, 0, inf),
        ("query.memory_mb", config.query.memory_mb, 64, inf),
        ("query.seconds", config.query.seconds, 0.001, threading.TIMEOUT_MAX),
        ("query.threads", config.query.threads, 0, 1024), ("trainer.every_seconds", config.trainer.every_seconds, 0, inf),
        ("trainer.seed", config.trainer.seed, 0, 2**32 - 1),
        ("endpoint.stale_seconds", config.endpoint.stale_seconds, 0.001, inf),
        ("iceberg.every_seconds", config.iceberg.every_seconds, 0, inf),
        ("iceberg.keep_snapshots", config.iceberg.keep_snapshots, 1, inf),
        ("maintain.every_seconds", config.maintain.every_seconds, 0, inf),
        ("maintain.file_mb", config.maintain.file_mb, 0.001, 1024), ("maintain.keep_hours", config.maintain.keep_hours, 0, inf),
        ("maintain.keep_model_hours", config.maintain.keep_model_hours, 0, inf),
        ("maintain.keep_versions", config.maintain.keep_versions, 1, 1 << 31),
        ("maintain.orphan_hours", config.maintain.orphan_hours, 0, inf),
    ):
        if not low <= value < inf:
            raise ConfigError(f"{name} = {value}: too small, or no number", hint=f"use {low} or more")
        if value > high:
            raise ConfigError(f"{name} = {value}: too many", hint=f"use {high} or fewer")
    if config.store.url.startswith(("sqlite:", "memory:")) and config.stream.url != config.store.url:
        raise ConfigError(
            f"store.url is {config.store.url}, stream.url is {config.stream.url}: that store's changes are in its own file",
            hint="give both the same URL",
        )
