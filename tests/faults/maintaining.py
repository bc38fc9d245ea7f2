"""Looks after a shop again and again until it is killed: `maintaining.py`."""

import sys
from pathlib import Path

from caudal.lake import current
from caudal.loader import load_pipeline
from caudal.maintain import maintain


def main() -> None:
    """Merge, make bases, expire, remove orphans; a line after each time."""
    current.is_due.__defaults__ = (current.SHARE, 5)  # a base from five rows on
    pipeline, config = load_pipeline(Path(__file__).with_name("pipeline.py"))
    with pipeline.open(config) as stages:
        print("ready", flush=True)
        while True:
            done = maintain(stages)
            print(sum(table.merged for table in done.tables), sum(table.versions_expired for table in done.tables),
                  sum(table.orphans for table in done.tables), sum(table.base_keys for table in done.tables), flush=True)


if __name__ == "__main__":
    sys.exit(main())
