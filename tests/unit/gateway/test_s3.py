"""S3 through the endpoint: the same address as every other service."""

import http.client
import io
import os
import signal
import time
import urllib.request

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from pyarrow import fs

from tests.unit.gateway.conftest import endpoint
from tests.unit.gateway.raw import connect

pytestmark = pytest.mark.slow

PATIENT = Config(retries={"total_max_attempts": 10}, signature_version="s3v4")


@pytest.fixture(scope="module")
def opened(tmp_path_factory):
    with endpoint(tmp_path_factory.mktemp("s3")) as aws:
        aws.client("s3").create_bucket(Bucket="lake")
        yield aws


@pytest.fixture
def s3(opened):
    return opened.client("s3", config=PATIENT)


@pytest.mark.parametrize("key", ["a", "a b/ü+%/c=1&d", "x//y", "%2F", "a?b#c"])
def test_an_object_comes_back_whatever_its_name(s3, key):
    s3.put_object(Bucket="lake", Key=key, Body=b"\x00hi")
    assert s3.get_object(Bucket="lake", Key=key)["Body"].read() == b"\x00hi"
    s3.delete_object(Bucket="lake", Key=key)


def test_a_large_object_goes_up_in_parts(s3):
    data = os.urandom(20 << 20)
    s3.upload_fileobj(io.BytesIO(data), "lake", "large")
    assert s3.get_object(Bucket="lake", Key="large")["Body"].read() == data
    assert s3.get_object(Bucket="lake", Key="large", Range="bytes=9000000-9000002")["Body"].read() == data[9000000:9000003]


def test_a_conditional_put_is_refused_when_the_object_is_there(s3):
    s3.put_object(Bucket="lake", Key="once", Body=b"1", IfNoneMatch="*")
    with pytest.raises(ClientError) as refused:
        s3.put_object(Bucket="lake", Key="once", Body=b"2", IfNoneMatch="*")
    assert refused.value.response["Error"]["Code"] == "PreconditionFailed"


def test_a_presigned_url_needs_no_header(s3):
    s3.put_object(Bucket="lake", Key="shared", Body=b"for all")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "lake", "Key": "shared"})
    assert urllib.request.urlopen(url, timeout=10).read() == b"for all"


def test_a_bucket_may_stand_in_the_hosts_name(opened, s3):
    s3.put_object(Bucket="lake", Key="named", Body=b"1")
    connection = http.client.HTTPConnection(opened.address.removeprefix("http://"), timeout=10)
    connection.request("GET", "/named", headers={"host": "lake.localhost"})
    assert connection.getresponse().read() == b"1"
    connection.close()


def test_arrows_own_client_writes_and_reads(opened):
    files = fs.S3FileSystem(endpoint_override=opened.address, region="us-east-1", access_key="any", secret_key="any")
    with files.open_output_stream("lake/from/arrow") as out:
        out.write(b"columns" * 1000)
    with files.open_input_stream("lake/from/arrow") as read:
        assert read.read() == b"columns" * 1000


@pytest.mark.parametrize("kind", ["STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"])
def test_a_body_sent_in_signed_chunks_is_stored_without_their_frames(opened, s3, kind):
    signature = ";chunk-signature=" + 64 * "0" if "HMAC" in kind else ""
    trailer = b"x-amz-checksum-crc32:NhCmhg==\r\n" if "TRAILER" in kind else b""
    body = f"5{signature}\r\nhello\r\n0{signature}\r\n".encode() + trailer + b"\r\n"
    scope = "any/20261125/us-east-1/s3/aws4_request"
    headers = {
        "authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={64 * '0'}", "x-amz-date": "20261125T000000Z",
        "x-amz-content-sha256": kind, "x-amz-decoded-content-length": "5", "content-encoding": "aws-chunked",
        **({"x-amz-trailer": "x-amz-checksum-crc32"} if trailer else {}),
    }
    connection = http.client.HTTPConnection(opened.address.removeprefix("http://"), timeout=10)
    connection.request("PUT", "/lake/chunked", body, headers)
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (200, b"")
    assert s3.get_object(Bucket="lake", Key="chunked")["Body"].read() == b"hello"
    connection.close()


def test_a_page_of_another_origin_gets_no_object(opened):
    connection = http.client.HTTPConnection(opened.address.removeprefix("http://"), timeout=10)
    for headers in ({"origin": "https://evil.example"}, {"host": "evil.example"}):
        connection.request("GET", "/lake/once", headers=headers)
        answer = connection.getresponse()
        assert (answer.status, b"AccessDenied" in answer.read()) == (403, True)
    connection.close()


def test_a_server_that_was_killed_comes_back_with_its_objects(opened, s3):
    s3.put_object(Bucket="lake", Key="kept", Body=b"safe")
    os.kill(opened.gateway.s3_process, signal.SIGKILL)
    time.sleep(0.1)
    assert s3.get_object(Bucket="lake", Key="kept")["Body"].read() == b"safe"


def test_with_credentials_only_the_right_secret_reaches_s3(tmp_path):
    (tmp_path / "credentials").write_text("[shop]\naws_access_key_id = KEY\naws_secret_access_key = right\n")
    with endpoint(tmp_path, credentials=str(tmp_path / "credentials")) as aws:
        aws.client("s3", "KEY", "right").create_bucket(Bucket="lake")
        with pytest.raises(ClientError) as refused:
            aws.client("s3", "KEY", "wrong").list_buckets()
        assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


@pytest.mark.slow
def test_buckets_are_listed_whoever_asks(tmp_path):
    with endpoint(tmp_path) as aws:
        s3 = aws.client("s3")
        assert s3.list_buckets()["Buckets"] == []
        for name in ("sales", "lake", "lake-2"):
            s3.create_bucket(Bucket=name)
        assert [bucket["Name"] for bucket in aws.client("s3", "another").list_buckets()["Buckets"]] == ["lake", "lake-2", "sales"]
        assert [bucket["Name"] for bucket in s3.list_buckets(Prefix="lake")["Buckets"]] == ["lake", "lake-2"]
        first = s3.list_buckets(MaxBuckets=2)
        assert [bucket["Name"] for bucket in s3.list_buckets(ContinuationToken=first["ContinuationToken"])["Buckets"]] == ["sales"]
        assert s3.list_buckets()["Buckets"][0]["CreationDate"].timestamp() > time.time() - 60


def test_an_answer_that_comes_before_the_body_ends_the_connection(opened):
    """Else the body that is still to come would be read as the next request."""
    head = (b"PUT /no-such-bucket/key HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\nexpect: 100-continue\r\n"
            b"origin: http://evil.example\r\n\r\n")
    with connect(opened) as client:
        client.sendall(head)
        answer = client.recv(1 << 16)
    assert answer.startswith(b"HTTP/1.1 403") and b"connection: close" in answer.lower()


def test_answers_that_end_with_an_empty_part_are_whole_and_nobody_complains(aws, caplog):
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="parts")
    for n in range(20):
        s3.put_object(Bucket="parts", Key=f"{n}", Body=b"x" * n)
        assert s3.get_object(Bucket="parts", Key=f"{n}")["Body"].read() == b"x" * n
        s3.delete_object(Bucket="parts", Key=f"{n}")
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []
