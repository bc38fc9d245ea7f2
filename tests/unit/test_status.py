"""`status` measures from the data itself: what is waiting, for how long, and what is stale."""

import errno
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from caudal import parts
from caudal.config import Config, EndpointConfig
from caudal.contract import Delivery
from caudal.ingest.events import EventLog
from caudal.pipeline import Pipeline
from caudal.status import read_status
from caudal.supervisor import write_error


@pytest.fixture
def stages(tmp_path):
    pipeline = Pipeline("shop")

    @pipeline.table(key=["sale_id"], deliveries=[Delivery(buffer_seconds=0), Delivery("csv", buffer_seconds=0)])
    class Sale:
        sale_id: str
        qty: int

    @pipeline.events(deliveries=[Delivery(buffer_seconds=0)])
    class View:
        sale_id: str

    with pipeline.open(Config(folder=str(tmp_path), endpoint=EndpointConfig(stale_seconds=60))) as opened:
        yield opened


def flush(stages, name):
    writer = stages.writer(name)
    writer.flush()
    writer.close()


def table(status, name="sale"):
    return next(found for found in status.tables if found.table == name)


def test_nothing_has_arrived_and_nothing_is_stale(stages):
    status = read_status(stages)
    assert [t.table for t in status.tables] == ["sale", "sale_csv", "view"]
    assert {(t.arrived, t.delivered, t.waiting, t.quarantined, t.lag_seconds) for t in status.tables} == {(0, 0, 0, 0, 0.0)}
    assert table(status).newest_in_stream is table(status).newest_in_lake is None
    assert (status.stale, status.errors, status.models) == ([], {}, {})


def test_what_was_delivered_is_measured_by_table(stages):
    before = time.time_ns() // 1000
    stages.store.put("sale", {"sale_id": "1", "qty": 1})
    stages.store.put("sale", {"sale_id": "2", "qty": "many"})
    flush(stages, "sale")
    status = read_status(stages)
    sale, csv = table(status), table(status, "sale_csv")
    assert (sale.source, sale.arrived, sale.delivered, sale.waiting, sale.quarantined) == ("sale", 2, 2, 0, 1)
    assert (csv.source, csv.arrived, csv.delivered, csv.waiting, csv.quarantined) == ("sale", 2, 0, 2, 0)
    assert before <= sale.newest_in_lake <= sale.newest_in_stream <= time.time_ns() // 1000
    assert sale.records_per_second == pytest.approx(2 / 60)
    assert sale.lag_seconds == 0.0
    assert 0 < csv.lag_seconds < 30
    assert csv.newest_in_stream == sale.newest_in_stream


def test_o01_a_lake_that_is_three_hours_behind_is_stale_though_every_process_lives(stages):
    stages.store.put("sale", {"sale_id": "1", "qty": 1})
    flush(stages, "sale")
    flush(stages, "sale_csv")
    stages.store.put("sale", {"sale_id": "2", "qty": 2})
    EventLog(stages.stream, stages.pipeline.tables["view"].contract).append([{"sale_id": "1"}])
    flush(stages, "view")
    writer = stages.writer("sale")  # alive, and not delivering
    status = read_status(stages, now=time.time() + 3 * 3600)
    assert status.stale == ["sale", "sale_csv"]
    assert table(status).lag_seconds / 60 == pytest.approx(180, abs=1)
    assert table(status, "view").lag_seconds == 0.0
    writer.flush()
    writer.close()
    assert read_status(stages, now=time.time() + 3 * 3600).stale == ["sale_csv"]


def test_a_quiet_shop_is_not_stale(stages):
    stages.store.put("sale", {"sale_id": "1", "qty": 1})
    flush(stages, "sale")
    flush(stages, "sale_csv")
    assert read_status(stages, now=time.time() + 86400).stale == []


def test_lag_is_that_of_the_oldest_record_that_waits(stages):
    stages.store.put("sale", {"sale_id": "1", "qty": 1})
    time.sleep(0.3)
    for n in range(20):
        stages.store.put("sale", {"sale_id": f"s{n}", "qty": n})
    assert 0.3 <= table(read_status(stages)).lag_seconds < 30


def test_a_stream_trimmed_below_what_is_waiting_is_measured_from_what_is_left(stages):
    for n in range(8):
        stages.store.put("sale", {"sale_id": f"s{n}", "qty": n})
    stages.stream.trim("sale", stages.stream.now("sale"))
    status = read_status(stages)
    assert table(status).arrived == 8
    assert 0 < table(status).lag_seconds < 30


def test_the_last_error_of_each_part_is_shown_until_it_is_cleared(stages):
    write_error(stages.config, "writer sale", ValueError("disk full"))
    assert read_status(stages).errors == {"writer sale": "disk full"}
    write_error(stages.config, "writer sale", None)
    assert read_status(stages).errors == {}


@pytest.fixture
def one_sale(stages, monkeypatch):
    """A sale that waits, and a writer that tells of its first error."""
    monkeypatch.setattr(parts, "BACKOFF_SECONDS", (1.1, 10.0))
    stages.store.put("sale", {"sale_id": "1", "qty": 1})
    return stages


def with_writer(stages, told):
    """The reason that is shown while the writer runs, once it is told."""
    stop = threading.Event()
    writer = threading.Thread(target=parts.run_writer, args=(stages, stop))
    writer.start()
    try:
        until = time.monotonic() + 20
        while told not in (reason := table(read_status(stages)).reason):
            assert time.monotonic() < until, reason
            time.sleep(0.02)
    finally:
        stop.set()
        writer.join()
    return reason


