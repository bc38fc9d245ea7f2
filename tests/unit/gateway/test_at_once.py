"""What one client asks alone is answered in the event loop's own thread; nothing there waits for others."""

import json
import socket
import threading

import apsw
import pytest

from caudal.gateway import app
from tests.unit.gateway.dynamo import keyed
from tests.unit.gateway.raw import connect, request, send

PUT = "DynamoDB_20120810.PutItem"


@pytest.fixture
def db(aws):
    made = aws.client("dynamodb")
    made.create_table(TableName="cart", **keyed(id="S"))
    return made


@pytest.fixture
def threads(aws, monkeypatch):
    """Names of the threads that write."""
    seen, write = [], aws.stages.store.write

    def seen_write(writes):
        seen.append(threading.current_thread().name)
        return write(writes)

    monkeypatch.setattr(aws.stages.store, "write", seen_write)
    return seen


def put(db, id):
    db.put_item(TableName="cart", Item={"id": {"S": id}})


def ids(db):
    return sorted(item["id"]["S"] for item in db.scan(TableName="cart")["Items"])


def body(id):
    return json.dumps({"TableName": "cart", "Item": {"id": {"S": id}}}).encode()


def kept(id, **headers):
    """A PutItem after which the connection stays open."""
    return request(body(id), x_amz_target=PUT, **headers).replace(b"connection: close\r\n", b"")


def read_answers(client, count):
    """Bodies of so many answers, each with its length."""
    found, data = [], b""
    while len(found) < count:
        head, end, rest = data.partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split()[0]) if end else 0
        if end and len(rest) >= length:
            found.append((int(head.split()[1]), rest[:length]))
            data = rest[length:]
        else:
            part = client.recv(1 << 16)
            assert part, "it closed the connection"
            data += part
    assert data == b""
    return found


def test_one_client_alone_is_answered_by_the_event_loop(aws, db, threads, monkeypatch):
    monkeypatch.setattr(app, "SLOW_SECONDS", 60.0)
    for n in range(5):
        put(db, f"a{n}")
    assert threads[1:] == ["http"] * 4
    assert ids(db) == ["a0", "a1", "a2", "a3", "a4"]


def test_clients_that_ask_in_turn_are_answered_by_threads_which_share_their_commits(aws, db, threads, monkeypatch):
    monkeypatch.setattr(app, "APART_SECONDS", 60.0)
    other = aws.client("dynamodb")
    for n in range(4):
        put(db, f"a{n}")
        put(other, f"b{n}")
    assert {name.partition("_")[0] for name in threads[1:]} == {"aws"}
    assert len(ids(db)) == 8


def test_an_error_is_the_same_as_by_a_thread(aws, db):
    told = []
    for headers in ({}, {"x_amz_target": PUT}):
        put(db, "a")
        status, text = send(aws, request(b'{"TableName": "none", "Item": {}}', **{"x_amz_target": PUT, **headers}))
        told.append((status, json.loads(text)))
    with connect(aws) as client:
        for _ in range(2):
            client.sendall(request(b'{"TableName": "none", "Item": {}}', x_amz_target=PUT).replace(b"connection: close\r\n", b""))
            ((status, text),) = read_answers(client, 1)
            told.append((status, json.loads(text)))
    expected = {"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException", "message": "Requested resource not found",
                "Message": "Requested resource not found"}
    assert told == [(400, expected)] * 4


def test_while_another_process_writes_the_endpoint_answers_others(aws, db, tmp_path, threads, monkeypatch):
    monkeypatch.setattr(app, "SLOW_SECONDS", 60.0)
    monkeypatch.setattr(app, "APART_SECONDS", 0.0)
    store = apsw.Connection(str(tmp_path / "store.db"))
    store.execute("BEGIN IMMEDIATE")
    waits = threading.Thread(target=put, args=(db, "a"))
    waits.start()
    while len(threads) < 2:  # the event loop tried it, and a thread does
        assert aws.client("sts").get_caller_identity()["Account"] == "000000000000"
    assert threads[0] == "http"
    assert threads[1].startswith("aws")
    assert waits.is_alive()
    store.execute("COMMIT")
    store.close()
    waits.join(20)
    assert ids(db) == ["a"]


def test_a_request_in_pieces_is_one_request(aws, db):
    with connect(aws) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(3):
            data = kept(f"a{n}")
            for start in range(0, len(data), 40):
                client.sendall(data[start:start + 40])
            assert read_answers(client, 1) == [(200, b"{}")]
    assert ids(db) == ["a0", "a1", "a2"]


def test_requests_that_do_not_wait_for_answers_are_answered_in_their_order(aws, db):
    with connect(aws) as client:
        client.sendall(b"".join(kept(f"a{n}") for n in range(6)) + request(b"{}", x_amz_target=PUT).replace(b"connection: close\r\n", b""))
        answers = read_answers(client, 7)
    assert [status for status, _ in answers] == [200] * 6 + [400]
    assert ids(db) == ["a0", "a1", "a2", "a3", "a4", "a5"]


def test_who_wants_to_be_told_to_go_on_is(aws, db):
    with connect(aws) as client:
        data = kept("a", expect="100-continue")
        head = len(data) - len(body("a"))
        client.sendall(data[:head])
        assert client.recv(1 << 16) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(data[head:])
        assert read_answers(client, 1) == [(200, b"{}")]


def test_a_connection_is_closed_where_the_client_wants_it(aws, db):
    for n in range(3):
        assert send(aws, request(body(f"a{n}"), x_amz_target=PUT)) == (200, b"{}")  # reads until it is closed
    assert ids(db) == ["a0", "a1", "a2"]


def test_half_a_request_is_none(aws, db):
    data = kept("a")
    assert send(aws, data[:-5], leave=True) == (0, b"")
    put(db, "b")
    assert ids(db) == ["b"]
