"""The parts that `caudal up` runs, each a process of its own: `python -m caudal.parts writer pipeline.py`."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from caudal.errors import BackendError, CaudalError, Paused, Unavailable, tellable
from caudal.lake.iceberg import open_publisher
from caudal.learn.recommender import Recommender, table_of
from caudal.loader import load_pipeline
from caudal.maintain import maintain
from caudal.pipeline import Stages
from caudal.supervisor import write_error

BACKOFF_SECONDS = (0.1, 10.0)
"""Least and longest wait after an error; doubled each time it comes again."""

LOOK_SECONDS = 1.0
"""How often it is looked whether every delivery's thread lives."""

ORPHAN_SECONDS = 3600.0
"""How often `caudal up` lists all objects to find those that no version names."""

PAUSED_SECONDS = 0.5
"""How often a writer whose table is paused looks whether it goes on."""

YOUNG_SECONDS = 10.0
"""How often the trainer looks whether a table has outgrown its model."""

EXPIRE_SECONDS = 600.0
"""How often snapshots of Iceberg tables are dropped."""

TABLES_SECONDS = 1.0
"""How often it is looked whether the tables are still those of the pipeline file."""


def run_writer(stages: Stages, stop: threading.Event) -> None:
    """Deliver every table, a thread a delivery, until stopped."""
    names = [name for table in stages.pipeline.tables.values() for name in table.lake]
    threads = [threading.Thread(target=_deliver, args=(stages, name, stop), name=name, daemon=True) for name in names]
    for stage in ("stream", "files", "catalog"):
        getattr(stages, stage)  # opened here, once, for all threads
    for thread in threads:
        thread.start()
    while not stop.wait(LOOK_SECONDS):
        if not all(thread.is_alive() for thread in threads):
            raise SystemExit("a delivery's thread died")
    for thread in threads:
        thread.join()


def _deliver(stages: Stages, name: str, stop: threading.Event) -> None:
    writer = stages.writer(name)
    try:
        _repeat(stages, f"writer {name}", lambda: writer.step(timeout=0.5), stop)
    finally:
        with contextlib.suppress(CaudalError):
            writer.close()


def run_maintainer(stages: Stages, stop: threading.Event) -> None:
    """Look after the data at the configured interval, for orphans once an hour, until stopped."""
    every, orphans_at = stages.config.maintain.every_seconds, 0.0
    if not every:
        stop.wait()
        return
    while not stop.wait(every):
        with_orphans = time.monotonic() >= orphans_at
        if with_orphans:
            orphans_at = time.monotonic() + ORPHAN_SECONDS
        done = maintain(stages, by_hand=False, orphans=with_orphans)
        write_error(stages.config, "maintainer", BackendError(done.problems[0]) if done.problems else None)


def run_trainer(stages: Stages, stop: threading.Event) -> None:
    """Train every recommender at the configured interval, and a young one as its data grows, until stopped."""
    every, seed = stages.config.trainer.every_seconds, stages.config.trainer.seed
    if not every:
        stop.wait()
        return
    trained = {name: _Trained(time.monotonic(), _learned(stages, name)) for name in stages.pipeline.recommenders}
    while True:
        for name, recommender in stages.pipeline.recommenders.items():
            rows, now = _rows(stages, recommender), time.monotonic()
            if trained[name].is_due(rows, now, every):
                trained[name] = _Trained(now, rows)
                _once(stages, f"trainer {name}", lambda r=recommender: stages.trainer.train(r, seed=seed))  # type: ignore[misc]
        if stop.wait(YOUNG_SECONDS):
            return


class _Trained(NamedTuple):
    """When a recommender was last trained, and on how many rows."""

    at: float
    rows: int

    def is_due(self, rows: int, now: float, every: float) -> bool:
        """A model of a few rows is soon outgrown: it is made again each time that its table has doubled."""
        return rows > 0 and (now - self.at >= every or rows >= 2 * self.rows)


def _learned(stages: Stages, recommender: str) -> int:
    """Rows that the live version was trained on; 0 if there is none."""
    live = stages.models.live(recommender)
    return stages.models.card(recommender, live).interactions if live is not None else 0


def _rows(stages: Stages, recommender: Recommender) -> int:
    return sum(file.rows for file in stages.catalog.snapshot(table_of(recommender.interactions)).files)


