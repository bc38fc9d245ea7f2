"""A shop at work on a machine with a fault: `struck.py FOLDER STAGE FAULT SEED ROUNDS`; without arguments, one after the other.

It writes, delivers, imports, replays, publishes, trains, is looked after and asked in turn; the fault comes only while the
stage of that name is at work. A deadly fault kills a fork of this process, which is then started again, ROUNDS times. What
the shop was told is done goes to a log.
"""

import json
import os
import random
import signal
import sys
import traceback
from itertools import count
from pathlib import Path

import polars as pl  # imported before the forks, like all that caudal needs
import pyarrow.json  # noqa: F401
from importing import write_file
from strikes import DEADLY, Strikes, install

from caudal.errors import CaudalError
from caudal.ingest.importer import import_file
from caudal.ingest.importer.edit import set_columns
from caudal.ingest.store import Delete, Put
from caudal.ingest.transform import open_transform
from caudal.ingest.writer.quarantine import Filter
from caudal.ingest.writer.replay import discard, replay
from caudal.lake import current
from caudal.lake.iceberg import open_publisher, publisher
from caudal.loader import load_pipeline
from caudal.maintain import maintain

ITEMS = 50
"""Of each file to import."""

EVERY = {"store": 1, "writer": 1, "importer": 1, "replay": 3, "publisher": 8, "trainer": 8, "maintainer": 5, "query": 1}
"""Each stage, at every which turn it works, if it is not the one that the fault comes to."""

GAPS = {"store": 60, "writer": 60, "importer": 60, "publisher": 60, "maintainer": 60}
"""Calls of the disk between two faults, at most, of stages that make many; of others 10."""

SETTINGS = {"FILE_MB": "0.02", "KEEP_HOURS": "0", "KEEP_VERSIONS": "2", "ORPHAN_HOURS": "0"}
"""Maintenance has something to do each time."""

PIPELINE = Path(__file__).with_name("whole_pipeline.py")
NOTE = "a note that says no number"
assert pl and publisher


class Shop:
    """One life of the shop."""

    def __init__(self, folder, stages, strikes, log, life):
        self.folder, self.stages, self.strikes, self.log, self.life = folder, stages, strikes, log, life
        self.tables, self.recommender = stages.pipeline.tables, stages.pipeline.recommenders["clicked"]
        self.writers = {name: stages.writer(name) for table in self.tables.values() for name in table.lake}
        self.publisher_ = open_publisher(stages.config, stages.pipeline.name, stages.catalog, stages.files)
        self.files = max(0, len(list(folder.glob("products-*.csv"))) - 1)  # the last may be half imported
        self.shown = 0

    def live(self, stage, rounds):
        for turn in count():
            for name, every in EVERY.items():
                if name != stage and (turn + 1) % every:
                    continue
                self.strikes.armed = name == stage
                try:
                    getattr(self, name)(turn)
                except CaudalError as error:
                    if not error.retry:  # else it is what the fault makes of it: to be tried again
                        raise SystemExit(f"{name}: {type(error).__name__}: {error}") from error
                finally:
                    self.strikes.armed = False
            if self.strikes.count >= rounds:
                return

    def tell(self, *line):
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()

    def append(self, table, id, event):
        (event_id,) = self.stages.events(table).append([event])
        self.tell(table, id, event_id, event.get("number"))

    def store(self, turn):
        for n in range(5):
            key, number = f"s{(turn * 5 + n) % 40}", turn * 5 + n
            (id,) = self.stages.store.write([Put("sale", {"sale_id": key, "qty": number})])
            self.tell("sale", key, id, number)
            id = f"{self.life}-{number}"
            self.append("view", id, {"sale_id": id, "number": number})
        note = f"n{self.life}-{turn}"
        self.append("note", note, {"note_id": note, "number": "none" if turn % 2 else turn})
        click = {"user_id": f"u{turn % 7}", "item_id": f"i{turn % 3}", "clicked_at": f"2020-01-01T00:{turn % 60:02}:00Z"}
        self.append("click", click["user_id"], click)
        self.stages.store.write([Delete("sale", (f"s{turn % 40}",))])

    def writer(self, turn):
        for writer in self.writers.values():
            writer.flush()

    def importer(self, turn):
        file = write_file(self.folder, self.files, ITEMS)
        import_file(file, self.tables["product"].contract, self.stages.store, self.stages.stream)
        self.files += 1

    def replay(self, turn):
        replay_notes(self.stages, Filter(contains=b"1"))
        lake = self.tables["note"].lake["note"]
        discard(self.stages.catalog, self.stages.files, self.stages.pipeline.name, lake, Filter(contains=b"3"), NOTE)

    def publisher(self, turn):
        self.publisher_.publish("sale_iceberg")
        self.publisher_.expire("sale_iceberg")

    def trainer(self, turn):
        if self.stages.catalog.snapshot("click").version:
            self.stages.trainer.train(self.recommender, seed=turn, evaluate=False)
        if self.stages.models.live("clicked") is not None:
            self.stages.models.load("clicked")

    def maintainer(self, turn):
        done = maintain(self.stages)
        if done.problems and not self.strikes.armed:
            raise SystemExit(f"maintainer: {done.problems}")

    def query(self, turn):
        shown = self.stages.query.execute("SELECT count(*) AS n FROM view")["n"][0].as_py()
        if shown < self.shown:
            raise SystemExit(f"query: {shown} events, where {self.shown} were shown before")
        self.shown = shown


