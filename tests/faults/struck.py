"""A shop at work on a machine with a fault: `struck.py FOLDER STAGE FAULT SEED ROUNDS`.

It writes, delivers, imports and asks in turn; the fault comes only while the stage of that name is at work. A deadly fault
kills a fork of this process, which is then started again, ROUNDS times. What the shop was told is done goes to a log.
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

from caudal.errors import CaudalError, Unavailable
from caudal.ingest.importer import import_file
from caudal.ingest.store import Delete, Put
from caudal.loader import load_pipeline

ITEMS = 50
"""Of each file to import."""

STAGES = ("store", "writer", "importer", "query")
assert pl


class Shop:
    """One life of the shop."""

    def __init__(self, folder, stages, strikes, log, life):
        self.folder, self.stages, self.strikes, self.log, self.life = folder, stages, strikes, log, life
        self.writers = {name: stages.writer(name) for table in stages.pipeline.tables.values() for name in table.lake}
        self.events = stages.events("view")
        self.files = max(0, len(list(folder.glob("products-*.csv"))) - 1)  # the last may be half imported
        self.shown = 0

    def live(self, stage, rounds):
        for turn in count():
            for name in STAGES:
                self.strikes.armed = name == stage
                try:
                    getattr(self, name)(turn)
                except Unavailable:
                    pass  # what the fault makes of it: to be tried again
                except CaudalError as error:
                    raise SystemExit(f"{name}: {type(error).__name__}: {error}") from error
                finally:
                    self.strikes.armed = False
            if self.strikes.count >= rounds:
                return

    def tell(self, *line):
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()

    def store(self, turn):
        for n in range(5):
            key, number = f"s{(turn * 5 + n) % 40}", turn * 5 + n
            (id,) = self.stages.store.write([Put("sale", {"sale_id": key, "qty": number})])
            self.tell("sale", key, id, number)
            view = f"{self.life}-{number}"
            (event,) = self.events.append([{"sale_id": view, "number": number}])
            self.tell("view", view, event, number)
        self.stages.store.write([Delete("sale", (f"s{turn % 40}",))])

    def writer(self, turn):
        for writer in self.writers.values():
            writer.flush()

    def importer(self, turn):
        file = write_file(self.folder, self.files, ITEMS)
        import_file(file, self.stages.pipeline.tables["product"].contract, self.stages.store, self.stages.stream)
        self.files += 1

    def query(self, turn):
        shown = self.stages.query.execute("SELECT count(*) AS n FROM view")["n"][0].as_py()
        if shown < self.shown:
            raise SystemExit(f"query: {shown} events, where {self.shown} were shown before")
        self.shown = shown


def live(folder, stage, fault, seed, rounds, life):
    os.environ["CAUDAL_FOLDER"] = str(folder)
    strikes = Strikes(fault, random.Random(f"{seed}-{life}"))
    install(strikes)
    pipeline, config = load_pipeline(Path(__file__).with_name("pipeline.py"))
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]))
