"""kill -9 of the AWS endpoint while Athena's queries run: each ends, or is said to have failed; no table is there by half."""

import os
import random
import threading
import time

import pytest
from botocore.exceptions import BotoCoreError, ClientError

ROUNDS = max(2, int(os.environ.get("CAUDAL_FAULT_ROUNDS", "20")) // 10)
SEED = int(os.environ.get("CAUDAL_FAULT_SEED", "1"))
ROWS, ENDED = 2000, {"SUCCEEDED", "FAILED", "CANCELLED"}
QUERIES = {
    "count": "SELECT count(*) AS n FROM numbers a CROSS JOIN numbers b WHERE a.n * b.n % 7 = 3",
    "made": "CREATE TABLE {name} WITH (format = 'PARQUET') AS SELECT n, {number} AS round FROM numbers",
    "sink": "INSERT INTO sink SELECT n, {number} FROM numbers",
}


def start_query(athena, sql, token):
    return athena.start_query_execution(
        QueryString=sql, ClientRequestToken=token, QueryExecutionContext={"Database": "db"}, ResultConfiguration={"OutputLocation": "s3://lake/results/"}
    )["QueryExecutionId"]


def ended(athena, id):
    """The state in which an execution ended."""
    until = time.monotonic() + 90
    while True:
        status = athena.get_query_execution(QueryExecutionId=id)["QueryExecution"]["Status"]
        if status["State"] in ENDED:
            return status["State"]
        assert time.monotonic() < until, f"CAUDAL_FAULT_SEED={SEED}: {id} is {status['State']} for ever"
        time.sleep(0.05)


def ask(athena, sql):
    id = start_query(athena, sql, f"{random.randrange(10**40):040}")
    assert ended(athena, id) == "SUCCEEDED", athena.get_query_execution(QueryExecutionId=id)
    return [tuple(cell.get("VarCharValue") for cell in row["Data"]) for row in athena.get_query_results(QueryExecutionId=id)["ResultSet"]["Rows"][1:]]


def set_up(endpoint):
    s3, athena = endpoint.client("s3"), endpoint.client("athena")
    s3.create_bucket(Bucket="lake")
    s3.put_object(Bucket="lake", Key="numbers/data.csv", Body="".join(f"{n}\n" for n in range(ROWS)).encode())
    endpoint.client("glue").create_database(DatabaseInput={"Name": "db"})
    csv = "ROW FORMAT DELIMITED FIELDS TERMINATED BY ',' LOCATION"
    for sql in (f"CREATE EXTERNAL TABLE numbers (n bigint) {csv} 's3://lake/numbers/'", f"CREATE EXTERNAL TABLE sink (n bigint, round bigint) {csv} 's3://lake/sink/'"):
        assert ended(athena, start_query(athena, sql, f"{random.randrange(10**40):040}")) == "SUCCEEDED"


def work(athena, kind, numbers, begun, done):
    """Start a query after the last one, until the endpoint is gone; each by what it is and its number, and those that were done."""
    try:
        while True:
            number = next(numbers)
            id = start_query(athena, QUERIES[kind].format(name=f"made_{number}", number=number), f"{number:040}")
            begun[kind, number] = id
            assert ended(athena, id) == "SUCCEEDED", athena.get_query_execution(QueryExecutionId=id)
            done.add((kind, number))
    except (BotoCoreError, ClientError):
        return


@pytest.mark.slow
def test_a_query_ends_or_has_failed_and_no_table_is_there_by_half(start):
    chance, begun, done, numbers = random.Random(SEED), {}, set(), iter(range(10**9))
    endpoint = start()
    set_up(endpoint)
    for _ in range(ROUNDS):
        before, until = len(done), time.monotonic() + 90
        workers = [threading.Thread(target=work, args=(endpoint.client("athena"), kind, numbers, begun, done)) for kind in QUERIES]
        for worker in workers:
            worker.start()
        while len(done) < before + len(QUERIES):
            assert time.monotonic() < until and all(worker.is_alive() for worker in workers), f"CAUDAL_FAULT_SEED={SEED}: no query ends"
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 1.0))  # the moment is left to chance
        endpoint.kill()
        for worker in workers:
            worker.join()
        endpoint = start()
    athena = endpoint.client("athena")
    states = {key: ended(athena, id) for key, id in begun.items()}
    assert all(states[key] == "SUCCEEDED" for key in done), f"CAUDAL_FAULT_SEED={SEED}"
    tables = {name for (name,) in ask(athena, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'db'")}
    for (kind, number), state in states.items():
        if kind == "made" and (state == "SUCCEEDED" or f"made_{number}" in tables):
            assert ask(athena, f"SELECT count(*), min(round), max(round) FROM made_{number}") == [(str(ROWS), str(number), str(number))]
    inserted = dict(ask(athena, "SELECT round, count(*) FROM sink GROUP BY round"))
    assert set(inserted.values()) <= {str(ROWS)}, f"CAUDAL_FAULT_SEED={SEED}: {inserted}"
    assert {str(number) for (kind, number), state in states.items() if kind == "sink" and state == "SUCCEEDED"} <= inserted.keys()
    assert begun and all(start_query(athena, QUERIES[kind].format(name=f"made_{n}", number=n), f"{n:040}") == id for (kind, n), id in begun.items())