def replay_notes(stages, wanted):
    """Replay notes with a number in the place of what is none."""
    table = stages.pipeline.tables["note"]
    lake = table.lake["note"]
    transform = open_transform(stages.config.url("transform"), table.contract, lake.contract, None)
    edit = set_columns(table.contract, {"number": "7"})
    return replay(stages.catalog, stages.files, stages.pipeline.name, lake, transform, wanted, edit=edit)


def settings(folder):
    """The environment of a shop in that folder."""
    return {"CAUDAL_FOLDER": str(folder), "CAUDAL_ICEBERG_KEEP_SNAPSHOTS": "5",
            **{f"CAUDAL_MAINTAIN_{name}": value for name, value in SETTINGS.items()}}


def live(folder, stage, fault, seed, rounds, life):
    os.environ.update(settings(folder))
    current.is_due.__defaults__ = (current.SHARE, 5)  # a base from five rows on
    strikes = Strikes(fault, random.Random(f"{seed}-{life}"), GAPS.get(stage, 10))
    install(strikes)
    pipeline, config = load_pipeline(PIPELINE)
    with pipeline.open(config) as stages, (folder / f"putter-{life}.log").open("a") as log:
        Shop(folder, stages, strikes, log, life).live(stage, rounds)


def main(folder, stage, fault, seed, rounds):
    if fault not in DEADLY:
        live(folder, stage, fault, seed, rounds, 0)
        return
    for life in range(rounds):
        child = os.fork()
        if child == 0:
            try:
                live(folder, stage, fault, seed, 10**9, life)
            except BaseException:
                traceback.print_exc()
            os._exit(1)
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            raise SystemExit(f"life {life} ended by itself")


def serve():
    """A fork that has all imported for each line of what is asked, `FOLDER STAGE FAULT SEED ROUNDS`; told is how it ended."""
    for line in sys.stdin:
        folder, *asked, rounds = json.loads(line)
        child = os.fork()
        if child == 0:
            code = 1
            try:
                os.dup2(os.open(f"{folder}/stderr", os.O_WRONLY | os.O_CREAT), 2)
                main(Path(folder), *asked, rounds)
                code = 0
            except BaseException:
                traceback.print_exc()
            os._exit(code)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:5], int(sys.argv[5])) if sys.argv[1:] else serve()
