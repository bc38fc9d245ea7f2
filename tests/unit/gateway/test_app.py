"""What every service of the AWS endpoint has in common, asked over HTTP."""

import http.client
import json
import time
from types import SimpleNamespace

import pytest
from botocore.exceptions import ClientError

from caudal.gateway.http import WithBody
from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.raw import connect


def ask(aws, body=b"{}", method="POST", path="/", **headers):
    connection = http.client.HTTPConnection(aws.address.removeprefix("http://"), timeout=10)
    connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    status, told = answer.status, answer.read()
    connection.close()
    return status, json.loads(told)


def test_sts_says_who_asks(aws):
    assert aws.client("sts").get_caller_identity()["Account"] == "000000000000"


def test_an_operation_that_is_not_served_is_refused_by_its_name(aws):
    with pytest.raises(ClientError) as refused:
        aws.client("sts").get_session_token()
    assert refused.value.response["Error"] == {
        "Code": "UnknownOperationException", "Type": "Sender",
        "Message": "caudal does not serve sts:GetSessionToken; docs/aws.md lists what it serves",
    }


@pytest.mark.parametrize("target", ["DynamoDB_20120810.Fly", "Nothing.Fly", "", "Kinesis_20131202"])
def test_an_operation_that_nobody_knows_is_refused(aws, target):
    status, told = ask(aws, x_amz_target=target)
    assert (status, told["__type"]) == (400, "UnknownOperationException")


def test_a_page_of_another_origin_is_refused(aws):
    status, told = ask(aws, b"Action=GetCallerIdentity", origin="https://evil.example", content_type="application/x-www-form-urlencoded")
    assert status == 403
    assert "origin" in told["message"]


def test_another_name_for_this_machine_is_refused(aws):
    assert ask(aws, host="evil.example")[0] == 403


def test_a_request_that_is_too_large_is_refused(aws):
    status, told = ask(aws, b" " * (65 << 20), x_amz_target="Kinesis_20131202.ListStreams")
    assert (status, told["message"]) == (413, "the request is larger than 64 MiB")


@pytest.fixture
def guarded(tmp_path):
    (tmp_path / "credentials").write_text("[shop]\naws_access_key_id = KEY\naws_secret_access_key = right\n")
    with endpoint(tmp_path, credentials=str(tmp_path / "credentials")) as opened:
        yield opened


def test_with_credentials_a_right_signature_is_answered(guarded):
    assert guarded.client("sts", "KEY", "right").get_caller_identity()["Account"]


@pytest.mark.parametrize(("key", "secret", "code"), [
    ("KEY", "wrong", "InvalidSignatureException"), ("NOBODY", "right", "UnrecognizedClientException"),
])
def test_with_credentials_a_wrong_signature_is_refused(guarded, key, secret, code):
    with pytest.raises(ClientError) as refused:
        guarded.client("sts", key, secret).get_caller_identity()
    assert refused.value.response["Error"]["Code"] == code
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_with_credentials_no_signature_is_refused(guarded):
    connection = http.client.HTTPConnection(guarded.address.removeprefix("http://"), timeout=10)
    connection.request("POST", "/", "Action=GetCallerIdentity", {"content-type": "application/x-www-form-urlencoded"})
    assert connection.getresponse().status == 403
    connection.close()


def test_an_upload_that_is_refused_is_not_waited_for(aws):
    with connect(aws) as client:
        client.sendall(b"PUT /a HTTP/1.1\r\nhost: elsewhere.example\r\ncontent-length: 1000000\r\n\r\nabc")
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.lower().count(b"connection: close\r\n") == 1


def test_the_answer_to_head_has_no_body(aws):
    with connect(aws) as client:
        client.sendall(b"HEAD /a HTTP/1.1\r\nhost: elsewhere.example\r\n\r\n")
        answer = b"".join(iter(lambda: client.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.slow
def test_a_connection_stays_while_a_client_thinks(aws):
    connection = http.client.HTTPConnection(aws.address.removeprefix("http://"), timeout=10)
    connection.connect()
    for seconds in (0, 6):
        time.sleep(seconds)
        connection.request("POST", "/", b"{}", {"x-amz-target": "DynamoDB_20120810.ListTables"})
        assert json.loads(connection.getresponse().read()) == {"TableNames": []}
    connection.close()


class Sent(list):
    """A transport."""

    write = list.append

    def close(self):
        self.append(b"closed")


def test_a_head_that_says_how_long_its_body_is_goes_out_with_it():
    for parts, expected in (
        ((b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", b"{}", b"more"), [b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}", b"more"]),
        ((b"HTTP/1.1 100 Continue\r\n\r\n", b"H\r\ncontent-length: 0\r\n\r\n", b""), [b"HTTP/1.1 100 Continue\r\n\r\n", b"H\r\ncontent-length: 0\r\n\r\n"]),
        ((b"H\r\ntransfer-encoding: chunked\r\n\r\n", b"2\r\n{}\r\n"), [b"H\r\ntransfer-encoding: chunked\r\n\r\n", b"2\r\n{}\r\n"]),
    ):
        for is_complete in (True, False):
            sent = Sent()
            held = WithBody(sent, SimpleNamespace(response_complete=is_complete))
            for part in parts:
                held.write(part)
            held.close()
            assert sent == [*expected, b"closed"]


@pytest.mark.parametrize(("is_complete", "expected"), [(True, [b"H\r\ncontent-length: 2\r\n\r\n", b"closed"]), (False, [b"closed"])])
def test_a_head_whose_body_could_not_be_made_is_not_sent_alone(is_complete, expected):
    sent = Sent()
    held = WithBody(sent, SimpleNamespace(response_complete=is_complete))  # complete, as an answer to HEAD is
    held.write(b"H\r\ncontent-length: 2\r\n\r\n")
    held.close()
    assert sent == expected
