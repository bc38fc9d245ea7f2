"""Tables that another system feeds, in Iceberg: the latest state whatever the order of arrival, as caudal's own SQL has it."""

import json
import random
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from iceberg_engines import plainly
from iceberg_shop import Reader, rows

from caudal import Delivery, Pipeline
from caudal.config import Config
from caudal.lake.iceberg import open_publisher

pytestmark = pytest.mark.slow

SCRIPT = Path(__file__).with_name("iceberg_engines.py")
STATES = [None, {"st": "A"}, {"st": "B"}, {"st": "A", "qty": 2**63 - 1}]


def pipeline():
    shop = Pipeline("shop")
    for form in ("dynamodb", "debezium"):
        @shop.table(key=("order_id",), form=form, name=form, deliveries=[Delivery("iceberg")])
        class Order:
            order_id: str
            qty: int | None
            st: str | None
    return shop


def dynamodb(number, time, before, after):
    def typed(image):
        return {name: {"N" if isinstance(value, int) else "S": str(value)} for name, value in image.items() if value is not None}

    images = {name: typed(image) for name, image in (("OldImage", before), ("NewImage", after)) if image}
    return {
        "eventID": f"e{number}", "eventName": "REMOVE" if after is None else "MODIFY" if before else "INSERT",
        "dynamodb": {"ApproximateCreationDateTime": time, "Keys": typed({"order_id": (before or after)["order_id"]}), **images},
    }


def debezium(number, time, before, after):
    return {"before": before, "after": after, "op": "d" if after is None else "u" if before else "c",
            "source": {"lsn": number, "ts_ms": time}}


def changes(steps):
    """Changes of two keys, some of one time, as both systems send them."""
    now, time, made = {}, 1767225661573, []
    for number, (key, state, pause) in enumerate(steps):
        after = state and {"order_id": key, "qty": None, "st": None, **state}
        if after is None and now.get(key) is None:
            continue
        time += pause
        made.append((number, time, now.get(key), after))
        now[key] = after
    return made, sorted((image for image in now.values() if image), key=repr)


def publish(stages, publisher, table, records):
    """Let records arrive, and bring the Iceberg tables up to date."""
    stages.stream.append(table, [(b"k", json.dumps(record).encode()) for record in records])
    writer = stages.writer(table)
    writer.flush()
    writer.close()
    return publisher.publish(table)


def once(found):
    """Each event once: the lake's files, which the history is, have repeats."""
    return sorted({row["_event_id"]: row for row in sorted(found, key=lambda row: -row["_position"])}.values(), key=repr)


@pytest.mark.parametrize("encode", [dynamodb, debezium])
@given(steps=st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(STATES), st.integers(0, 1)), max_size=12), seed=st.integers(0, 2**16))
@settings(max_examples=10)
def test_any_order_of_arrival_shows_the_same(tmp_path_factory, encode, steps, seed):
    table, (made, expected), chance = encode.__name__, changes(steps), random.Random(seed)
    arrived = [encode(*change) for change in made + [change for change in made if chance.random() < 0.3]]
    chance.shuffle(arrived)
    config = Config(folder=str(tmp_path_factory.mktemp("foreign")))
    with pipeline().open(config) as stages:
        publisher, reader = open_publisher(config, "shop", stages.catalog, stages.files), Reader(config)
        for part in range(3):
            publish(stages, publisher, table, arrived[part::3])
            assert reader.rows(table) == rows(stages, table)
        assert reader.rows(table) == expected
        assert once(reader.rows(f"{table}_history")) == once(rows(stages, f"{table}_history"))
        reader.catalog.close()
        publisher.close()


@pytest.mark.parametrize("encode", [dynamodb, debezium])
def test_sail_reads_the_latest_state_of_changes_that_came_in_another_order(tmp_path, encode):
    if find_spec("pysail") is None or find_spec("pyspark") is None:
        pytest.skip("sail is not installed here")
    made, expected = changes([("a", STATES[1], 0), ("b", STATES[3], 1), ("a", STATES[2], 0), ("a", None, 1), ("a", STATES[1], 0)])
    config, table = Config(folder=str(tmp_path)), encode.__name__
    with pipeline().open(config) as stages:
        publisher = open_publisher(config, "shop", stages.catalog, stages.files)
        publish(stages, publisher, table, [encode(*change) for change in made[2:]])
        history, state = publish(stages, publisher, table, [encode(*change) for change in made[::-1]])
        publisher.close()
    for location, wanted in ((state.location, plainly(expected)), (history.location, None)):
        ran = subprocess.run([sys.executable, "-W", "ignore", SCRIPT, "sail", location], capture_output=True, text=True, timeout=120)
        assert ran.returncode == 0, ran.stderr[-3000:]
        found = json.loads(ran.stdout)
        assert found == json.loads(json.dumps(wanted)) if wanted else len({row["_event_id"] for row in found}) == len(made)
