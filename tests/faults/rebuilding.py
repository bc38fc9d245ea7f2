"""Makes the tables of a shop anew, one after another, until it is killed: `rebuilding.py SEED`."""

import random
import sys
from itertools import count
from pathlib import Path

from caudal.errors import Unavailable
from caudal.ingest import carry
from caudal.loader import load_pipeline
from caudal.rebuild import Range, compare_rebuilt, drop_rebuilt, rebuild, rebuilds, swap_rebuilt

TABLES = ("sale", "sale_csv", "view")


def a_range(stages, chance):
    """All of history, or some of it."""
    ends = {shard: end.next for shard, end in stages.stream.ends("sale").items()}
    start = {shard: chance.randint(0, end) for shard, end in ends.items()}
    stop = {shard: chance.randint(start[shard], end) for shard, end in ends.items()}
    return chance.choice([None, Range(start), Range(start, stop)])


def main(seed: str) -> None:
    """Rebuild and swap, sometimes drop; a word after each."""
    chance = random.Random(seed)
    carry.CARRIED = 500  # several commits
    pipeline, config = load_pipeline(Path(__file__).with_name("pipeline.py"))
    with pipeline.open(config) as stages:
        print("ready", flush=True)
        for number in count(chance.randrange(3)):
            name = TABLES[number % 3]
            under_way = name in {one.table for one in rebuilds(stages)}
            try:
                rebuild(stages, name, None if under_way else a_range(stages, chance))
                assert compare_rebuilt(stages, name).same
                if chance.random() < 0.2:
                    drop_rebuilt(stages, name)
                else:
                    swap_rebuilt(stages, name)
            except Unavailable:  # of the one that was killed before, whose end is not yet known
                continue
            print("resumed" if under_way else "made", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
