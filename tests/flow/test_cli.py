"""The command line as somebody types it, in the folder that `caudal init` makes."""

import base64
import contextlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from caudal.cli.endings import run

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-W", "error", "-m", "caudal.cli"]
ENVIRONMENT = {
    name: value for name, value in os.environ.items() if not name.startswith("CAUDAL_") and name != "PYTHONUNBUFFERED"
} | {"PYTHONPATH": str(ROOT)}

SALE = {"customer_id": "ann", "line_id": "bad", "product_id": "jam", "quantity": "two", "amount": "7.80",
        "note": "for my sister", "sold_at": "2026-11-01T10:00:00Z"}


@contextlib.contextmanager
def redirect_stdin(text):
    before, sys.stdin = sys.stdin, io.StringIO(text)
    try:
        yield
    finally:
        sys.stdin = before


class Shell:
    """A folder in which `caudal` is run: as a process of its own, or, for speed, in this one."""

    def __init__(self, folder):
        self.folder = folder

    def process(self, *words, code=0, **more):
        """What the command prints; its exit code must be `code`."""
        done = subprocess.run([*COMMAND, *words], cwd=self.folder, env=ENVIRONMENT | more, capture_output=True, timeout=60)
        return self._checked(words, code, done.returncode, done.stdout, done.stderr)

    def __call__(self, *words, code=0, input=""):
        out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
        with contextlib.chdir(self.folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), redirect_stdin(input):
            returned = run(words)
        return self._checked(words, code, returned, out.buffer.getvalue(), err.buffer.getvalue())

    def _checked(self, words, code, returned, out, err):
        self.errors = err.decode()
        assert returned == code, f"caudal {' '.join(words)}: {returned}\n{out.decode()}\n{self.errors}"
        assert "Traceback" not in self.errors
        return out.decode()

    def json(self, *words, code=0):
        """The same with --json."""
        return json.loads(self(*words, "--json", code=code))

    def refuses(self, *words, code=2):
        """The lines on standard error of a command that fails: one or two, and nothing on standard output."""
        assert self(*words, code=code) == ""
        lines = self.errors.splitlines()
        assert 1 <= len(lines) <= 2 and lines[0].startswith("caudal")
        return lines


@pytest.fixture(scope="module")
def shell(tmp_path_factory):
    """A shop with its sample data in the lake, and one bad record in quarantine."""
    shell = Shell(tmp_path_factory.mktemp("cli"))
    printed = shell.process("init", "shop")
    shell.folder /= "shop"
    assert "caudal import sale sales.jsonl" in printed
    assert shell.process("import", "product", "products.csv") == "product: 24 written, 0 unchanged, 0 quarantined\n"
    assert shell.json("import", "sale", "sales.jsonl")["written"] == 361
    (shell.folder / "bad.jsonl").write_text(json.dumps(SALE) + "\n" + '{"customer_id": "ann", "line_id": \n')
    assert shell.json("import", "sale", "bad.jsonl", code=1)["quarantined"] == 2
    assert shell.errors.splitlines() == [
        "caudal: 2 lines of bad.jsonl do not fit sale", "  see them after `caudal flush`: caudal quarantine list"
    ]
    shell.process("put", "sale", json.dumps(SALE | {"line_id": "late"}))
    assert [(one["table"], one["records"]) for one in shell.json("flush")] == [
        ("product", 24), ("sale", 364), ("sale_csv", 364), ("view", 0)
    ]
    return shell


def test_init_overwrites_nothing(shell):
    (shell.folder / "pipeline.py").write_text((shell.folder / "pipeline.py").read_text() + "\n# mine\n")
    assert shell.refuses("init") == ["caudal: pipeline.py is there already", "  name another folder: caudal init shop"]
    assert (shell.folder / "pipeline.py").read_text().endswith("# mine\n")


def test_an_import_run_again_changes_nothing(shell):
    assert shell("import", "product", "products.csv") == "product: 0 written, 24 unchanged, 0 quarantined\n"


