"""Imports one file after another until it is killed: `importing.py FOLDER FIRST`."""

import sys
from itertools import count
from pathlib import Path

from caudal.ingest.importer import import_file
from caudal.loader import load_pipeline

ITEMS = 20_000
"""Of each file."""


def write_file(folder: Path, number: int, items: int = ITEMS) -> Path:
    """The file of that number: the same each time."""
    path = folder / f"products-{number}.csv"
    lines = (f"p{n},{n % 1000}\n" for n in range(number * items, (number + 1) * items))
    path.write_text("product_id,price\n" + "".join(lines))
    return path


def main(folder: Path, first: int) -> None:
    """Import from the file of that number on; a file is done when its number is printed."""
    pipeline, config = load_pipeline(Path(__file__).with_name("pipeline.py"))
    with pipeline.open(config) as stages:
        print("ready", flush=True)
        for number in count(first):
            import_file(write_file(folder, number), pipeline.tables["product"].contract, stages.store, stages.stream)
            (folder / "imported").write_text(str(number + 1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
