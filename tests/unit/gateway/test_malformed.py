"""Whatever is sent to the AWS endpoint, it answers as AWS would, has no fault of its own, and answers the next request."""

import json
import logging
import sys
import threading
import time
import xml.etree.ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.raw import connect, request, send
from tests.unit.gateway.shapes import members_of, served

pytestmark = pytest.mark.slow

FORM = "application/x-www-form-urlencoded"
LIST = "Kinesis_20131202.ListStreams"
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("aws")) as opened:
        yield opened


@pytest.fixture
def aws(shared, caplog):
    """An endpoint that has logged no fault of its own by the end of the test, and still answers."""
    with caplog.at_level(logging.ERROR):
        yield shared
    assert caplog.messages == []
    assert shared.client("sts").get_caller_identity()["Account"] == "000000000000"


def code(body):
    """The code of an error in either of AWS's shapes."""
    if body.startswith(b"{"):
        return json.loads(body)["__type"].rpartition("#")[2]
    tree = ET.fromstring(body)
    return next(each.text for each in tree.iter() if each.tag.rpartition("}")[2] == "Code")


NO_HTTP = {
    "bytes": b"\x00\x01\x02 \xff\r\n\r\n", "no such method": request(method="FLY"),
    "a length below 0": request(length=-5), "two lengths": request(content_length="7"),
    "no chunk": b"POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    "a path that is no text": request(path="/\xff/\xfe"), "connect": b"CONNECT a:80 HTTP/1.1\r\nhost: localhost\r\n\r\n",
    "tls": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(64),
}


@pytest.mark.parametrize("data", NO_HTTP.values(), ids=NO_HTTP)
def test_what_is_no_http_is_refused_as_aws_refuses(aws, data):
    assert (send(aws, data)[0], code(send(aws, data)[1])) == (400, "BadRequest")


REFUSED = {
    "a target that is no text": (request(x_amz_target=b"Kinesis_20131202.\xff\xfe"), "UnknownOperationException"),
    "a huge target": (request(x_amz_target="K" * 60_000), "UnknownOperationException"),
    "another method": (request(method="DELETE", x_amz_target=LIST), "UnknownOperationException"),
    "half a JSON": (request(b'{"Limit":', x_amz_target=LIST), "SerializationException"),
    "a JSON list": (request(b"[]", x_amz_target=LIST), "SerializationException"),
    "deep lists": (request(b"[" * 100_000, x_amz_target=LIST), "SerializationException"),
    "deep objects": (request(b'{"a":' * 100_000, x_amz_target=LIST), "SerializationException"),
    "a number of 5,000 digits": (request(b'{"Limit":' + b"9" * 5000 + b"}", x_amz_target=LIST), "SerializationException"),
    "a number beyond a float": (request(b'{"Limit":1e999}', x_amz_target=LIST), "SerializationException"),
    "a number beyond an int": (request(b'{"Limit":9999999999}', x_amz_target=LIST), "ValidationException"),
    "half a surrogate": (request(b'{"ExclusiveStartStreamName":"\\ud800"}', x_amz_target=LIST), "SerializationException"),
    "no UTF-8": (request(b'{"ExclusiveStartStreamName":"\xff"}', x_amz_target=LIST), "SerializationException"),
    "CBOR": (request(b"\xa0", x_amz_target=LIST, content_type="application/x-amz-cbor-1.1"), "SerializationException"),
    "no base64": (
        request(b'{"StreamName":"s","Data":"*","PartitionKey":"k"}', x_amz_target="Kinesis_20131202.PutRecord"),
        "SerializationException",
    ),
    "a time out of all time": (
        request(b'{"StreamName":"s","ShardId":"x","ShardIteratorType":"AT_TIMESTAMP","Timestamp":1e300}',
                x_amz_target="Kinesis_20131202.GetShardIterator"), "SerializationException",
    ),
    "a number that is a power": (request(b"", "GET", "/2015-03-31/functions/?MaxItems=%C2%B2"), "InvalidParameterValueException"),
    "a number in a path of 5,000 digits": (
        request(b"", "GET", "/2015-03-31/functions/?MaxItems=" + "9" * 5000), "InvalidParameterValueException",
    ),
    "an escape that is no text": (request(path="/2015-03-31/functions/%ff%zz/invocations"), "ValidationException"),
    "no path": (request(b"", "OPTIONS", "*"), "BadRequest"),
    "a query without a form": (request(b"Action=Fly", content_type=FORM), "InvalidAction"),
    "a query that is no text": (request(b"Action=\xff%ff", content_type=FORM), "InvalidAction"),
    "a host that is none": (b"POST / HTTP/1.1\r\nhost: [::\r\nconnection: close\r\n\r\n", "AccessDeniedException"),
    "an origin that is none": (request(origin="http://[::"), "AccessDeniedException"),
    "an object of no bucket": (request(b"", "GET", "/no-such-bucket/key"), "NoSuchBucket"),
    "an S3 request of another origin": (
        request(b"", "GET", "/?X-Amz-Credential=k/20260101/us-east-1/s3/aws4_request", origin="http://evil.example"),
        "AccessDeniedException",
    ),
}