def test_a_query_prints_a_table_and_writes_what_programs_read(shell):
    sql = "SELECT product_id, sum(amount) AS revenue FROM sale GROUP BY 1 ORDER BY 2 DESC LIMIT 2"
    assert shell("query", sql).splitlines()[0] == "product_id  revenue"
    assert [row["product_id"] for row in shell.json("query", sql)] == ["moka", "teapot"]
    assert shell("query", "-", "--format", "csv", input="SELECT NULL AS a, '' AS b, 1.50 AS c") == 'a,b,c\n,"",1.50\n'
    by_value = "SELECT count(*) AS n FROM sale WHERE product_id = ? AND quantity >= ?"
    assert shell.json("query", by_value, "--param", "'moka'", "--param", "0")[0]["n"] > 0
    assert shell("query", "SHOW TABLES LIKE 'sale*'").split() == ["tab_name", "sale", "sale_csv", "sale_csv_history", "sale_history"]
    shell("query", "SHOW TABLES IN other", code=2)
    assert "no database other" in shell.errors
    shell("query", "PREPARE p FROM SELECT 1")
    shell("query", "SELECT * FROM sale_csv", "--output", "sales.parquet")
    assert pq.read_table(shell.folder / "sales.parquet").num_rows == 361
    (shell.folder / "count.sql").write_text("SELECT count(*) AS n FROM product")
    assert shell.json("query", "-f", "count.sql") == [{"n": 24}]
    assert shell.json("query", "-f", "count.sql", "--at", "product=0") == [{"n": 0}]
    shell("query", "-f", "count.sql", "--at", "prodct=0", code=2)
    assert "did you mean product?" in shell.errors
    for option in (["-o", "x.xyz"], ["--format", "table", "-o", "x.csv"]):
        shell("query", "SELECT 1 AS one", *option, code=2)
        assert not (shell.folder / option[-1]).exists()


def test_a_wrong_query_gets_the_place_and_the_nearest_name(shell):
    assert shell.refuses("query", "SELECT 1\nFROM sal") == ["caudal: line 2, column 6: no table sal", "  did you mean sale?"]
    assert "may not run" in shell.refuses("query", "DELETE FROM sale")[0]


