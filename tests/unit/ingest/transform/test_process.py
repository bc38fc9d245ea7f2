"""A function in a process of its own makes what it makes in the writer's; one that hangs, leaks or dies costs its own records."""

import os
import subprocess
import sys
import textwrap
import threading
import time
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caudal.config import Config, TransformConfig
from caudal.contract import UserFunction, per_batch
from caudal.errors import ContractError, Unavailable
from caudal.ingest.transform import open_transform, process
from caudal.loader import load_pipeline
from caudal.records import Records
from tests.unit.ingest.transform.faulty import SALE, fault, of_kind

pytestmark = pytest.mark.slow


KINDS = ("record", "batch", "lambda")


def record(n, note="fine"):
    return (b'{"op":"put","id":"e%d","time":1767225661573241,"row":{"id":"o%d","n":%d,"price":1.50,"note":"%b","tags":["a"]}}'
            % (n, n, n, note.encode()))


@contextmanager
def opened(function, folder=None, seconds=20.0, memory_mb=1024):
    with TemporaryDirectory() as other:
        config = Config(folder=str(folder or other), transform=TransformConfig("process:", seconds, memory_mb))
        with closing(open_transform("process:", SALE, SALE, function, config)) as transform:
            yield transform


def apply(function, lines, **limits):
    with opened(function, **limits) as transform:
        return checked(transform, lines)


def checked(transform, lines):
    done = transform.apply(Records.of(1, 100, lines, time=7))
    assert done.delivered + done.dropped + len(done.rejected) == len(lines)
    assert done.delivered == len(pc.unique(done.rows["_position"]))
    done.rows.validate(full=True)
    return done


def reasons(done):
    return {r.position - 100: r.reason for r in done.rejected}


WHY = {"hangs": "transform_timeout", "hogs": "transform_memory", "exits": "transform_crashed", "crashes": "transform_crashed",
       "raises": "transform_raised", "has no memory": "transform_memory"}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "note"), [
    *(("record", note) for note in WHY), ("batch", "hangs"), ("batch", "exits"), ("lambda", "hogs"), ("lambda", "crashes"),
])
def test_a_record_at_fault_is_quarantined_and_its_neighbours_are_delivered_once_in_order(kind, note):
    lines = [record(n, note if n == 5 else "fine") for n in range(8)]
    done = apply(of_kind(kind, fault), lines, seconds=0.4 if note == "hangs" else 60, memory_mb=512)
    assert reasons(done) == {5: WHY[note]}
    assert done.rows["_position"].to_pylist() == [100, 101, 102, 103, 104, 106, 107]
    assert done.rejected[0].raw == lines[5]
    assert note not in done.rejected[0].detail


@pytest.mark.slow
@given(bad=st.dictionaries(st.integers(0, 999), st.sampled_from(["exits", "crashes", "raises"]), max_size=4), first=st.integers(1, 9))
@settings(max_examples=2)
@pytest.mark.parametrize("kind", KINDS)
def test_whoever_is_at_fault_nobody_else_is_missing_or_there_twice(kind, bad, first):
    lines = [record(n, bad.get(n, "fine")) for n in range(first * 100)]
    bad = {n: WHY[note] for n, note in bad.items() if n < len(lines)}
    done = apply(of_kind(kind, fault), lines)
    assert reasons(done) == bad
    assert done.rows["n"].to_pylist() == [n for n in range(len(lines)) if n not in bad]


