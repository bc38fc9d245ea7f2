"""HTTP/2 on the same port as HTTP/1.1."""

import json
import os
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.unit.gateway.conftest import endpoint

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("http2")) as opened:
        opened.client("s3").create_bucket(Bucket="lake")
        opened.client("kinesis").create_stream(StreamName="clicks", ShardCount=1)
        yield opened


@pytest.fixture
def http2(aws):
    with httpx.Client(base_url=aws.address, http1=False, http2=True, timeout=30, trust_env=False) as client:
        yield client


def kinesis(client, operation, **members):
    headers = {"x-amz-target": f"Kinesis_20131202.{operation}", "content-type": "application/x-amz-json-1.1"}
    return client.post("/", content=json.dumps(members), headers=headers)


def test_an_operation_and_an_error_come_back(http2):
    made = kinesis(http2, "DescribeStreamSummary", StreamName="clicks")
    assert (made.http_version, made.json()["StreamDescriptionSummary"]["StreamName"]) == ("HTTP/2", "clicks")
    refused = kinesis(http2, "DescribeStreamSummary", StreamName="none")
    assert (refused.status_code, refused.json()["__type"].rpartition("#")[2]) == (400, "ResourceNotFoundException")


def test_bodies_larger_than_every_window_go_both_ways(http2):
    data = os.urandom(20 << 20)
    assert http2.put("/lake/large", content=data).status_code == 200
    assert http2.get("/lake/large").content == data


def test_many_requests_share_one_connection(http2):
    with ThreadPoolExecutor(32) as threads:
        asked = list(threads.map(lambda n: kinesis(http2, "PutRecord", StreamName="clicks", PartitionKey="a", Data="aGk=").json(), range(200)))
    assert len({answer["SequenceNumber"] for answer in asked}) == 200


def test_a_request_that_is_too_large_is_told_so(http2):
    made = http2.post("/", content=(bytes(1 << 20) for _ in range(65)), headers={"x-amz-target": "Kinesis_20131202.PutRecord"})
    assert made.status_code == 413


@pytest.mark.parametrize("noise", [b"", b"\x00" * 40, b"\xff" * 400, b"\x00\x00\x05\x01\x05\x00\x00\x00\x01junk!"])
def test_noise_after_the_preface_ends_that_connection_alone(aws, http2, noise):
    port = int(aws.address.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":
            raw.send(bytes([byte]))
        raw.sendall(noise)
        raw.shutdown(socket.SHUT_WR)
        while raw.recv(65536):
            pass
    assert kinesis(http2, "ListStreams").status_code == 200


def test_the_endpoint_closes_while_a_connection_is_open(tmp_path):
    with httpx.Client(http1=False, http2=True, trust_env=False) as client:
        with endpoint(tmp_path) as opened:
            client.base_url = opened.address
            assert kinesis(client, "ListStreams").json()["StreamNames"] == []
        with pytest.raises(httpx.TransportError):
            kinesis(client, "ListStreams")
