"""`caudal demo`: the whole loop on a grocer's year of purchases."""

import os
from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Option(help="Where it is left, to go on with.")] = Path("demo"),
    rows: Annotated[int, typer.Option(help="Lines of receipts; 0 for all 1,469,307.", envvar="CAUDAL_DEMO_ROWS", min=0)] = 0,
) -> None:
    """Take a grocer's year of purchases from the store to recommendations, killing the writer on the way.

    Example: caudal demo --rows 200000
    """
    from rich.console import Console

    from caudal.demo.story import run

    width = None if os.isatty(1) else 120
    if not run(folder, rows, Console(width=width)):
        raise typer.Exit(1)