@pytest.fixture(scope="module")
def both():
    """For each kind the two back ends, with a function that does this and that, as the item's note has it."""
    def act(item):
        note, n = item["note"], item["n"]
        if note == "raises":
            return [][n]
        if note == "exits":
            raise SystemExit(n)
        return {"drops": None, "twice": [item, {**item, "note": None}], "float": {**item, "price": 0.1}, "wide": {**item, "n": 2**70},
                "text": "text", "utc": {**item, "at": datetime(2026, 1, 1, tzinfo=UTC)}, "nested": {**item, "tags": [n, {"a": 1.5}]},
                "zero": {**item, "price": Decimal("-0")}, "no key": {**item, "id": None}}.get(note, item)

    def column(rows):
        notes = rows["note"].to_pylist()
        assert "raises" not in notes
        rows = rows.filter(pc.fill_null(pc.not_equal(rows["note"], "drops"), True))
        if "float" in notes:
            rows = rows.set_column(rows.schema.get_field_index("price"), "price", pa.array([0.125] * len(rows)))
        return pa.concat_tables([rows, rows]) if "twice" in notes else rows

    functions = {"record": UserFunction(act), "batch": per_batch(column), "lambda": of_kind("lambda", act)}
    transforms = {kind: [open_transform(url, SALE, SALE, functions[kind]) for url in ("inprocess:", "process:")] for kind in KINDS}
    yield transforms
    for _, worker in transforms.values():
        worker.close()


NOTES = st.sampled_from(["fine", "drops", "twice", "float", "wide", "text", "utc", "nested", "zero", "no key", "raises", "exits", "ñ"])


@given(notes=st.lists(NOTES, max_size=30), broken=st.booleans())
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_becomes_of_records_in_a_process_as_in_the_writers(both, kind, notes, broken):
    lines = [record(n, note) for n, note in enumerate(notes)] + [b"oops"] * broken
    here, there = (checked(transform, lines) for transform in both[kind])
    assert there.rows.equals(here.rows)
    assert there == here.__class__(there.rows, here.delivered, here.dropped, here.rejected, here.warnings)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_function_that_leaks_a_little_with_each_record_loses_none(kind):
    kept = []

    def leaks(item):
        kept.append(b"x" * (3 << 20))
        return item

    with opened(of_kind(kind, leaks), memory_mb=400) as transform:
        for batch in range(2):
            done = checked(transform, [record(n) for n in range(150)])
            assert (done.delivered, done.rows["n"].to_pylist()) == (150, list(range(150))), batch


@pytest.mark.slow
def test_a_function_that_hangs_on_everything_is_waited_for_so_long_and_no_longer(monkeypatch):
    monkeypatch.setattr(process, "PATIENCE", 5)
    began = time.monotonic()
    done = apply(UserFunction(lambda item: time.sleep(100)), [record(n) for n in range(500)], seconds=0.3)
    assert set(reasons(done).values()) == {"transform_timeout"} and len(done.rejected) == 500
    assert time.monotonic() - began < 40
    assert "not tried alone" in done.rejected[-1].detail and "not tried" not in done.rejected[0].detail


@pytest.mark.slow
def test_the_time_that_a_slow_function_worked_is_not_held_against_it(monkeypatch):
    monkeypatch.setattr(process, "PATIENCE", 5)

    def slow(item):
        time.sleep(0.3)
        return fault(item)

    done = apply(UserFunction(slow), [record(n, "exits" if n == 13 else "fine") for n in range(18)], seconds=3)
    assert reasons(done) == {13: "transform_crashed"}


@pytest.mark.slow
def test_a_worker_killed_from_outside_costs_no_record(tmp_path):
    """As the kernel does when the machine runs out of memory, for whatever reason."""
    def slow(rows):
        (tmp_path / "pid").write_text(str(os.getpid()))
        time.sleep(0.3)
        return rows

    def kill():
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            time.sleep(0.01)
        os.kill(int((tmp_path / "pid").read_text()), 9)

    killer = threading.Thread(target=kill)
    killer.start()
    done = apply(per_batch(slow), [record(n) for n in range(40)])
    killer.join()
    assert done.delivered == 40


def test_what_a_function_prints_is_in_a_file_of_its_own(tmp_path, capfd):
    def prints(item):
        print("seen", item["n"])
        return item

    apply(UserFunction(prints), [record(7)], folder=tmp_path)
    (file,) = (tmp_path / "printed").iterdir()
    assert (file.name, file.read_text(), file.stat().st_mode & 0o777) == ("sale.log", "seen 7\n", 0o600)
    assert capfd.readouterr() == ("", "")


def test_a_function_that_prints_where_there_is_no_room_for_it_goes_on(tmp_path):
    def prints(item):
        print("seen", item["n"])
        return item

    (tmp_path / "printed").write_text("no folder")
    assert apply(UserFunction(prints), [record(7)], folder=tmp_path).delivered == 1


