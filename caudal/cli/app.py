"""The verbs of `caudal`, in the order in which somebody meets them."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from caudal import __version__
from caudal.cli import (
    apply,
    delete,
    demo,
    drift,
    export,
    flush,
    get,
    import_,
    ingest,
    init,
    maintain,
    models,
    plan,
    promote,
    publish,
    put,
    quarantine,
    query,
    rebuild,
    recommend,
    resume,
    rollback,
    status,
    tables,
    train,
    up,
    verify,
)

GLOBAL_OPTIONS = ("--pipeline", "--version")

HELP = """From a shop's operational database to live recommendations, with SQL on the way.

Example: caudal init shop
"""

PANELS = {
    "Start": {"init": init.init, "demo": demo.demo, "up": up.up},
    "Items and events": {
        "import": import_.import_file, "ingest": ingest.ingest, "put": put.put, "get": get.get, "delete": delete.delete,
    },
    "Lake": {
        "flush": flush.flush, "status": status.status, "verify": verify.verify, "tables": tables.tables, "query": query.query,
        "plan": plan.plan, "apply": apply.apply, "rebuild": rebuild.rebuild, "drift": drift.drift, "export": export.export,
        "resume": resume.resume, "maintain": maintain.maintain, "publish": publish.publish,
    },
    "Models": {
        "train": train.train, "models": models.models, "promote": promote.promote, "rollback": rollback.rollback,
        "recommend": recommend.recommend,
    },
}
"""Heading to verb to what it does."""


def make_app() -> typer.Typer:
    """The command line, with help that is drawn on a terminal and plain in a pipe."""
    app = typer.Typer(
        no_args_is_help=True, add_completion=False, rich_markup_mode="rich" if sys.stdout.isatty() else None,
    )
    app.callback(help=unwrapped(HELP))(_globals)
    for panel, verbs in PANELS.items():
        for name, verb in verbs.items():
            app.command(name, help=unwrapped(verb.__doc__ or ""), rich_help_panel=panel)(cast(Callable[..., Any], verb))
    app.add_typer(quarantine.app, name="quarantine", rich_help_panel="Lake")
    return app


def unwrapped(doc: str) -> str:
    """A docstring with each paragraph on one line: whoever shows it wraps it."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in doc.split("\n\n"))


def _show_version(wanted: bool) -> None:
    if wanted:
        print(f"caudal {__version__}")
        raise typer.Exit


def _globals(
    context: typer.Context,
    pipeline: Annotated[Path, typer.Option(
        envvar="CAUDAL_PIPELINE", help="The pipeline file; caudal.toml and the data are beside it.",
    )] = Path("pipeline.py"),
    version: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    context.obj = pipeline