@pytest.mark.parametrize(("data", "expected"), REFUSED.values(), ids=REFUSED)
def test_a_malformed_request_is_refused_as_aws_refuses(aws, data, expected):
    status, body = send(aws, data)
    assert (code(body), 400 <= status < 500) == (expected, True)


def test_s3s_clients_are_refused_in_xml(aws):
    path = "/?X-Amz-Credential=k/20260101/us-east-1/s3/aws4_request"
    assert send(aws, request(b"", "GET", path, origin="http://evil.example"))[1].startswith(b"<Error><Code>AccessDenied")


def test_a_body_that_is_too_large_is_refused_whether_its_length_is_said_or_not(aws):
    part = b"100000\r\n" + b" " * (1 << 20) + b"\r\n"
    head = f"POST / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nx-amz-target: {LIST}\r\ntransfer-encoding: chunked\r\n\r\n"
    status, body = send(aws, head.encode() + part * 65 + b"0\r\n\r\n")
    assert (status, code(body)) == (413, "RequestEntityTooLarge")


@given(st.binary(max_size=300))
@QUICK
def test_random_bytes_do_no_harm(shared, data):
    assert send(shared, data, leave=True)[0] in (0, 400)


@given(st.sampled_from(["Kinesis_20131202.PutRecords", "AWSGlue.CreateTable", "Firehose_20150804.PutRecordBatch", "SageMaker.AddTags"]), st.binary(max_size=200))
@QUICK
def test_a_random_body_is_refused(shared, target, body):
    status, told = send(shared, request(b"{" + body, x_amz_target=target))
    assert (status, code(told)) == (400, "SerializationException")


@pytest.mark.parametrize("model", list(served()), ids=lambda model: f"{model.service_model.service_name}:{model.name}")
def test_an_operation_has_no_fault_of_its_own_whatever_its_members(aws, model):
    """Members of the right shapes and of the wrong ones, at the bounds of the model and beyond them."""
    client = aws.client(model.service_model.service_name)

    @given(members_of(model))
    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    def ask(call):
        status, body = send(aws, call)
        assert status not in (0, 500), body

    ask()
    assert client


def test_half_a_request_is_not_taken_for_a_whole_one(aws):
    """A function must not be called with the part of a payload that came before its client left."""
    client = aws.client("kinesis")
    client.create_stream(StreamName="half", ShardCount=1)
    whole = b'{"StreamName":"half","Data":"aGk=","PartitionKey":"k"}'
    target = "Kinesis_20131202.PutRecord"
    assert send(aws, request(whole, length=len(whole) + 10, x_amz_target=target), leave=True)[0] == 0
    assert send(aws, request(whole, x_amz_target=target))[0] == 200
    iterator = client.get_shard_iterator(StreamName="half", ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON")
    assert len(client.get_records(ShardIterator=iterator["ShardIterator"])["Records"]) == 1


def test_clients_that_send_half_a_request_and_wait_hold_up_nobody(aws):
    waiting = [connect(aws) for _ in range(100)]
    for client in waiting:
        client.sendall(request(b"{", length=10, x_amz_target=LIST))
    assert aws.client("kinesis").list_streams()["StreamNames"] is not None
    for client in waiting:
        client.close()


@pytest.mark.slow
def test_subscribers_that_leave_are_let_go_and_those_that_stay_hold_up_nobody(aws):
    client = aws.client("kinesis")
    client.create_stream(StreamName="pushed", ShardCount=1)
    stream = client.describe_stream_summary(StreamName="pushed")["StreamDescriptionSummary"]["StreamARN"]
    wanted = []
    for n in range(80):
        consumer = client.register_stream_consumer(StreamARN=stream, ConsumerName=f"c{n}")["Consumer"]["ConsumerARN"]
        body = {"ConsumerARN": consumer, "ShardId": "shardId-000000000000", "StartingPosition": {"Type": "LATEST"}}
        wanted.append(request(json.dumps(body).encode(), x_amz_target="Kinesis_20131202.SubscribeToShard"))
    listening = []
    for data in wanted:
        listening.append(connect(aws))
        listening[-1].sendall(data)
        assert listening[-1].recv(100)
    began = time.monotonic()
    client.put_record(StreamName="pushed", Data=b"x", PartitionKey="k")
    assert time.monotonic() - began < 5
    for each in listening:
        each.close()
    until = time.monotonic() + 20
    while pushing():
        client.put_record(StreamName="pushed", Data=b"x", PartitionKey="k")  # wakes them all
        assert time.monotonic() < until, f"{pushing()} subscriptions of clients that left"
        time.sleep(0.05)


def pushing():
    """Subscriptions at work, by what their threads do."""
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    stacks = {names.get(ident, ""): frame for ident, frame in sys._current_frames().items()}
    return sum(name.startswith("aws-stream") and _is_in(frame, "frames") for name, frame in stacks.items())


def _is_in(frame, function):
    while frame is not None:
        if frame.f_code.co_name == function:
            return True
        frame = frame.f_back
    return False
