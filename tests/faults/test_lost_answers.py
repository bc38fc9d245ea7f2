"""A step that took effect, but whose answer was lost: done again, it is done once."""

import os
import random
from pathlib import Path

import pytest
from account import flush, rows
from struck import PIPELINE, replay_notes, settings

from caudal.errors import CaudalError
from caudal.ingest.writer.quarantine import EVERY
from caudal.ingest.writer.replay import discard
from caudal.lake import current
from caudal.lake.iceberg import open_publisher
from caudal.loader import load_pipeline
from caudal.maintain import maintain
from caudal.proof import prove
from caudal.testing.faults import Faulty

ROUNDS = int(os.environ.get("CAUDAL_FAULT_ROUNDS", "2"))
SEED = os.environ.get("CAUDAL_FAULT_SEED", str(random.randrange(10**6)))


def deliver(stages):
    flush(stages)


def give_up(stages):
    table = stages.pipeline.tables["note"].lake["note"]
    discard(stages.catalog, stages.files, stages.pipeline.name, table, EVERY, "of no use")


def look_after(stages):
    problems = maintain(stages).problems
    if problems:
        raise CaudalError(problems[0])


def publish(stages):
    publisher = open_publisher(stages.config, stages.pipeline.name, stages.catalog, stages.files)
    publisher.publish("sale_iceberg")
    publisher.close()


def train(stages):
    stages.trainer.train(stages.pipeline.recommenders["clicked"], seed=0, evaluate=False)


STEPS = [
    (deliver, "catalog", "lease"), (deliver, "catalog", "commit"), (deliver, "catalog", "release"), (deliver, "files", "put"),
    (lambda stages: replay_notes(stages, EVERY), "catalog", "replay"), (lambda stages: replay_notes(stages, EVERY), "files", "put"),
    (give_up, "catalog", "replay"), (give_up, "files", "put"),
    (look_after, "catalog", "rewrite"), (look_after, "catalog", "keep_base"), (look_after, "catalog", "expire"),
    (look_after, "files", "put"), (look_after, "files", "delete"),
    (publish, "catalog", "changed_files"), (train, "files", "put"),
]


def sell(stages, number):
    stages.store.put("sale", {"sale_id": f"s{number % 7}", "qty": number})
    stages.events("note").append([{"note_id": f"n{number}", "number": "none"}])
    stages.events("click").append([{"user_id": "u", "item_id": f"i{number}", "clicked_at": "2020-01-01T00:00:00Z"}])


@pytest.mark.slow
@pytest.mark.parametrize("step,stage,call", STEPS)
def test_a_step_whose_answer_was_lost_is_done_once(step, stage, call, tmp_path, monkeypatch):
    for name, value in settings(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(current.is_due, "__defaults__", (current.SHARE, 5))
    chance, number = random.Random(SEED), 0
    pipeline, config = load_pipeline(PIPELINE)
    with pipeline.open(config) as stages:
        faulty = {name: Faulty(getattr(stages, name)) for name in ("catalog", "files")}
        stages.__dict__.update(faulty)
        struck = 0
        for _ in range(ROUNDS):
            for _ in range(chance.randrange(2, 5)):
                for _ in range(chance.randrange(6, 12)):
                    sell(stages, number)
                    number += 1
                if step is not deliver:
                    flush(stages)
            if step is not publish:
                publish(stages)
            faulty[stage].on(call, "after")
            for _ in range(3):
                try:
                    step(stages)
                except CaudalError:
                    struck += 1
            step(stages)
        assert struck or step is deliver  # whose `flush` tries again by itself
        flush(stages)
        assert prove(stages.catalog, stages.files, stages.stream, pipeline.name).problems == []
        assert len(rows(stages, "sale")) == number == len({row["_event_id"] for row in rows(stages, "sale")})
        shown, given_up = rows(stages, "note"), len([o for o in stages.catalog.replayed("note").values() if o == "discarded"])
        assert len(shown) == len({row["note_id"] for row in shown})
        waiting = stages.catalog.totals("note").quarantined - len(stages.catalog.replayed("note"))
        assert len(shown) + given_up + waiting == number
        for version in stages.models.versions("clicked"):
            stages.models.load("clicked", version.card.version)
        assert Path(config.folder) == tmp_path
