"""Athena's executions: listed by page, forgotten in time, a few at once, stopped for real."""

import threading
import time

import pytest
from botocore.exceptions import ClientError

from caudal.errors import QueryError, Unavailable
from caudal.gateway.athena.executions import ACTIVE, DONE, KEPT_SECONDS, THREADS, Executions
from caudal.gateway.documents import Documents
from caudal.gateway.faults import AwsError
from caudal.testing.query_statements import ENDLESS
from tests.unit.gateway.conftest import endpoint


def fails(execution, stopped):
    raise QueryError("it fails", hint="so that nothing is written to S3")


class Held:
    """Statements that end when they are let go."""

    def __init__(self):
        self.running, self.go = threading.Semaphore(0), threading.Event()

    def __call__(self, execution, stopped):
        self.running.release()
        self.go.wait(30)
        fails(execution, stopped)


@pytest.fixture
def documents(tmp_path):
    documents = Documents(tmp_path / "documents.db")
    yield documents
    documents.close()


@pytest.fixture
def made(documents):
    opened = []

    def make(run=fails, **more):
        opened.append(Executions(documents, None, run, **more))
        opened[-1].start()
        return opened[-1]

    yield make
    for executions in opened:
        executions.close()


def asked(sql="SELECT 1", workgroup="primary"):
    return {"Query": sql, "Database": "", "Catalog": "", "WorkGroup": workgroup, "Parameters": [], "OutputLocation": "s3://b/q",
            "Cutoff": None}


def ended(executions, id):
    while "Ended" not in (found := executions.get(id)):
        time.sleep(0.005)
    return found


def test_an_end_that_cannot_be_written_is_told_all_the_same(made, documents, monkeypatch):
    def write(new=None, really=documents.write, **more):
        if any(kind == DONE for kind, _ in new or {}):
            raise Unavailable("no room")
        return really(new, **more)

    monkeypatch.setattr(documents, "write", write)
    executions = made(limited=True)
    for _ in range(ACTIVE["DML"] + 1):
        found = ended(executions, executions.submit("", asked(), None))
        assert (found["State"], "it fails" in found["Error"]["ErrorMessage"]) == ("FAILED", True)


def all_ids(executions, workgroup, size):
    found, token = executions.ids(workgroup, "", size)
    while token:
        more, token = executions.ids(workgroup, token, size)
        found += more
    return found


def test_those_of_a_workgroup_are_listed_by_page_the_newest_first(made):
    executions = made()
    ids = []
    for n in range(7):
        ids.append(executions.submit("", asked(workgroup="ab" if n % 2 else "a"), None))
    for size in (1, 2, 3, 4, 50):
        assert all_ids(executions, "a", size) == [ids[6], ids[4], ids[2], ids[0]]
        assert all_ids(executions, "ab", size) == [ids[5], ids[3], ids[1]]
    assert executions.ids("a", "", 2)[0] == [ids[6], ids[4]]
    assert executions.ids("other", "", 5) == ([], None)
    executions.submit("", asked(workgroup="a"), None)  # between two pages: nothing shifts
    assert executions.ids("a", executions.ids("a", "", 3)[1], 50)[0] == [ids[2], ids[0]]


def test_an_execution_is_known_for_45_days(made, documents):
    executions = made()
    old = executions.submit("0" * 32, asked(), None)
    ended(executions, old)
    now = time.time()
    executions.expire(now + KEPT_SECONDS - 3600)
    assert executions.get(old)["State"] == "FAILED"
    assert executions.submit("0" * 32, asked(), None) == old
    executions.expire(now + KEPT_SECONDS + 3600)
    with pytest.raises(AwsError, match=f"QueryExecution {old} was not found"):
        executions.get(old)
    assert executions.ids("primary", "", 5) == ([], None)
    new = executions.submit("0" * 32, asked(), None)
    assert new != old
    ended(executions, new)
    executions.expire(now + 2 * KEPT_SECONDS)
    left = [kind for kind in ("live", "execution", "token", "reuse", "listed", "aging") if documents.all(f"athena.{kind}")]
    assert left == []