def test_what_a_function_prints_for_ever_fills_no_disk(tmp_path):
    def prints(item):
        print("x" * (1 << 20))
        print(item["n"])
        return item

    done = apply(UserFunction(prints), [record(n) for n in range(8)], folder=tmp_path)
    assert done.delivered == 8
    assert sum(file.stat().st_size for file in (tmp_path / "printed").iterdir()) < 4 << 20
    assert (tmp_path / "printed" / "sale.log").read_text().endswith("7\n")


def test_a_function_that_holds_on_to_what_stays_here_is_refused_with_a_mend():
    lock = threading.Lock()
    with pytest.raises(ContractError, match="cannot run in a process of its own") as refused:
        apply(UserFunction(lambda item: item if lock else None), [record(1)])
    assert "inprocess:" in refused.value.hint


PIPELINE = """
import threading
from beside import double
from caudal import Delivery, Pipeline

LOCK = threading.Lock()  # stays in its process, and each has its own
shop = Pipeline("shop")

def twice(item):
    with LOCK:
        return {**item, "n": double(item["n"])}

@shop.table(key=["id"], deliveries=[Delivery(transform=twice), Delivery("csv", transform=lambda item: {**item, "n": double(5)})])
class Sale:
    id: str
    n: int
"""


def test_functions_of_a_pipeline_file_and_of_modules_beside_it_are_found(tmp_path):
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "beside.py").write_text("def double(n):\n    return 2 * n\n")
    pipeline, config = load_pipeline(tmp_path / "pipeline.py")
    with pipeline.open(config) as stages:
        stages.store.put("sale", {"id": "s1", "n": 4})
        for name in ("sale", "sale_csv"):
            assert stages.writer(name).flush() == 1
        rows = stages.query.execute("SELECT a.n AS a, b.n AS b FROM sale a, sale_csv b").to_pylist()
    assert rows == [{"a": 8, "b": 10}]


def test_a_script_runs_its_functions_without_being_run_again(tmp_path):
    """As a notebook: its functions are in no module that can be imported."""
    script = tmp_path / "script.py"
    script.write_text(PIPELINE.replace("from beside import double", "def double(n):\n    return 2 * n\n").replace("    with LOCK:\n    ", "") + textwrap.dedent("""
        with shop.open() as stages:
            stages.store.put("sale", {"id": "s1", "n": 4})
            stages.writer("sale").flush()
            print(stages.query.execute("SELECT n FROM sale").to_pylist())
    """))
    run = subprocess.run([sys.executable, script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (run.stdout, run.stderr) == ("[{'n': 8}]\n", "")


def test_a_function_that_cannot_be_loaded_holds_its_records_back(tmp_path):
    (tmp_path / "pipeline.py").write_text(PIPELINE)
    (tmp_path / "beside.py").write_text("def double(n):\n    return 2 * n\n")
    pipeline, config = load_pipeline(tmp_path / "pipeline.py")
    with pipeline.open(config) as stages:
        stages.store.put("sale", {"id": "s1", "n": 4})
        (tmp_path / "pipeline.py").write_text("1 / 0")
        with pytest.raises(Unavailable, match="ZeroDivisionError"):
            stages.writer("sale").flush()
        (tmp_path / "pipeline.py").write_text(PIPELINE)
        assert stages.writer("sale").flush() == 1


def test_the_pieces_of_a_transform_are_closed_with_the_stages(tmp_path):
    (tmp_path / "pipeline.py").write_text(PIPELINE.replace('double(item["n"])', '__import__("os").getpid()'))
    (tmp_path / "beside.py").write_text("def double(n):\n    return 2 * n\n")
    pipeline, config = load_pipeline(tmp_path / "pipeline.py")
    with pipeline.open(config) as stages:
        stages.store.put("sale", {"id": "s1", "n": 4})
        stages.writer("sale").flush()
        (pid,) = stages.query.execute("SELECT n FROM sale")["n"].to_pylist()
        assert Path(f"/proc/{pid}").exists() and pid != os.getpid()
    assert not Path(f"/proc/{pid}").exists()