def test_a_pipe_that_closes_early_is_no_error(shell):
    sql = "SELECT a.* FROM sale a CROSS JOIN product b CROSS JOIN product c"  # more than a pipe holds
    with subprocess.Popen([*COMMAND, "query", sql, "--format", "csv"], cwd=shell.folder, env=ENVIRONMENT,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_ctrl_c_ends_a_command_quietly(shell):
    sql = "SELECT count(*) FROM sale a, sale b, sale c, sale d"
    with subprocess.Popen([*COMMAND, "query", sql], cwd=shell.folder, env=ENVIRONMENT, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as process:
        time.sleep(2)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=10) == (b"", b"")
    assert process.returncode == 130


def test_tables_shows_what_the_lake_holds(shell):
    assert "amount       decimal(12,2)" in shell("tables", "sale")
    [sale, csv] = shell.json("tables", "sale")
    assert (sale["rows"], sale["key"], sale["partition"]) == (361, ["customer_id", "line_id"], ["sold_at_month"])
    assert (csv["format"], csv["compression"], csv["version"]) == ("csv", "gzip", 1)
    assert next(column for column in sale["columns"] if column["name"] == "note")["personal"]


def test_status_and_verify_say_that_all_is_well(shell):
    assert shell("status").splitlines()[0].startswith("table     arrived  waiting")
    status = shell.json("status")
    assert status["ok"] and {table["table"]: table["quarantined"] for table in status["tables"]}["sale"] == 3
    assert shell.process("verify").endswith("nothing lost, nothing twice\n")
    verified = shell.json("verify")
    assert verified["ok"] and sum(s["read"] for s in verified["shards"] if s["table"] == "sale") == 364


def test_status_fails_when_a_record_has_waited_too_long(shell):
    shell("put", "view", '{"customer_id": "ann", "product_id": "jam", "seen_at": "2026-11-01T10:00:00Z"}')
    status = shell.process("status", "--json", code=1, CAUDAL_ENDPOINT_STALE_SECONDS="0.001")
    assert json.loads(status)["stale"] == ["view"]
    assert shell("flush", "view") == "view: 1 records delivered\n"


def test_verify_fails_when_a_file_is_gone(shell, tmp_path):
    file = next((shell.folder / "caudal-data").rglob("lake/*/product/*.parquet"))
    file.rename(tmp_path / "kept")
    try:
        assert not shell.json("verify", code=1)["ok"]
        assert "product" in shell.errors
    finally:
        (tmp_path / "kept").rename(file)


def test_maintain_merges_says_so_and_changes_no_answer(shell):
    for n in range(3):
        shell("put", "view", f'{{"customer_id": "cleo", "product_id": "oats", "seen_at": "2026-11-0{n + 1}T10:00:00Z"}}')
        shell("flush", "view")
    asked = "SELECT count(*) AS n, max(seen_at) AS newest FROM view"
    before = shell.json("query", asked)
    told = shell.json("maintain", "--dry-run")
    merged = {table["table"]: table["merged"] for table in told["tables"]}
    assert told["dry_run"] and merged["view"] >= 3
    assert shell("maintain", "--dry-run").endswith("nothing was changed\n")
    done = shell.json("maintain")
    assert (done["ok"], done["problems"]) == (True, [])
    assert {table["table"]: table["merged"] for table in done["tables"]} == merged
    assert shell.json("query", asked) == before
    assert shell.json("query", "SELECT count(*) AS n FROM view FOR VERSION AS OF 0") == [{"n": 0}]
    assert shell.refuses("query", "SELECT * FROM view FOR VERSION AS OF 99")[0] == (
        "caudal: line 1, column 15: table view has no version 99"
    )
    assert shell.json("verify", "--deep") == shell.json("verify")
    assert "merged" in shell("maintain").splitlines()[0]


def test_verify_misses_a_catalog_that_was_lost(shell):
    """It accounts for nothing, and so everything adds up: all waits to be delivered once more."""
    counted = shell.json("verify")["shards"]
    assert sum(shard["waiting"] for shard in counted) == 0
    catalog = shell.folder / "caudal-data" / "catalog.db"
    kept = {path: path.read_bytes() for path in catalog.parent.glob("catalog.db*")}
    for path in kept:
        path.unlink()
    try:
        found = shell.json("verify", code=1)
        assert sum(shard["waiting"] for shard in found["shards"]) == sum(shard["read"] for shard in counted)
        assert {problem.partition(":")[0] for problem in found["problems"]} >= {"product", "sale", "sale_csv"}
        assert all("of a catalog that had more commits than this one" in problem for problem in found["problems"])
    finally:
        for path, data in kept.items():
            path.write_bytes(data)


def test_models_are_trained_listed_promoted_and_rolled_back(shell):
    assert "ndcg@10" in shell.process("train")
    [second] = shell.json("train", "for_you", "--seed", "7")
    assert (second["card"]["version"], second["card"]["seed"]) == (2, 7)
    assert [version["live"] for version in shell.json("models")] == [False, True]
    assert shell("rollback", "for_you") == "for_you v1 is live again\n"
    assert shell.json("promote", "for_you", "2") == {"recommender": "for_you", "live": 2}
    assert shell.refuses("promote", "for_you", "9") == ["caudal: for_you has no model version 9", "  its versions are 1, 2"]
    assert shell.refuses("train", "for_yuo")[1] == "  there is for_you"
    answer = shell.json("recommend", "ann", "-n", "3")
    assert answer["model"] == 2 and len(answer["items"]) == 3 and all(item["reason"]["text"] for item in answer["items"])
    assert "towel" not in {item["item"] for item in shell.json("recommend", "nobody", "-n", "100")["items"]}
    bought = answer["items"][0]["item"]
    shell("put", "sale", json.dumps(SALE | {"line_id": "next", "product_id": bought, "quantity": 1}))
    assert bought not in {item["item"] for item in shell.json("recommend", "ann", "-n", "24")["items"]}
    assert "goes with" in shell.process("recommend", "ann", "--slot", "similar", "--item", "oats")
    shell.refuses("recommend", "ann", "--slot", "old")


def test_items_are_put_read_and_deleted(shell):
    assert shell("put", "product", "-", input='{"product_id": "chai", "title": "Chai", "stock": 1.50, "colour": "red"}')
    assert json.loads(shell("get", "product", "chai")) == {"product_id": "chai", "title": "Chai", "stock": 1.5, "colour": "red"}
    assert shell("delete", "product", "chai").startswith("product: deleted")
    assert shell("delete", "product", "chai") == "product: nothing to delete\n"
    assert shell.refuses("get", "product", "chai", code=1) == ["caudal: product has no item of that key"]
    assert shell.refuses("get", "sale", "ann")[1] == "  write CUSTOMER_ID LINE_ID"
    shell.refuses("put", "product", "{}", code=1)


def test_quarantine_shows_no_personal_value_unless_asked_and_replays(shell):
    counts = {(one["table"], one["reason"]): one["records"] for one in shell.json("quarantine", "list", "sale")}
    assert counts == {(table, reason): n for table in ("sale", "sale_csv") for reason, n in (("wrong_type", 2), ("invalid_json", 1))}
    shown = shell("quarantine", "show", "sale", "--limit", "99")
    assert "my sister" not in shown and '"note":"***"' in shown and '"quantity":"two"' in shown
    [torn, _] = shell.json("quarantine", "show", "sale", "--reason", "invalid_json")
    assert torn["text"] is None
    [raw] = json.loads(shell("quarantine", "show", "sale_csv", "--reason", "invalid_json", "--raw", "--json"))
    assert base64.b64decode(raw["base64"]) == b'{"customer_id": "ann", "line_id": \n'
    place = ("--shard", str(raw["shard"]), "--position", str(raw["position"]))
    assert shell.json("quarantine", "show", "sale_csv", *place)[0]["position"] == raw["position"]
    assert shell.json("quarantine", "replay", "sale_csv", code=1)[0]["still_rejected"] == 3


CLICK = """

def checked(click):
    {body}


@shop.events(deliveries=[Delivery(transform=checked)])
class Click:
    page: str
"""


def test_a_record_that_a_transform_refused_is_replayed_once_the_transform_is_mended(shell):
    pipeline = shell.folder / "pipeline.py"
    declared = pipeline.read_text()
    pipeline.write_text(declared + CLICK.format(body="return {'page': click['pgae']}"))
    shell("put", "click", '{"page": "/tea"}')
    shell("flush", "click")
    [waiting] = shell.json("quarantine", "list", "click")
    assert waiting["records"] == 1
    pipeline.write_text(declared + CLICK.format(body="return click"))
    assert shell("quarantine", "replay", "click") == "click: 1 delivered, 0 dropped, 0 still in quarantine\n"
    assert shell("quarantine", "replay", "click") == "click: 0 delivered, 0 dropped, 0 still in quarantine\n"
    assert shell("quarantine", "list", "click") == "nothing is in quarantine\n"
    assert shell.json("query", "SELECT page FROM click") == [{"page": "/tea"}]
    pipeline.write_text(declared)


def test_a_large_answer_is_whole_whether_python_buffers_or_not(shell):
    sql = "SELECT a.line_id FROM sale a CROSS JOIN product b CROSS JOIN product c"
    count = json.loads(shell("query", f"SELECT count(*) AS n FROM ({sql}) t", "--json"))[0]["n"]
    for unbuffered in ({}, {"PYTHONUNBUFFERED": "1"}):
        done = subprocess.run([*COMMAND, "query", sql, "--format", "csv"], cwd=shell.folder, env={**ENVIRONMENT, **unbuffered},
                              capture_output=True, timeout=60)
        assert done.stdout.count(b"\n") == count + 1


def test_wrong_usage_is_two_lines_and_exit_code_2(shell):
    assert shell.refuses("qurey", "x") == ["caudal: no such command: qurey", "  did you mean query?"]
    assert shell.refuses("status", "--pipeline", "x")[1] == "  write it before the verb: caudal --pipeline …"
    assert shell.refuses("--pipeline", "none.py", "status")[0] == "caudal: none.py: no such pipeline file"
    assert shell.refuses("import", "sale", "none.csv") == ["caudal: none.csv: no such file", "  check the path"]
    assert shell.refuses("flush", "salle")[0] == "caudal: no table salle in corner_shop"
    (shell.folder / "broken.py").write_text("import nothing_of_that_name\n")
    assert "broken.py:1: ModuleNotFoundError" in shell.refuses("--pipeline", "broken.py", "status")[0]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def parts(folder):
    """Part to process id, of the parts that run over the pipeline in `folder`."""
    found = {}
    for process in Path("/proc").iterdir():
        try:
            words = (process / "cmdline").read_bytes().decode().split("\0")
        except (OSError, UnicodeDecodeError):
            continue
        if "caudal.parts" in words and str(folder / "pipeline.py") in words:
            found[words[words.index("caudal.parts") + 1]] = int(process.name)
    return found


def wait_for(what, seconds=20):
    until = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.05)
    return found


