"""`caudal init`: a small shop to start from."""

from importlib.resources import files
from pathlib import Path
from typing import Annotated

import typer

from caudal.cli.screen import say
from caudal.errors import UsageError

WHAT = {
    "pipeline.py": "tables, events and a recommender",
    "caudal.toml": "settings, all at their defaults",
    "products.csv": "sample data for product",
    "sales.jsonl": "sample data for sale",
    "views.jsonl": "sample data for view",
}


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made if it is missing.", file_okay=False)] = Path(),
) -> None:
    """Write a small shop to start from, with sample data.

    Overwrites nothing.

    Example: caudal init shop
    """
    taken = [name for name in WHAT if (folder / name).exists()]
    if taken:
        raise UsageError(f"{folder / taken[0]} is there already", hint="name another folder: caudal init shop")
    folder.mkdir(parents=True, exist_ok=True)
    starter = files("caudal.cli") / "starter"
    for name, what in WHAT.items():
        with (folder / name).open("xb") as file:
            file.write((starter / name).read_bytes())
        say(f"{folder / name}  {what}")
    say()
    say("Go on with:")
    if folder != Path():
        say(f"  cd {folder}")
    for line in ("import product products.csv", "import sale sales.jsonl", "import view views.jsonl", "flush",
                 'query "SELECT product_id, sum(quantity) AS units FROM sale GROUP BY 1 ORDER BY 2 DESC LIMIT 5"',
                 "train", "recommend ann", "verify", "up"):
        say(f"  caudal {line}")