def set_stream(stages, **settings):
    config = msgspec.structs.replace(stages.config.stream, **settings)
    stages.config = msgspec.structs.replace(stages.config, stream=config)


def test_the_newest_in_store_stream_and_lake_are_told(stages):
    before = time.time_ns() // 1000
    stages.store.put("sale", {"sale_id": "1", "qty": 1})
    stages.stream.append("view", [(b"a", b"of another form")])
    sale, view = table(read_status(stages)), table(read_status(stages), "view")
    assert before <= sale.newest_in_store <= sale.newest_in_stream
    assert (sale.newest_in_lake, view.newest_in_store) == (None, None)
    assert (sale.waiting, sale.waiting_bytes > 50, 0 < sale.full < 0.001) == (1, True, True)
    flush(stages, "sale")
    sale = table(read_status(stages))
    assert sale.newest_in_lake == sale.newest_in_store
    assert (sale.waiting_bytes, sale.reason) == (0, "")


def test_no_writer_runs(one_sale):
    assert "caudal up" in table(read_status(one_sale)).reason
    writer = one_sale.writer("sale")
    writer.step(timeout=0)  # holds the lease now
    one_sale.store.put("sale", {"sale_id": "2", "qty": 2})
    assert table(read_status(one_sale)).reason == ""


def test_more_arrives_than_is_delivered(one_sale):
    writer = one_sale.writer("sale")
    writer.step(timeout=0)
    one_sale.store.put("sale", {"sale_id": "2", "qty": 2})
    assert table(read_status(one_sale, now=time.time() + 100)).reason.startswith("more arrives than is delivered: ")


def test_another_writer_holds_the_table(one_sale):
    one_sale.catalog.lease("sale", "elsewhere/1/2/3", 600)
    assert "elsewhere/1/2/3 is writing it" in with_writer(one_sale, "its writer fails")


def test_the_columns_have_changed_under_the_writer(one_sale):
    lake = one_sale.pipeline.tables["sale"].lake["sale"]
    more = replace(lake.contract, columns=(*lake.contract.columns, replace(lake.contract.column("qty"), name="more", nullable=True)))
    one_sale.catalog.evolve(replace(lake, contract=more))
    assert "its columns have changed" in with_writer(one_sale, "its writer fails")


def test_the_lakes_disk_is_full(one_sale, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "link", full)
    assert "No space left on device" in with_writer(one_sale, "its writer fails")


def test_the_stores_disk_is_nearly_full(one_sale):
    set_stream(one_sale, free_mb=1e12)
    assert table(read_status(one_sale)).reason.startswith("its disk is nearly full")


def test_the_error_budget_has_paused_it(one_sale):
    one_sale.catalog.pause("sale", "11 of 20 records do not fit")
    reason = table(read_status(one_sale)).reason
    assert reason == "its error budget has paused it: 11 of 20 records do not fit; `caudal resume sale` goes on"


def test_writes_are_slowed_down_and_refused(one_sale):
    waiting = table(read_status(one_sale)).waiting_bytes
    for share, told in ((0.8, "80% of stream.waiting_mb: writes are slowed down"), (1.0, "100% of stream.waiting_mb: writes are refused")):
        set_stream(one_sale, waiting_mb=waiting / share / (1 << 20))
        assert told in table(read_status(one_sale)).reason


def test_the_transform_fails(tmp_path):
    pipeline = Pipeline("shop")

    @pipeline.table(key=["sale_id"], deliveries=[Delivery(buffer_seconds=0, transform=lambda item: 1 // 0)])
    class Sale:
        sale_id: str

    with pipeline.open(Config(folder=str(tmp_path))) as stages:
        stages.store.put("sale", {"sale_id": "1"})
        flush(stages, "sale")
        reason = table(read_status(stages)).reason
        assert reason.startswith("1 of the last 1 records went to quarantine") and "caudal quarantine list sale" in reason


def test_an_error_that_no_disk_takes_stops_no_part(stages, monkeypatch):
    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", full)
    write_error(stages.config, "writer sale", ValueError("lost"))
    assert read_status(stages).errors == {}


def test_rows_with_unknown_members_are_counted_for_the_deliveries_that_keep_them(tmp_path):
    pipeline = Pipeline("shop")

    @pipeline.table(key=["sale_id"], deliveries=[
        Delivery("csv", buffer_seconds=0), Delivery(buffer_seconds=0, name="sale_made", transform=lambda item: item)])
    class Sale:
        sale_id: str

    @pipeline.table(key=["id"], deliveries=[Delivery(buffer_seconds=0, name="made", transform=lambda item: item)])
    class Other:
        id: str

    with pipeline.open(Config(folder=str(tmp_path))) as stages:
        stages.store.put("sale", {"sale_id": "1"})
        stages.store.put("sale", {"sale_id": "2", "colour": "red"})
        stages.store.put("sale", {"sale_id": "2", "colour": "blue", "size": 7})
        found = read_status(stages)
        assert {one.table: one.unknown for one in found.tables} == {"sale": 0, "sale_made": 0, "made": None}
        for name in ("sale", "sale_made"):
            flush(stages, name)
        found = read_status(stages)
        assert {one.table: one.unknown for one in found.tables} == {"sale": 2, "sale_made": 2, "made": None}
        (file,) = (file for file in stages.catalog.snapshot("sale").files)
        stages.files.delete(file.path)
        assert table(read_status(stages)).unknown is None  # and status goes on