def test_more_than_one_lot_is_forgotten_at_once(made, monkeypatch):
    monkeypatch.setattr("caudal.gateway.athena.executions.EXPIRED", 3)
    executions = made()
    for _ in range(7):
        ended(executions, executions.submit("", asked(), None))
    executions.expire(time.time() + KEPT_SECONDS + 60)
    assert executions.ids("primary", "", 50) == ([], None)


def test_a_few_run_and_the_rest_is_queued(made):
    held = Held()
    executions = made(held)
    ids = [executions.submit("", asked(), None) for _ in range(THREADS + 2)]
    for _ in range(THREADS):
        assert held.running.acquire(timeout=10)
    assert [executions.get(id)["State"] for id in ids] == ["RUNNING"] * THREADS + ["QUEUED"] * 2
    executions.stop(ids[-1])
    assert executions.get(ids[-1])["State"] == "CANCELLED"
    held.go.set()
    assert [ended(executions, id)["State"] for id in ids] == ["FAILED"] * (THREADS + 1) + ["CANCELLED"]


def test_awss_limit_of_active_statements_is_by_kind(made):
    held = Held()
    executions = made(held, limited=True)
    for _ in range(20):
        executions.submit("", asked("CREATE DATABASE d"), None)
    with pytest.raises(AwsError) as refused:
        executions.submit("", asked("DROP TABLE t"), None)
    assert (refused.value.code, refused.value.members) == ("TooManyRequestsException", {"Reason": "CONCURRENT_QUERY_LIMIT_EXCEEDED"})
    executions.submit("", asked("SELECT 1"), None)
    held.go.set()


def test_two_requests_with_one_token_are_one_execution(made):
    executions, found = made(), []
    threads = [threading.Thread(target=lambda: found.append(executions.submit("t" * 32, asked(), None))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1
    assert executions.ids("primary", "", 50) == (found[:1], None)
    with pytest.raises(AwsError, match="Idempotent parameters do not match"):
        executions.submit("t" * 32, asked("SELECT 2"), None)


class Client:
    def __init__(self, aws):
        self.athena = aws.client("athena")

    def start(self, sql):
        return self.athena.start_query_execution(
            QueryString=sql, ResultConfiguration={"OutputLocation": "s3://results/q/"})["QueryExecutionId"]

    def state(self, id):
        return self.athena.get_query_execution(QueryExecutionId=id)["QueryExecution"]["Status"]["State"]

    def until(self, id, *states):
        while self.state(id) not in states:
            time.sleep(0.01)


@pytest.mark.slow
def test_what_is_stopped_makes_room_at_once(aws):
    """Each of these statements would take the better part of an hour."""
    aws.client("s3").create_bucket(Bucket="results")
    client = Client(aws)
    ids = [client.start(ENDLESS) for _ in range(THREADS)]
    for id in ids:
        client.until(id, "RUNNING")
    for id in ids:
        client.athena.stop_query_execution(QueryExecutionId=id)
        assert client.state(id) == "CANCELLED"
    id = client.start("SELECT 1")
    client.until(id, "SUCCEEDED")
    pages = client.athena.get_paginator("list_query_executions").paginate(PaginationConfig={"PageSize": 4})
    assert {one for found in pages for one in found["QueryExecutionIds"]} == {*ids, id}
    with pytest.raises(ClientError, match="was not found"):
        client.athena.get_query_execution(QueryExecutionId="0" * 36)


@pytest.mark.slow
def test_an_endpoint_that_ends_waits_for_no_statement(tmp_path):
    with endpoint(tmp_path) as aws:
        client = Client(aws)
        id = client.start(ENDLESS)
        client.until(id, "RUNNING")
    with endpoint(tmp_path) as aws:
        found = aws.client("athena").get_query_execution(QueryExecutionId=id)["QueryExecution"]["Status"]
    assert (found["State"], found["AthenaError"]["Retryable"]) == ("FAILED", True)
