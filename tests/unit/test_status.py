"""`status` measures from the data itself: what is waiting, for how long, and what is stale."""

import time

import pytest

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
