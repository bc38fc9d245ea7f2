"""What most verbs begin with: the pipeline that the user means, its stages, and its tables by name."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from caudal.errors import NotFound, UsageError

if TYPE_CHECKING:
    from caudal.contract import Contract
    from caudal.lake.catalog import LakeTable
    from caudal.learn.recommender import Recommender
    from caudal.pipeline import Stages

Json = Annotated[bool, typer.Option("--json", help="Print JSON for a script, and nothing else.")]


@contextmanager
def opened(context: typer.Context, may_be_missing: bool = False) -> Iterator["Stages"]:
    """The stages of the pipeline that the command line names; each opens when it is first used."""
    from caudal.loader import load_pipeline

    pipeline, config = load_pipeline(pipeline_file(context), may_be_missing)
    with pipeline.open(config) as stages:
        yield stages


def pipeline_file(context: typer.Context) -> Path:
    """The path that --pipeline names."""
    path: Path = context.find_root().obj
    return path


def deliveries(stages: "Stages", name: str | None) -> dict[str, "LakeTable"]:
    """Tables of the lake: all of them, those that a table is delivered to, or the one of that name. Raises NotFound."""
    tables = stages.pipeline.tables
    every = {lake: found for table in tables.values() for lake, found in table.lake.items()}
    if name is None:
        return every
    if name in tables:
        return tables[name].lake
    if name in every:
        return {name: every[name]}
    raise NotFound(f"no table {name} in {stages.pipeline.name}", hint=_there_is({**tables, **every}))


def recommender_named(stages: "Stages", name: str | None) -> "Recommender":
    """The recommender of that name; without one, the first that is declared. Raises NotFound."""
    declared = stages.pipeline.recommenders
    if name is None and declared:
        return next(iter(declared.values()))
    if name not in declared:
        what = f"no recommender {name}" if name is not None else "no recommender"
        raise NotFound(f"{what} in {stages.pipeline.name}", hint=_there_is(declared))
    return declared[name]


def _there_is(names: dict[str, Any]) -> str:
    return f"there is {', '.join(names)}" if names else "declare one in the pipeline file"


def keyed(stages: "Stages", name: str) -> "Contract":
    """The contract of a table of items. Raises NotFound, UsageError if it holds events."""
    from caudal.forms import check_own

    contract = stages.table(name).contract
    if not contract.key:
        raise UsageError(f"{name} holds events, which have no key", hint=f'ask with SQL: caudal query "SELECT * FROM {name}"')
    check_own(name, contract.form)
    return contract


def key_values(contract: "Contract", texts: list[str]) -> tuple[Any, ...]:
    """The values of a key from words of the command line. Raises UsageError."""
    from caudal.ingest.items import read_key

    return read_key(contract, texts, f"write {' '.join(part.upper() for part in contract.key)}")