@pytest.mark.parametrize("url,told", [
    ("http://0.0.0.0:8888", "others than this machine could reach it"), ("https://127.0.0.1:8888", "no such endpoint"),
    ("http://localhost", "not a host and a port"), ("http://127.0.0.1:99999", "not a host and a port"),
])
def test_up_refuses_an_address_at_once(shell, url, told):
    shell.process("up", code=2, CAUDAL_ENDPOINT_URL=url)
    assert told in shell.errors and len(shell.errors.splitlines()) == 2


def test_a_pipeline_file_that_exits_is_told_and_placed(shell):
    (shell.folder / "exits.py").write_text("import sys\n\nsys.exit(3)\n")
    shell("--pipeline", "exits.py", "status", code=2)
    assert "exits.py:3: SystemExit: 3" in shell.errors


def test_up_serves_brings_a_killed_writer_back_and_leaves_nothing_behind(shell):
    url = f"http://127.0.0.1:{free_port()}"
    (shell.folder / "caudal.toml").write_text(f'[endpoint]\nurl = "{url}"\n[trainer]\nevery_seconds = 0\n')
    process = subprocess.Popen([*COMMAND, "up"], cwd=shell.folder, env=ENVIRONMENT, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline().startswith(f"the API listens at {url}")
        with urllib.request.urlopen(f"{url}/v1/recommend/ann?n=2", timeout=10) as answer:
            assert len(json.loads(answer.read())["items"]) == 2
        assert shell.refuses("up")[1].startswith("  is it up already?")
        writer = parts(shell.folder)["writer"]
        os.kill(writer, signal.SIGKILL)
        wait_for(lambda: parts(shell.folder).get("writer", writer) != writer)
        shell("put", "view", '{"customer_id": "ann", "product_id": "oats", "seen_at": "2026-11-02T10:00:00Z"}')
        assert shell.json("flush", "view")[0]["table"] == "view"
        assert shell.json("query", "SELECT count(*) AS n FROM view WHERE product_id = 'oats' AND customer_id = 'ann'") == [{"n": 1}]
        running = parts(shell.folder)
        assert set(running) == {"writer", "endpoint", "trainer", "maintainer"}
    finally:
        process.terminate()
        printed, errors = process.communicate(timeout=30)
    assert (process.returncode, printed) == (0, "stopped\n")
    assert "writer ended with -9; starting it again" in errors
    assert parts(shell.folder) == {}
    assert shell.json("verify")["ok"]