def run_publisher(stages: Stages, stop: threading.Event) -> None:
    """Publish Iceberg tables, now and at the configured interval, until stopped; drop old snapshots now and then."""
    every = stages.config.iceberg.every_seconds
    if not every:
        stop.wait()
        return
    publisher = open_publisher(stages.config, stages.pipeline.name, stages.catalog, stages.files)
    expire_at = 0.0
    try:
        while not stop.is_set():
            for name in publisher.tables():
                _once(stages, f"publisher {name}", lambda name=name: publisher.publish(name))  # type: ignore[misc]
            if time.monotonic() >= expire_at:
                for name in publisher.tables():
                    _once(stages, f"publisher {name}", lambda name=name: publisher.expire(name))  # type: ignore[misc]
                expire_at = time.monotonic() + EXPIRE_SECONDS
            stop.wait(every)
    finally:
        publisher.close()


def run_endpoint(stages: Stages, stop: threading.Event) -> None:
    """Serve the HTTP API until stopped."""
    endpoint = stages.endpoint()
    endpoint.start()
    try:
        while not stop.wait(1.0):
            if not endpoint.health().live:
                raise SystemExit("the live state no longer follows the stream")
    finally:
        endpoint.close()


PARTS: dict[str, Callable[[Stages, threading.Event], None]] = {
    "writer": run_writer, "endpoint": run_endpoint, "trainer": run_trainer, "maintainer": run_maintainer,
    "publisher": run_publisher,
}


def _once(stages: Stages, part: str, work: Callable[[], object]) -> bool:
    try:
        work()
    except CaudalError as error:
        write_error(stages.config, part, error)
        return False
    write_error(stages.config, part, None)
    return True


def _repeat(stages: Stages, part: str, work: Callable[[], object], stop: threading.Event) -> None:
    wait = BACKOFF_SECONDS[0]
    failed = True  # so that an error of an earlier run is cleared
    while not stop.is_set():
        try:
            work()
            if failed:
                write_error(stages.config, part, None)
                failed, wait = False, BACKOFF_SECONDS[0]
        except Paused:  # `caudal status` knows it from the catalog
            write_error(stages.config, part, None)
            failed = False
            stop.wait(PAUSED_SECONDS)
        except Exception as error:
            if not isinstance(error, Unavailable) or wait > 1:
                write_error(stages.config, part, tellable(error))
            failed = True
            stop.wait(wait)
            wait = min(wait * 2, BACKOFF_SECONDS[1])


def main(part: str, path: str, run: Callable[[Stages, threading.Event], None] | None = None) -> None:
    """Run one part until SIGTERM, SIGINT, or the end of standard input: the supervisor is gone."""
    stop = threading.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: stop.set())
    threading.Thread(target=_watch, args=(stop,), daemon=True).start()
    pipeline, config = load_pipeline(Path(path), may_be_missing=run is not None)
    write_error(config, part, None)  # of an earlier run
    changed = threading.Event()
    with pipeline.open(config) as stages:
        watcher = threading.Thread(target=_watch_tables, args=(stages, stop, changed), daemon=True)
        try:
            _ = stages.catalog  # opened here, once, for both threads
            watcher.start()
            (run or PARTS[part])(stages, stop)
        except CaudalError as error:
            write_error(config, part, error)
            raise SystemExit(f"caudal {part}: {error}" + (f"\n  {error.hint}" if error.hint else "")) from None
        finally:
            stop.set()
            if watcher.is_alive():
                watcher.join()
    if changed.is_set():
        raise SystemExit(f"caudal {part}: the lake's tables have changed: starting again with today's pipeline file")


def _watch_tables(stages: Stages, stop: threading.Event, changed: threading.Event) -> None:
    """Stop when somebody changes the tables: what this process read of the pipeline file is no longer true."""
    declared = {name: lake for table in stages.pipeline.tables.values() for name, lake in table.lake.items()}
    rebuilt = {name: table.rebuilt for name, table in stages.catalog.tables().items()}
    while not stop.wait(TABLES_SECONDS):
        with contextlib.suppress(CaudalError):
            now = stages.catalog.tables()
            if any(
                name in now and not (now[name].same_columns(lake) and now[name].rebuilt == rebuilt.get(name, 0))
                for name, lake in declared.items()
            ):
                changed.set()
                stop.set()


def _watch(stop: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 1024):
            pass
    stop.set()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
