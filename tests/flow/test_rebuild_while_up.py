"""A new transform while `caudal up` runs and the shop writes: the table is made anew, and not one row is of the old one."""

import json
import subprocess
import threading
import time

from test_change_while_up import COMMAND, PIPELINE, shop  # noqa: F401 - a fixture

from caudal.loader import load_pipeline

OLD = PIPELINE.replace("Delivery(buffer_seconds=0),", "Delivery(buffer_seconds=0, transform=made),").replace(
    "@shop.table", "def made(item):\n    return item\n\n@shop.table")
NEW = OLD.replace("return item", 'return {**item, "qty": -item["qty"]}')


def write_until(stop, folder, written):
    """What an application does: one item after another."""
    pipeline, config = load_pipeline(folder / "pipeline.py")
    with pipeline.open(config) as stages:
        while not stop.is_set():
            number = len(written) + 1
            stages.store.put("sale", {"sale_id": f"s{number}", "qty": number})
            written.append(number)
            time.sleep(0.005)


def test_a_table_is_made_anew_under_a_running_shop(shop):  # noqa: F811
    run, folder = shop
    (folder / "pipeline.py").write_text(OLD)
    stop, written = threading.Event(), []
    writer = threading.Thread(target=write_until, args=(stop, folder, written))
    writer.start()
    try:
        while len(written) < 100:
            time.sleep(0.01)
        run("flush")
        (folder / "pipeline.py").write_text(NEW)
        run("rebuild", "sale")
        assert "sale is being rebuilt since" in subprocess.run(
            [*COMMAND, "status"], cwd=folder, capture_output=True, text=True, timeout=60).stdout
        found = json.loads(run("rebuild", "sale", "--compare", "--json"))["comparison"]
        assert found["changed"] == found["columns"]["qty"] >= 100
        run("rebuild", "sale", "--swap")
        swapped = len(written)
        while len(written) < swapped + 100:
            time.sleep(0.01)
    finally:
        stop.set()
        writer.join()
    run("flush")
    rows = json.loads(run("query", "SELECT sale_id, qty FROM sale_history", "--json"))
    assert sorted(-row["qty"] for row in rows) == written
    assert len(json.loads(run("query", "SELECT sale_id FROM sale_csv_history", "--json"))) == len(written)
    run("verify")
    run("verify", "--deep")
